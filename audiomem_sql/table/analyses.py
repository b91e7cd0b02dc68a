"""What a search does with whole tables: k-NN joins, near-duplicates, clusters, places on a map.

Every door gives the same tables of these; their columns are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from audiomem_sql import search
from audiomem_sql.errors import InFile, QueryError
from audiomem_sql.scan import filters_of_text
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.rows import USUAL_K, Current

if TYPE_CHECKING:
    from audiomem_sql.search import Clusters, Given, Pairs

KNN = pa.schema(
    [
        ("left_row_id", pa.int64()),
        ("right_row_id", pa.int64()),
        ("place", pa.int64()),
        ("distance", pa.float32()),
    ]
)
DUPLICATES = pa.schema(
    [
        ("group_id", pa.int64()),
        ("row_id", pa.int64()),
        ("representative", pa.int64()),
        ("similarity", pa.float64()),
    ]
)
CLUSTERS = pa.schema(
    [("cluster", pa.int64()), ("size", pa.int64()), ("words", pa.string()), ("centre", pa.int64())]
)
CLUSTER_ROWS = pa.schema([("row_id", pa.int64()), ("cluster", pa.int64()), ("distance", pa.float64())])
MAP = pa.schema([("row_id", pa.int64()), ("x", pa.float64()), ("y", pa.float64()), ("cluster", pa.int64())])


@dataclass(frozen=True, slots=True)
class Analysed:
    """Rows of a table to be analysed: those that pass ``where``.

    current: a snapshot, or one with an open transaction, with the columns of vectors.
    """

    current: Current
    options: TableOptions
    path: str
    where: str | None = None
    parameters: Sequence[Any] = ()

    def searched(self) -> search.Searched:
        """The rows as a search takes them. QueryError for a condition that is none."""
        with InFile(self.path):
            if self.where is not None and not isinstance(self.where, str):
                raise QueryError(f"{self.where!r:.60} is no condition", remedy="Pass one as text.")
            filters, row_filter = filters_of_text(self.where, self.parameters, self.current.schema.visible)
        return search.Searched(self.current, self.options, self.path, filters, row_filter)

    def neighbours(
        self, column: str | None, other: Analysed, other_column: str | None, k: int | None
    ) -> pa.Table:
        """The ``k`` rows of ``other`` nearest to each row: a table of ``KNN``."""
        count = _count(k, other.path)
        return _knn_table(search.knn_join(self.searched(), column, other.searched(), other_column, count))

    def nearest_to(self, given: Given, column: str | None, k: int | None) -> pa.Table:
        """The ``k`` rows nearest to each of those that are given, by their places from 0: of ``KNN``."""
        return _knn_table(search.knn_of_given(given, self.searched(), column, _count(k, self.path)))

    def duplicates(self, column: str | None, threshold: float | None) -> pa.Table:
        """Rows that are nearly the same: a table of ``DUPLICATES``."""
        with InFile(self.path):
            found = search.duplicates(self.searched(), column, threshold)
        return pa.table(
            [found.groups, found.rowids, found.representatives, found.similarities], schema=DUPLICATES
        )

    def clustered(self, column: str | None, k: int | None) -> Clusters:
        """The rows in clusters."""
        with InFile(self.path):
            return search.clusters(self.searched(), column, k)

    def clusters(self, column: str | None, k: int | None) -> pa.Table:
        """The clusters and the words that name them: a table of ``CLUSTERS``."""
        found = self.clustered(column, k).clusters
        rows = [(each.number, each.size, ", ".join(each.words), each.centre) for each in found]
        values = list(zip(*rows, strict=True)) or [()] * len(CLUSTERS)
        arrays = [pa.array(each, field.type) for each, field in zip(values, CLUSTERS, strict=True)]
        return pa.table(arrays, schema=CLUSTERS)

    def cluster_rows(self, column: str | None, k: int | None) -> pa.Table:
        """Which row is in which cluster: a table of ``CLUSTER_ROWS``."""
        found = self.clustered(column, k)
        return pa.table([found.rowids, found.numbers, found.distances], schema=CLUSTER_ROWS)

    def map_rows(self, column: str | None, k: int | None) -> pa.Table:
        """Where each row is on the map: a table of ``MAP``."""
        found = self.clustered(column, k)
        with InFile(self.path):
            places = search.layout(found.vectors, spherical=found.spherical)
        x, y = (np.ascontiguousarray(places[:, axis]) for axis in range(2))
        return pa.table([found.rowids, x, y, found.numbers], schema=MAP)


def _count(k: Any, path: str) -> int:
    """``k``, or the usual one. QueryError for what is no number."""
    count = USUAL_K if k is None else k
    if not isinstance(count, int | np.integer) or isinstance(count, bool):
        raise QueryError(f"k = {k!r:.60} is no number of rows", file=path, remedy="Ask for 1 or more.")
    return int(count)


def _knn_table(pairs: Pairs) -> pa.Table:
    return pa.table([pairs.left, pairs.right, pairs.places, pairs.distances], schema=KNN)
