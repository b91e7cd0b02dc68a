"""The picture of a map: a colour and a mark for each cluster, and its words beside it."""

from __future__ import annotations

import io
import os
from typing import Any, Protocol

import numpy as np

from audiomem_sql.arrays import F64Array, I64Array
from audiomem_sql.errors import MissingExtraError, OptionError, StorageError
from audiomem_sql.search import Cluster

FORMATS = (".png", ".svg", ".pdf")
#: Colours that people with any colour vision tell apart (P. Tol, *Colour schemes*, 2021, "muted"); clusters
#: behind the ninth have another mark as well.
COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#DDAA33",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
)
MARKS = ("o", "^", "s", "D", "v", "P", "X")
INK, FAINT, PAPER = "#222222", "#888888", "#ffffff"
#: Clusters whose words are written; others have their number only in the table of clusters.
_MOST_LABELS = 40
_WORDS, _LONGEST = 3, 40
#: Places that are tried for a label, round by round further from its cluster, in pixels.
_ROUNDS, _ANGLES, _STEP, _MARGIN = 40, 16, 12.0, 3.0
#: Half the room for the mark in front of a label.
_MARK = 7.0


class Drawable(Protocol):
    """What is drawn, see :class:`~audiomem_sql.table.table_map.TableMap`."""

    @property
    def title(self) -> str:
        """What the picture is called."""

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """The clusters, the largest first."""

    @property
    def places(self) -> F64Array:
        """Where the rows are, float64 (n, 2), within -1 and 1."""

    @property
    def numbers(self) -> I64Array:
        """The cluster of each row, int64 (n,)."""

    def __len__(self) -> int: ...


def draw(shown: Drawable, picture: str | os.PathLike[str]) -> None:
    """Draw a map to a file; see :meth:`~audiomem_sql.table.table_map.TableMap.save`."""
    path = os.fspath(picture)
    if not path.lower().endswith(FORMATS):
        raise OptionError(f"{path}: no kind of picture", remedy=f"End the name with {', '.join(FORMATS)}.")
    figure = _figure(shown)
    try:
        figure.savefig(path, metadata={"Date": None} if path.lower().endswith(".svg") else None)
    except OSError as fault:
        raise StorageError(f"cannot be written: {fault.strerror or fault}", file=path) from fault


def png_of(shown: Drawable) -> bytes:
    """The picture as a PNG. MissingExtraError without matplotlib."""
    out = io.BytesIO()
    _figure(shown).savefig(out, format="png")
    return out.getvalue()


def labels_of(shown: Drawable) -> list[tuple[Cluster, str]]:
    """The clusters that are labelled, and what with, the largest first."""
    return [
        (each, ", ".join(each.words[:_WORDS])[:_LONGEST] or f"cluster {each.number}")
        for each in shown.clusters[:_MOST_LABELS]
    ]


def _figure(shown: Drawable) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "drawing a map needs matplotlib", remedy="Run: pip install 'audiomem-sql[sound]'"
        ) from None
    figure = Figure(figsize=(11, 8.5), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.91))
    axes.set_axis_off()
    axes.set_xlim(-1.08, 1.08)
    axes.set_ylim(-1.08, 1.08)
    figure.text(0.02, 0.955, shown.title, color=INK, fontsize=15, fontweight="bold", parse_math=False)
    size = float(np.clip(40_000 / max(1, len(shown)), 3, 40))
    for cluster in shown.clusters:
        rows = shown.numbers == cluster.number
        axes.scatter(
            shown.places[rows, 0],
            shown.places[rows, 1],
            s=size,
            **_look(cluster),
            alpha=0.75 if len(shown) < 5000 else 0.5,
            linewidths=0,
        )
    _write_labels(figure, axes, shown)
    return figure


def _write_labels(figure: Any, axes: Any, shown: Drawable) -> None:
    """Write the words of each cluster at its middle, or near it where there is room; none over another."""
    from matplotlib.patheffects import withStroke

    renderer = figure.canvas.get_renderer()
    outside = axes.get_window_extent(renderer)
    taken: list[tuple[float, float, float, float]] = []
    halo = [withStroke(linewidth=3, foreground=PAPER)]
    for cluster, words in labels_of(shown):
        anchor = _middle(shown, cluster)
        text = axes.annotate(
            words,
            anchor,
            color=INK,
            fontsize=10,
            ha="center",
            va="center",
            path_effects=halo,
            parse_math=False,
            zorder=5,
        )
        box = text.get_window_extent(renderer)
        half = box.width / 2 + _MARGIN + _MARK, box.height / 2 + _MARGIN
        pixel = axes.transData.transform(anchor)
        moved = _free_place((float(pixel[0]), float(pixel[1])), half, taken, outside)
        if moved is None:
            text.remove()
            continue
        taken.append(_box(moved, half))
        back = axes.transData.inverted()
        text.set_position(tuple(back.transform((moved[0] + _MARK, moved[1]))))
        mark = back.transform((moved[0] - box.width / 2 - _MARK / 2, moved[1]))
        axes.scatter(*mark, s=60, edgecolors=PAPER, linewidths=1, zorder=5, **_look(cluster))
        if np.hypot(*(np.array(moved) - pixel)) > half[1]:
            end = back.transform(moved)
            axes.plot([anchor[0], end[0]], [anchor[1], end[1]], color=FAINT, linewidth=0.8, zorder=3)


def _look(cluster: Cluster) -> dict[str, Any]:
    """The colour and the mark of a cluster."""
    place = cluster.number - 1
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKS[place // len(COLOURS) % len(MARKS)],
    }


def _middle(shown: Drawable, cluster: Cluster) -> tuple[float, float]:
    """The place of the row of a cluster that is nearest to the median of its rows."""
    places = shown.places[shown.numbers == cluster.number]
    apart = np.abs(places - np.median(places, axis=0)).sum(axis=1)
    x, y = places[int(apart.argmin())]
    return float(x), float(y)


def _free_place(
    start: tuple[float, float],
    half: tuple[float, float],
    taken: list[tuple[float, float, float, float]],
    outside: Any,
) -> tuple[float, float] | None:
    """The place nearest to ``start`` where a box of ``half`` its size overlaps none, in pixels."""
    for number in range(_ROUNDS):
        for angle in np.arange(_ANGLES if number else 1) * (2 * np.pi / _ANGLES):
            place = start[0] + 2 * number * _STEP * np.cos(angle), start[1] + number * _STEP * np.sin(angle)
            left, low, right, high = box = _box(place, half)
            inside = left >= outside.x0 and right <= outside.x1 and low >= outside.y0 and high <= outside.y1
            if inside and not any(_overlap(box, other) for other in taken):
                return float(place[0]), float(place[1])
    return None


def _box(place: tuple[float, float], half: tuple[float, float]) -> tuple[float, float, float, float]:
    return place[0] - half[0], place[1] - half[1], place[0] + half[0], place[1] + half[1]


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
