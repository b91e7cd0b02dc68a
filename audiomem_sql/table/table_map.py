"""A map of a table: its rows on a plane, in clusters that words name; for notebooks, files and terminals."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import F64Array, I64Array
from audiomem_sql.errors import InFile, MissingExtraError, OptionError
from audiomem_sql.search import Cluster, layout
from audiomem_sql.table.analyses import MAP, Analysed

#: Stands for clusters in a terminal; those behind the last one share it.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*"


@dataclass(frozen=True, slots=True, eq=False)
class TableMap:
    """Rows of a table on a plane.

    rowids: int64 (n,). places: float64 (n, 2), within -1 and 1. numbers: int64 (n,), the cluster of each.
    title: what a picture is called.
    """

    title: str
    clusters: tuple[Cluster, ...]
    rowids: I64Array
    places: F64Array
    numbers: I64Array

    @classmethod
    def of(cls, table: Analysed, column: str | None = None, k: int | None = None) -> TableMap:
        """The map of the rows that have a vector, in ``k`` clusters."""
        found = table.clustered(column, k)
        with InFile(table.path):
            places = layout(found.vectors, spherical=found.spherical)
        name = os.path.splitext(os.path.basename(table.path))[0]
        rows = f"{len(found.rowids):,} row" + ("" if len(found.rowids) == 1 else "s")
        return cls(f"{name}: {rows}", found.clusters, found.rowids, places, found.numbers)

    def __len__(self) -> int:
        return len(self.rowids)

    def to_arrow(self) -> pa.Table:
        """A table of ``row_id``, ``x``, ``y`` and ``cluster``."""
        x, y = (np.ascontiguousarray(self.places[:, axis]) for axis in range(2))
        return pa.table([self.rowids, x, y, self.numbers], schema=MAP)

    def save(self, picture: str | os.PathLike[str]) -> None:
        """Draw the map to ``picture``: .png, .svg or .pdf.

        OptionError for another ending, MissingExtraError without matplotlib, StorageError for what cannot be
        written.
        """
        from audiomem_sql.table.map_drawing import draw

        draw(self, picture)

    def text(self, width: int = 80, height: int = 24) -> str:
        """The map in characters: a letter for the cluster that most rows of a place are in; then a legend."""
        lines = ["".join(line) for line in self.letters(width, height)]
        return "\n".join([self.title, *(line.rstrip() for line in lines), *self.legend()])

    def letters(self, width: int, height: int) -> list[list[str]]:
        """A letter for each place of ``height`` lines with ``width`` characters, a blank where no row is."""
        for name, size in (("width", width), ("height", height)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise OptionError(
                    f"{name} = {size!r:.40} is no size of a map in characters", remedy="Pass 1 or more."
                )
        grid = [[" "] * width for _ in range(height)]
        if not len(self):
            return grid
        columns = _cells(self.places[:, 0], width)
        lines = _cells(-self.places[:, 1], height)
        cells, counts = np.unique(
            np.column_stack([lines * width + columns, self.numbers]), axis=0, return_counts=True
        )
        for (cell, number), _ in sorted(
            zip(cells.tolist(), counts.tolist(), strict=True), key=lambda each: (each[1], -each[0][1])
        ):
            grid[cell // width][cell % width] = letter_of(number)
        return grid

    def legend(self) -> list[str]:
        """A line for each cluster: its letter, words and size."""
        return [f"{letter_of(each.number)} {_named(each)}" for each in self.clusters]

    def _repr_png_(self) -> bytes | None:
        from audiomem_sql.table.map_drawing import png_of

        try:
            return png_of(self)
        except MissingExtraError:  # a notebook then shows the legend of _repr_html_
            return None

    def _repr_html_(self) -> str:
        from html import escape  # 400 KiB of entities

        picture, shown = self._repr_png_(), ""
        if picture is not None:
            source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
            shown = f'<img alt="{escape(self.title)}" src="{source}">'
        rows = "".join(
            f"<tr><td>{each.number}</td><td>{escape(', '.join(each.words))}</td><td>{each.size:,}</td></tr>"
            for each in self.clusters
        )
        head = "<tr><th>cluster</th><th>words</th><th>rows</th></tr>"
        return f"<div><b>{escape(self.title)}</b><br>{shown}<table>{head}{rows}</table></div>"

    def __repr__(self) -> str:
        return f"<TableMap {self.title!r}, {len(self.clusters)} clusters>"


def letter_of(number: int) -> str:
    """The letter of a cluster."""
    return LETTERS[min(number, len(LETTERS)) - 1]


def _named(cluster: Cluster) -> str:
    rows = f"{cluster.size:,} row" + ("" if cluster.size == 1 else "s")
    return f"{', '.join(cluster.words)} ({rows})" if cluster.words else f"({rows})"


def _cells(values: F64Array, count: int) -> I64Array:
    """The cell of values from -1 to 1, int64 (n,), of ``count``."""
    cells: I64Array = np.clip(((values + 1) / 2 * count).astype(np.int64), 0, count - 1)
    return cells
