"""The table functions of DuckDB that look at all rows of a table: k-NN joins, duplicates, clusters, a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from audiomem_sql.errors import QueryError
from audiomem_sql.table.analyses import CLUSTER_ROWS, CLUSTERS, DUPLICATES, KNN, MAP, Analysed
from audiomem_sql.vtab.duckdb.source import NamedTable, Source
from audiomem_sql.vtab.rows import rows_wanted


def audiomem_knn(
    path: Any,
    left_column: Any,
    right: Any,
    right_column: Any,
    k: Any,
    version: Any,
    as_of: Any,
    filter: Any,
    left_version: Any,
    left_filter: Any,
) -> Source:
    """The nearest rows of the table ``right`` for each row of another."""
    left, other = NamedTable(path, left_version), NamedTable(right, version, as_of)
    count = None if k is None else rows_wanted(k, right)

    def rows() -> pa.Table:
        return _analysed(left, left_filter).neighbours(
            left_column, _analysed(other, filter), right_column, count
        )

    _analysed(left, left_filter).searched()  # what is wrong with a filter is said at once
    _analysed(other, filter).searched()
    return _source(KNN, rows)


def audiomem_duplicates(
    path: Any, column: Any, threshold: Any, version: Any, as_of: Any, filter: Any
) -> Source:
    """Groups of rows that are nearly the same."""
    least = threshold
    if threshold is not None:
        try:
            least = float(threshold)
        except (TypeError, ValueError):
            raise QueryError(
                f"a threshold of {threshold!r:.60} is no similarity", file=path, remedy="Pass a number."
            ) from None
    return _of_table(DUPLICATES, path, version, as_of, filter, lambda table: table.duplicates(column, least))


def audiomem_clusters(path: Any, column: Any, k: Any, version: Any, as_of: Any, filter: Any) -> Source:
    """Clusters of rows, and the words that name them."""
    return _of_table(CLUSTERS, path, version, as_of, filter, lambda table: table.clusters(column, k))


def audiomem_cluster_rows(path: Any, column: Any, k: Any, version: Any, as_of: Any, filter: Any) -> Source:
    """Which row is in which cluster."""
    return _of_table(CLUSTER_ROWS, path, version, as_of, filter, lambda table: table.cluster_rows(column, k))


def audiomem_map(path: Any, column: Any, k: Any, version: Any, as_of: Any, filter: Any) -> Source:
    """Where each row is on a map of the table."""
    return _of_table(MAP, path, version, as_of, filter, lambda table: table.map_rows(column, k))


def _of_table(
    schema: pa.Schema,
    path: Any,
    version: Any,
    as_of: Any,
    condition: Any,
    rows: Callable[[Analysed], pa.Table],
) -> Source:
    table = NamedTable(path, version, as_of)
    _analysed(table, condition).searched()
    return _source(schema, lambda: rows(_analysed(table, condition)))


def _analysed(table: NamedTable, condition: Any) -> Analysed:
    reader = table.now()
    return Analysed(reader.readable, reader.options, reader.path, condition)


def _source(schema: pa.Schema, rows: Callable[[], pa.Table]) -> Source:
    """A source of rows that are made when they are read."""

    def batches(column_indexes: list[int]) -> Iterator[pa.RecordBatch]:
        return iter(rows().combine_chunks().select(column_indexes or [0]).to_batches())

    return Source(lambda: schema, batches)
