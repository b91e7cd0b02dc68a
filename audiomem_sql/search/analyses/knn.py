"""The k nearest rows of one table for each row of another: a join by vectors.

What a search would look through in full anyway is compared by products of matrices. A segment with an index
so large that a search looks through a part of it is asked many queries at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I64Array
from audiomem_sql.columns.types import Kind
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.columns.views import valid
from audiomem_sql.errors import DataTypeError, InFile, QueryError
from audiomem_sql.indexes.vectors import VectorIndex
from audiomem_sql.machine.interrupts import check_interrupt, wait_for
from audiomem_sql.machine.memory import check_room
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.scan import scan
from audiomem_sql.search.analyses.long_texts import further_passages, nearest_by_passages
from audiomem_sql.search.analyses.nearest_of_many import (
    best_of_groups,
    distances_of_pairs,
    nearest_first,
    nearest_of_many,
)
from audiomem_sql.search.embedding.passages import pieces_of, window_of
from audiomem_sql.search.embedding.stored_vectors import (
    Searched,
    column_of_vectors,
    metric_of,
    vector_pieces,
    vectors_by_rowid,
)
from audiomem_sql.search.embedding.texts import table_embedder
from audiomem_sql.search.ranking.parts import Part, allowed_rows, parts
from audiomem_sql.search.ranking.target import check_wanted
from audiomem_sql.search.ranking.vector_ranking import LEAST_PROPOSED, PROPOSED, PROPOSED_OF_CUT
from audiomem_sql.storage.segment import ReadableSegment, matrix

#: Up to so many rows of a segment a search looks through all of its index.
SEARCHED_IN_FULL = 50_000
#: Queries that an index is asked at once, by one thread.
_ASKED = 256
#: Vectors that are compared at once behind an index.
_COMPARED = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Rows of one table and their nearest of another, by the left rowid, the nearest first.

    left, right: rowids, int64 (n,). places: int64 (n,), from 1 for each left row. distances: float32 (n,).
    """

    left: I64Array
    right: I64Array
    places: I64Array
    distances: F32Array

    def __len__(self) -> int:
        return len(self.left)


def knn_join(
    left: Searched, left_column: str | None, right: Searched, right_column: str | None, k: int
) -> Pairs:
    """The ``k`` rows of ``right`` that are nearest to each row of ``left``, as MATCH with that k finds them.

    Where texts are cut, rows are as near as the nearest two of their passages.
    Rows without a vector have no neighbours, and are none. A left column of texts that has no vectors of the
    right table's model is embedded by it. QueryError, DataTypeError for columns that cannot be compared, and
    for a vector of zeros where directions count.
    """
    with InFile(right.path):
        check_wanted(k, right.path)
        column = column_of_vectors(right.schema, right_column, right.path)
    with InFile(left.path):
        rowids, queries = _left_vectors(left, left_column, right, column)
        if metric_of(right.schema, column) == COSINE:
            queries = directions(queries, rowids, left.path)
    with InFile(right.path):
        found, distances = nearest_rows(right, column, queries, k)
        lefts, groups = np.unique(rowids, return_inverse=True)
        if len(lefts) < len(rowids):
            k = found.shape[1]
            found, distances = best_of_groups(groups, found, distances, k, len(lefts))
    return pairs_of(lefts, found, distances)


def pairs_of(left: I64Array, found: I64Array, distances: F32Array) -> Pairs:
    """The pairs of int64 (m,) left rows, and what :func:`nearest_rows` found for them."""
    filled = found >= 0
    rows, places = np.nonzero(filled)
    return Pairs(left[rows], found[filled], places + 1, distances[filled])


