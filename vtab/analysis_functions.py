"""Table-valued functions of SQLite that look at all rows: k-NN joins, duplicates, clusters, a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from audiomem_sql.errors import QueryError
from audiomem_sql.table.analyses import CLUSTER_ROWS, CLUSTERS, DUPLICATES, KNN, MAP, Analysed
from audiomem_sql.table.table import Table
from audiomem_sql.vtab.interface import Table as VirtualTable
from audiomem_sql.vtab.rows import rows_wanted, version_of

Rows = Iterator[tuple[Any, ...]]
#: Gives the rows of a call, which is watched for interrupts of the table: ``rows(table, *arguments)``.
Called = Callable[..., Rows]
#: Of each function: its name, columns, parameters, and what is called with as many of these as SQL gives.
Functions = list[tuple[str, tuple[str, ...], tuple[str, ...], Callable[..., Rows]]]


def analysis_functions(called: Called, find: Callable[[Any], VirtualTable]) -> Functions:
    """The functions; find: the table of a name."""
    of_clusters = ("table", "column", "k", "filter", "version")
    of_duplicates = ("table", "column", "threshold", "filter", "version")
    right = ("right", "right_column", "k", "filter", "version")
    of_knn = ("left", "left_column", *right, "left_filter", "left_version")
    return [
        ("audiomem_knn", tuple(KNN.names), of_knn, _knn(called, find)),
        ("audiomem_duplicates", tuple(DUPLICATES.names), of_duplicates, _duplicates(called)),
        ("audiomem_clusters", tuple(CLUSTERS.names), of_clusters, _clusters(called, Analysed.clusters)),
        (
            "audiomem_cluster_rows",
            tuple(CLUSTER_ROWS.names),
            of_clusters,
            _clusters(called, Analysed.cluster_rows),
        ),
        ("audiomem_map", tuple(MAP.names), of_clusters, _clusters(called, Analysed.map_rows)),
    ]


# The parameters of these functions are those of SQL, each NULL where it leaves one out.
def _knn(called: Called, find: Callable[[Any], VirtualTable]) -> Callable[..., Rows]:
    def knn(
        left: Any = None,
        left_column: Any = None,
        right: Any = None,
        right_column: Any = None,
        k: Any = None,
        filter: Any = None,
        version: Any = None,
        left_filter: Any = None,
        left_version: Any = None,
    ) -> Rows:
        def rows(table: Table) -> Rows:
            other = find(right).table
            analysed = _analysed(table, left_filter, left_version)
            count = None if k is None else rows_wanted(k, other.path)
            nearest = _analysed(other, filter, version)
            yield from _rows(analysed.neighbours(left_column, nearest, right_column, count))

        return called(left, rows)

    return knn


def _duplicates(called: Called) -> Callable[..., Rows]:
    def duplicates(
        table: Any = None, column: Any = None, threshold: Any = None, filter: Any = None, version: Any = None
    ) -> Rows:
        def rows(found: Table) -> Rows:
            yield from _rows(_analysed(found, filter, version).duplicates(column, threshold))

        return called(table, rows)

    return duplicates


def _clusters(called: Called, make: Callable[[Analysed, Any, Any], pa.Table]) -> Callable[..., Rows]:
    def clusters(
        table: Any = None, column: Any = None, k: Any = None, filter: Any = None, version: Any = None
    ) -> Rows:
        def rows(found: Table) -> Rows:
            yield from _rows(make(_analysed(found, filter, version), column, k))

        return called(table, rows)

    return clusters


def _analysed(table: Table, condition: Any, version: Any) -> Analysed:
    """The rows of a table: those of now, with the changes of the open transaction, or of a version."""
    if condition is not None and not isinstance(condition, str):
        raise QueryError(f"{condition!r:.60} is no condition", file=table.path, remedy="Pass one as text.")
    if version is not None:
        return Analysed(table.at(version_of(version, table.path)), table.options, table.path, condition)
    table.embed_pending()
    return Analysed(table.readable, table.options, table.path, condition)


def _rows(found: pa.Table) -> Rows:
    for batch in found.to_batches(max_chunksize=4096):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
