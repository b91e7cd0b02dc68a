"""Rows that come back, by the rate of wrong bytes, as a picture."""

from __future__ import annotations

from pathlib import Path

from damage.campaign import RATES, Report
from damage.damages import Scattered

STYLES = {
    "none": ("AudioMemory, none", "#9ecae1", "o-"),
    "standard": ("AudioMemory, standard", "#4292c6", "o-"),
    "archive": ("AudioMemory, archive", "#08519c", "o-"),
    "SQLite": ("SQLite", "#d95f02", "s--"),
    "Parquet": ("Parquet zstd", "#7570b3", "^--"),
    "SQLite and par2": ("SQLite with par2", "#66a61e", "d--"),
}


def draw(report: Report, path: Path) -> None:
    """Write a PNG: one line for each store that has figures."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.2))
    broad = {"none": 6, "standard": 6}  # others lie on these lines
    for store, (label, colour, style) in STYLES.items():
        figures = report.get(store, {})
        points = [
            (rate, 100 * figures[name]["share"])
            for rate in RATES
            if (name := Scattered(rate).name) in figures
        ]
        if points:
            width = broad.get(store, 1.6)
            axes.plot(
                *zip(*points, strict=True), style, color=colour, label=label, markersize=5, linewidth=width
            )
    axes.set_xscale("log")
    axes.set_ylim(-3, 103)
    axes.set_xlabel("share of all bytes that are wrong, one by one, anywhere in the file")
    axes.set_ylabel("rows intact, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(0.02, 0.42), fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