def directions(vectors: F32Array, rowids: I64Array, source: str) -> F32Array:
    """float32 (n, d) with length 1. DataTypeError for zeros and what is not finite, with source and row."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(wrong):
        raise DataTypeError(
            "a vector of zeros has no direction, so nothing is near it",
            file=source,
            place=f"row {rowids[wrong[0]]}",
            remedy="Leave such rows out by a filter, or make their vector NULL.",
        )
    unit: F32Array = (vectors / lengths[:, None].astype(np.float32)).astype(np.float32)
    return unit


def _left_vectors(
    left: Searched, name: str | None, right: Searched, right_column: int
) -> tuple[I64Array, F32Array]:
    """Rowids and vectors of the left rows, of the width that the right column has; one for each passage."""
    declared = right.schema.columns[right_column]
    texts = _texts_to_embed(left, name, right) if declared.is_hidden else None
    if texts is not None:
        return _embedded(left, texts, right, right_column)
    column = column_of_vectors(left.schema, name, left.path)
    if left.schema.columns[column].is_hidden and not declared.is_hidden:
        raise QueryError(
            f"column {declared.name} has vectors of its own, and the other table's are those of texts",
            file=left.path,
            remedy="Name two columns whose vectors come from the same model.",
        )
    width = left.schema.columns[column].type.width
    if width != declared.type.width:
        raise QueryError(
            f"vectors of {width} numbers cannot be compared with those of {declared.type.width} "
            f"in {os.path.basename(right.path)}",
            file=left.path,
            place=f"column {left.schema.columns[column].name}",
            remedy="Name two columns of vectors from the same model.",
        )
    rowids, vectors = vectors_by_rowid(left, column)
    further = []
    for piece in further_passages(left, column):
        further.append(piece)
        check_room(2 * sum(each.vectors.nbytes for each in further), left.path)
    return (
        np.concatenate([rowids, *(piece.rowids for piece in further)]),
        np.concatenate([vectors, *(piece.vectors for piece in further)]),
    )


def _texts_to_embed(left: Searched, name: str | None, right: Searched) -> int | None:
    """The left column of texts that the right table's model must embed; None if there are vectors."""
    schema, options = left.schema, left.options
    if not isinstance(name, str) and (name is not None or len(schema.vectors) != 1):
        return None
    column = next(iter(schema.vectors)) if name is None else schema.index(name)
    if schema.columns[column].type.kind is not Kind.TEXT:
        return None
    theirs = right.options
    same = (options.model, options.model_backend) == (theirs.model, theirs.model_backend)
    digests = {options.model_digest, theirs.model_digest} - {""}
    return None if column in schema.vectors and same and len(digests) < 2 else column


def _embedded(left: Searched, column: int, right: Searched, right_column: int) -> tuple[I64Array, F32Array]:
    """Rowids of the rows with a text, int64 (n,), and what the right table's model makes of these.

    They are cut into passages as that table's are.
    """
    embedder = table_embedder(right.options, right.schema, right.path)
    is_cut = right_column in right.schema.passages
    window = window_of(right.options.passages, embedder) if is_cut else None
    rowids: list[I64Array] = [np.empty(0, np.int64)]
    vectors = [np.empty((0, embedder.dimensions), np.float32)]
    for batch in scan(left.readable, (column,), left.filters, row_filter=left.row_filter):
        texts = batch.arrays[0].to_pylist()
        there = [row for row, text in enumerate(texts) if text is not None and text.strip()]
        for start in range(0, len(there), _ASKED):
            check_interrupt()
            pieces = [
                (row, piece)
                for row in there[start : start + _ASKED]
                for piece in pieces_of(texts[row], window, embedder)
            ]
            vectors.append(embedder.embed([piece for _, piece in pieces]))
            rowids.append(batch.rowids[[row for row, _ in pieces]])
    return np.concatenate(rowids), np.concatenate(vectors)


def nearest_rows(
    table: Searched, column: int, queries: F32Array, k: int, probes: int | None = None
) -> tuple[I64Array, F32Array]:
    """The ``k`` rows nearest to each of float32 (m, d) queries.

    Rowids int64 (m, k), the nearest first, -1 where there are fewer; distances float32 (m, k). By cosine
    queries have length 1. probes: lists that are looked through of a large index, by default as many as a
    search looks through. A row that is cut is as near as the nearest of its passages.
    """
    first = _nearest_firsts(table, column, queries, k, probes)
    if next(further_passages(table, column), None) is None:
        return first
    k = first[0].shape[1]
    further = nearest_by_passages(table, column, queries, k)
    rowids = np.concatenate([first[0], further[0]], axis=1)
    distances = np.concatenate([first[1], further[1]], axis=1)
    return best_of_groups(np.arange(len(queries)), rowids, distances, k, len(queries))


