"""The figures as a picture: how many times better ours is than each peer, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = tuple[str, tuple[str, ...], str, bool]


def draw(report: dict[str, Any], rows: tuple[Row, ...], path: Path) -> None:
    """Write a PNG with one bar for each figure and peer; bars to the right of 1 are where ours is better."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    stores = report["stores"]
    peers = [name for name in stores if not name.startswith("AudioMemory")]
    figure, axes = plt.subplots(figsize=(9, 0.34 * len(rows) * 1.6 + 1.2))
    height = 0.8 / len(peers)
    for number, peer in enumerate(peers):
        heights, ratios = [], []
        for position, (label, keys, _, less) in enumerate(rows):
            ours = _value(stores["AudioMemory, level 19" if label == "size" else "AudioMemory"], keys)
            other = _value(stores[peer], keys)
            if ours and other:
                heights.append(position + number * height)
                ratios.append(other / ours if less else ours / other)
        axes.barh(heights, [ratio - 1 for ratio in ratios], height, left=1, label=f"against {peer}")
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks([position + 0.4 - height / 2 for position in range(len(rows))], [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("times better (right of 1) or worse (left of 1)")
    axes.set_title(f"AudioMemory against its peers, {report['rows']:,} rows of text")
    axes.legend(loc="best", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_goals(bars: Sequence[tuple[str, str, float]], path: Path) -> None:
    """Write a PNG with a bar for each (row, goal, reached / goal); right of 1 the goal is met."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.27 * len(bars) + 1.2))
    shares = [share for _, _, share in bars]
    colours = ["tab:green" if share >= 1 else "tab:red" for share in shares]
    axes.barh(range(len(bars)), [share - 1 for share in shares], 0.7, left=1, color=colours)
    axes.set_xscale("log")
    axes.set_xlim(min([0.5, *shares]) / 4, max([2.0, *shares]) * 4)  # with room for the figures
    axes.axvline(1, color="black", linewidth=0.8)
    for position, share in enumerate(shares):
        side = "left" if share >= 1 else "right"
        offset = (4 if share >= 1 else -4, 0)
        axes.annotate(
            f"{share:,.2f}" if share >= 0.1 else f"{share:.2g}",
            (share, position),
            offset,
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=7,
        )
    axes.set_yticks(range(len(bars)), [f"{row}  ({goal})" for row, goal, _ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel("reached / goal: right of 1 the goal is met")
    axes.set_title("How far each row is from its goal")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _value(figures: dict[str, Any], keys: tuple[str, ...]) -> float | None:
    value: Any = figures
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return None if value is None else float(value)
