"""The nearest rows to a vector: filtered first, then ranked, and handed over as far as somebody asks for more.

Every segment is ranked by its vectors, and so are the rows outside the segments; what is nearest overall comes first. Rows
without a vector are not found. Distances are cosine distances: 0 for the same direction, 2 for the opposite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiomem_sql.columns.views import valid
from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.types import I64Array

F32Array = npt.NDArray[np.float32]
#: Rows that are handed over at once, to begin with; then more and more.
_FIRST = 16
_MOST = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Rows in the order of their distances: int64 (n,), float32 (n,)."""

    rowids: I64Array
    distances: F32Array

    def __len__(self) -> int:
        return len(self.rowids)


def nearest(
    readable: Readable,
    place: int,
    query: F32Array,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
) -> Iterator[Neighbours]:
    """The rows that pass the filters, nearest first; all of them, or ``k``.

    place: a column of type FLOAT[n]. query: float32 (n,). DataTypeError for one of another length, or that is not finite.
    """
    query = checked(query, readable.schema.columns[place].type.width)
    rowids, distances = _ranked(readable, place, query, filters, row_filter)
    if k is not None:
        rowids, distances = rowids[:k], distances[:k]
    at, step = 0, _FIRST
    while at < len(rowids):
        yield Neighbours(rowids[at : at + step], distances[at : at + step])
        at, step = at + step, min(4 * step, _MOST)


def checked(query: F32Array, width: int) -> F32Array:
    """``query`` with length 1. DataTypeError unless it is ``width`` finite numbers, not all of them 0."""
    query = np.ascontiguousarray(query, np.float32).reshape(-1)
    if len(query) != width:
        raise DataTypeError(f"the query has {len(query)} numbers, the vectors have {width}")
    length = float(np.linalg.norm(query.astype(np.float64)))
    if not np.isfinite(query).all() or not np.isfinite(length) or length == 0:
        raise DataTypeError("the query must be finite numbers, not all of them 0")
    return (query / np.float32(length)).astype(np.float32)


def _ranked(
    readable: Readable,
    place: int,
    query: F32Array,
    filters: Sequence[Filter],
    row_filter: RowFilter | None,
) -> tuple[I64Array, F32Array]:
    rowids: list[I64Array] = [np.empty(0, np.int64)]
    found: list[F32Array] = [np.empty(0, np.float32)]
    for batch in scan(readable, (place,), filters, row_filter=row_filter):
        there = np.flatnonzero(valid(batch.arrays[0]))
        if len(there):
            vectors = matrix(batch.arrays[0])[there]
            rowids.append(batch.rowids[there])
            found.append(distances(vectors, query))
    ids, values = np.concatenate(rowids), np.concatenate(found)
    order = np.lexsort((ids, values))
    return ids[order], values[order]


def matrix(array: pa.Array) -> F32Array:
    """The vectors of an array of FLOAT[n], float32 (rows, n); anything where it is NULL."""
    width = array.type.list_size
    flat = array.values.slice(array.offset * width, len(array) * width)
    return np.asarray(flat, dtype=np.float32).reshape(len(array), width)


def distances(vectors: F32Array, query: F32Array) -> F32Array:
    """Cosine distances of vectors, float32 (n, d), from one of length 1, float32 (n,); 2 where a vector has no length."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    cosines = np.divide(
        vectors @ query, lengths, out=np.full(len(vectors), -1, np.float32), where=lengths > 0
    )
    found: F32Array = np.maximum(1 - cosines, 0).astype(np.float32)
    return found


def searched_column(names: Sequence[str], vectors: Mapping[int, int], path: str) -> int:
    """The place of the column that a search of the whole table looks at: the only one that has vectors.

    QueryError where there are none, or several to choose from.
    """
    if not vectors:
        raise QueryError(
            "no column is searched by meaning",
            file=path,
            remedy="Declare one as TEXT SEMANTIC, or name a column of vectors: WHERE vec MATCH :query.",
        )
    if len(vectors) > 1:
        several = ", ".join(names[place] for place in vectors)
        raise QueryError(
            f"several columns are searched by meaning: {several}",
            file=path,
            remedy="Name one of them: WHERE body MATCH :query.",
        )
    return next(iter(vectors))
