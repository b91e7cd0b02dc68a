"""Vector search: the rows nearest to a vector, filtered first, then ranked (``vector_ranking.py``).

Rows without a vector are no results. Distances are cosine distances, 0 for the same direction, 2 for the
opposite, unless the column says otherwise (``indexes/vectors/metrics.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import BIT
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.errors import DataTypeError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.scan import Filter, Readable, RowFilter
from audiomem_sql.search.embedding.vectors_in_sql import query_of
from audiomem_sql.search.ranking.neighbours import FIRST_ROWS, MOST_ROWS, Neighbours
from audiomem_sql.search.ranking.parallel_ranking import ParallelRanking


def nearest(
    readable: Readable,
    column: int,
    query: F32Array,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
    first: int = FIRST_ROWS,
) -> Iterator[Neighbours]:
    """The rows that pass the filters, nearest first; all of them, or ``k``.

    column: one of type FLOAT[n]. query: float32 (n,). first: rows that are handed over at first.
    DataTypeError for a query of another length, or that is not finite; of zeros, where directions count.
    """
    width = readable.schema.columns[column].type.width
    by_direction = compares_directions(readable.schema, column)
    with query_of(readable.schema, column):
        query = unit_vector(query, width) if by_direction else finite_vector(query, width)
    ranking = ParallelRanking(readable, column, query, tuple(filters), row_filter)
    yielded = np.empty(0, np.int64)
    remaining, step = k, first
    while remaining is None or remaining > 0:
        check_interrupt()
        ranked = len(yielded) + (step if remaining is None else min(step, remaining))
        rowids, distances = ranking.best(ranked)
        new = np.flatnonzero(~np.isin(rowids, yielded))[:remaining]
        if not len(new):
            return
        # each ranking begins anew, so they grow without a limit; what is handed over at once does not
        for start in range(0, len(new), MOST_ROWS):
            part = new[start : start + MOST_ROWS]
            yield Neighbours(rowids[part], distances[part])
        yielded = np.concatenate([yielded, rowids[new]])
        remaining = None if remaining is None else remaining - len(new)
        step *= 4


def compares_directions(schema: Schema, column: int) -> bool:
    """Whether the distances of a column are 1 - cosine."""
    options = schema.vector_indexes.get(column)
    by_bits = schema.columns[column].type.element == BIT
    return not by_bits and (options is None or options.metric == COSINE)


def vector_scores(schema: Schema, column: int, distances: F32Array) -> F64Array:
    """How near rows are, float64 (n,), higher is better: the cosine, or minus a distance of another kind."""
    exact = distances.astype(np.float64)
    return 1.0 - exact if compares_directions(schema, column) else -exact


def finite_vector(query: F32Array, width: int) -> F32Array:
    """``query`` as float32 (n,). DataTypeError unless it is ``width`` finite numbers."""
    query = np.ascontiguousarray(query, np.float32).reshape(-1)
    if len(query) != width:
        raise DataTypeError(f"the query has {len(query)} numbers, the vectors have {width}")
    if not np.isfinite(query).all():
        raise DataTypeError("the query must be finite numbers")
    return query


def unit_vector(query: F32Array, width: int) -> F32Array:
    """``query`` with length 1. DataTypeError unless it is ``width`` finite numbers, not all of them 0."""
    query = finite_vector(query, width)
    length = float(np.linalg.norm(query.astype(np.float64)))
    if length == 0:
        raise DataTypeError("the query must be finite numbers, not all of them 0")
    return (query / np.float32(length)).astype(np.float32)