def _nearest_firsts(
    table: Searched, column: int, queries: F32Array, k: int, probes: int | None
) -> tuple[I64Array, F32Array]:
    """The same by the first passage of each row."""
    readable = table.readable
    total = sum(view.live_rows for view in readable.views) + len(readable.pending or ())
    k = max(1, min(k, total))
    check_room(24 * (k + 8) * len(queries), table.path)
    metric = metric_of(table.schema, column)
    compared: list[Part] = []
    found: list[tuple[I64Array, F32Array]] = []
    for part in parts(readable):
        check_interrupt()
        segment = None if part.pending is not None else part.views[0].segment
        index = None if segment is None else segment.vector_index(column)
        if segment is None or index is None or index.count <= SEARCHED_IN_FULL:
            compared.append(part)
        else:
            allowed = allowed_rows(part, table.filters, table.row_filter)
            rowids, distances = _of_index(segment, index, table, column, queries, k, allowed, probes)
            if metric == COSINE and len(lost := _without_numbers(index, queries)):
                rowids[lost], distances[lost] = _of_parts([part], table, column, queries[lost], k)
            found.append((rowids, distances))
    if compared:
        found.append(_of_parts(compared, table, column, queries, k))
    if len(found) == 1:
        return found[0]
    if not found:
        return np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), np.inf, np.float32)
    rowids, distances = (np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True))
    return nearest_first(rowids, distances, k)


def _of_parts(
    compared: Sequence[Part], table: Searched, column: int, queries: F32Array, k: int
) -> tuple[I64Array, F32Array]:
    """The nearest rows of parts, whose vectors are compared as they are: rowids int64 (m, k), distances."""

    def pieces() -> Iterator[tuple[I64Array, F32Array]]:
        for part in compared:
            yield from vector_pieces(replace(table, readable=part), column)

    return nearest_of_many(pieces, queries, k, metric_of(table.schema, column))


def _without_numbers(index: VectorIndex, queries: F32Array) -> I64Array:
    """Which of the queries the index of cut vectors has nothing of: int64 (n,)."""
    return np.flatnonzero(~queries[:, : index.dimensions].any(axis=1))


def _of_index(
    segment: ReadableSegment,
    index: VectorIndex,
    table: Searched,
    column: int,
    queries: F32Array,
    k: int,
    allowed: BoolArray | None,
    probes: int | None,
) -> tuple[I64Array, F32Array]:
    """The nearest rows of a segment, as its index finds them: rowids int64 (m, k), distances float32."""
    options = table.schema.vector_indexes.get(column)
    wanted = k
    if options is not None:
        times = PROPOSED[options.codes] * (1 if options.dimensions is None else PROPOSED_OF_CUT)
        wanted = min(segment.rows, times * k + LEAST_PROPOSED)
    rows = np.full((len(queries), wanted), -1, np.int64)
    distances = np.full(rows.shape, np.inf, np.float32)
    parts_of_queries = np.ascontiguousarray(queries[:, : index.dimensions])
    asked = np.arange(len(queries))
    if index.metric == COSINE:
        asked = np.setdiff1d(asked, _without_numbers(index, queries))

    def ask(start: int) -> None:
        some = asked[start : start + _ASKED]
        rows[some], distances[some] = index.search(parts_of_queries[some], wanted, allowed, probes)

    executor = ThreadPool(os.cpu_count() or 1, thread_name_prefix="audiomem-knn")
    try:
        wait_for([executor.submit(ask, start) for start in range(0, len(asked), _ASKED)])
    finally:  # after an interrupt nothing more is begun
        executor.shutdown(cancel_futures=True)
    if options is not None:
        undirected = index.undirected if allowed is None else np.flatnonzero(allowed & _undirected(index))
        rows = np.concatenate([rows, np.tile(undirected, (len(rows), 1))], axis=1)
        distances = _exact(segment, column, rows, queries, options.metric)
    first = segment.catalog.first_rowid
    rowids = segment.rowids()[rows] if first is None else rows + first
    return nearest_first(np.where(rows >= 0, rowids, -1), distances, k)


def _undirected(index: VectorIndex) -> BoolArray:
    """bool (rows,): which rows have a vector that no search of the index finds."""
    undirected = np.zeros(index.rows, np.bool_)
    undirected[index.undirected] = True
    return undirected


def _exact(segment: ReadableSegment, column: int, rows: I64Array, queries: F32Array, metric: str) -> F32Array:
    """The distances of int64 (m, n) rows from float32 (m, d) queries by the vectors as they are."""
    distances = np.full(rows.shape, np.inf, np.float32)
    asked, places = np.nonzero(rows >= 0)
    order = np.argsort(rows[asked, places], kind="stable")
    asked, places = asked[order], places[order]
    for start in range(0, len(asked), _COMPARED):
        check_interrupt()
        some = slice(start, start + _COMPARED)
        wanted, at = np.unique(rows[asked[some], places[some]], return_inverse=True)
        array = segment.take(column, wanted)
        there = valid(array)[at]
        exact = distances_of_pairs(matrix(array)[at], queries[asked[some]], metric)
        distances[asked[some], places[some]] = np.where(there, exact, np.inf)
    return distances
