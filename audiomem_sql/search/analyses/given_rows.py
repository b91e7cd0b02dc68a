"""The k nearest rows of a table for each of the rows that somebody brings, which are no table of ours.

They come as Arrow arrays of vectors or texts. So many are asked at once as a piece has room for: what they
come from may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import types

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.columns.arrow_types import is_list
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.columns.views import valid
from audiomem_sql.errors import AudioMemError, DataTypeError, InFile
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.search.analyses.knn import Pairs, directions, nearest_rows, pairs_of
from audiomem_sql.search.embedding.stored_vectors import Searched, column_of_vectors, metric_of
from audiomem_sql.search.embedding.texts import table_embedder
from audiomem_sql.search.ranking.target import check_wanted
from audiomem_sql.storage.segment import matrix

#: Bytes of vectors that are asked for at once.
PIECE_BYTES = 32 << 20
#: Texts that are embedded at once.
_EMBEDDED = 256


@dataclass(frozen=True, slots=True)
class Given:
    """A column of somebody's rows: its name, and its values as Arrow arrays, one behind the other."""

    name: str
    arrays: Iterable[pa.Array]


def knn_of_given(given: Given, right: Searched, right_column: str | None, k: int) -> Pairs:
    """The ``k`` rows of ``right`` nearest to each of the given, counted from 0, as MATCH finds them.

    Vectors are lists of numbers, blobs of float32 or JSON arrays; for a column SEMANTIC a text is one that
    its model embeds. NULL has no neighbours. QueryError for a column that has no vectors; DataTypeError, with
    the row, for what is no vector of the column's width, and for zeros where directions count.
    """
    with InFile(right.path):
        check_wanted(k, right.path)
        column = column_of_vectors(right.schema, right_column, right.path)
    found = [pairs_of(np.empty(0, np.int64), np.empty((0, 1), np.int64), np.empty((0, 1), np.float32))]
    for rows, queries in _asked(given, right, column):
        if metric_of(right.schema, column) == COSINE:
            queries = directions(queries, rows, f"column {given.name}")
        with InFile(right.path):
            found.append(pairs_of(rows, *nearest_rows(right, column, queries, k)))
    parts = ([getattr(pairs, name) for pairs in found] for name in ("left", "right", "places", "distances"))
    return Pairs(*map(np.concatenate, parts))


def _asked(given: Given, right: Searched, column: int) -> Iterator[tuple[I64Array, F32Array]]:
    """Rows, int64 (n,), and their vectors, float32 (n, d), as many as are asked for at once."""
    most = max(1, PIECE_BYTES // (4 * right.schema.columns[column].type.width))
    held: list[tuple[I64Array, F32Array]] = []
    count = first = 0
    for array in given.arrays:
        for start in range(0, len(array), most):
            check_interrupt()
            part = array.slice(start, most)
            rows, vectors = _vectors(given.name, part, first, right, column)
            first += len(part)
            if count + len(rows) > most:
                yield _joined(held)
                held, count = [], 0
            held.append((rows, vectors))
            count += len(rows)
    if count:
        yield _joined(held)


def _joined(held: list[tuple[I64Array, F32Array]]) -> tuple[I64Array, F32Array]:
    return np.concatenate([rows for rows, _ in held]), np.concatenate([vectors for _, vectors in held])


def _vectors(
    name: str, array: pa.Array, first: int, right: Searched, column: int
) -> tuple[I64Array, F32Array]:
    """The rows of an array that are not NULL, counted from ``first``, and their vectors."""
    declared = right.schema.columns[column]
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if declared.is_hidden and _holds_texts(array.type):
        return _embedded(array.to_pylist(), first, right)
    if is_list(array.type) and types.is_decimal(array.type.value_type):  # DuckDB's [0.5, 1.5]
        array = array.cast(pa.list_(pa.float64()))
    elif array.type == pa.null():
        return np.empty(0, np.int64), np.empty((0, declared.type.width), np.float32)
    from audiomem_sql.columns.arrow_cast import cast_column  # much code, for what is seldom asked

    try:
        cast = cast_column(Column(name, ColumnType(Kind.FLOAT, declared.type.width)), [array])
    except AudioMemError as error:
        raise _refused(error, name, first, declared) from None
    vectors = cast.combine_chunks()
    vectors = vectors.chunk(0) if isinstance(vectors, pa.ChunkedArray) else vectors
    rows = np.flatnonzero(valid(vectors))
    return first + rows, matrix(vectors)[rows]


def _refused(error: AudioMemError, name: str, first: int, declared: Column) -> DataTypeError:
    """What is said of a value that is no vector; the rows of ``error`` are counted from ``first``."""
    what = "texts" if declared.is_hidden else f"the vectors of column {declared.name}"
    place = f"column {name}"
    if error.place is not None and error.place.startswith("row "):
        place += f", row {first + int(error.place.removeprefix('row '))}"
    needed = f"Give vectors of {declared.type.width} finite numbers."
    return DataTypeError(
        f"this cannot be compared with {what}", place=place, remedy=f"{error.remedy or error.what}. {needed}"
    )


def _holds_texts(arrow: pa.DataType) -> bool:
    return bool(types.is_string(arrow) or types.is_large_string(arrow) or str(arrow) == "string_view")


def _embedded(texts: list[str | None], first: int, right: Searched) -> tuple[I64Array, F32Array]:
    """The rows with a text, and what the table's model makes of these."""
    embedder = table_embedder(right.options, right.schema, right.path)
    there = [row for row, text in enumerate(texts) if text is not None and text.strip()]
    vectors = [np.empty((0, embedder.dimensions), np.float32)]
    for start in range(0, len(there), _EMBEDDED):
        check_interrupt()
        vectors.append(embedder.embed([str(texts[row]) for row in there[start : start + _EMBEDDED]]))
    return first + np.array(there, np.int64), np.concatenate(vectors)
