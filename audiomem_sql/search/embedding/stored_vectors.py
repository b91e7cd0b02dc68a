"""The vectors that a table has: which column holds them, and all of them row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import BIT, Kind
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.errors import QueryError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.memory import check_room
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.storage.segment import TableOptions, matrix


@dataclass(frozen=True, slots=True)
class Searched:
    """A table as a search over many rows takes it.

    readable: with all columns of the file, those of vectors included. options: the table's. path: names it
    in messages. filters, row_filter: which rows count.
    """

    readable: Readable
    options: TableOptions
    path: str
    filters: Sequence[Filter] = ()
    row_filter: RowFilter | None = None

    @property
    def schema(self) -> Schema:
        """The columns, those of vectors included."""
        return self.readable.schema


def column_of_vectors(schema: Schema, name: str | None, path: str) -> int:
    """The index of the column whose vectors are meant; name: a column SEMANTIC or FLOAT[n].

    None: the only column that is searched by meaning; without one the only column of vectors. QueryError
    where there is none, or several.
    """
    types = [column.type for column in schema.visible.columns]
    own = [index for index, each in enumerate(types) if each.kind is Kind.FLOAT and each.element != BIT]
    if name is None:
        candidates = list(schema.vectors) or own
        if len(candidates) == 1:
            return schema.vectors.get(candidates[0], candidates[0])
        names = ", ".join(schema.columns[index].name for index in candidates)
        raise QueryError(
            f"several columns have vectors: {names}" if names else "no column has vectors",
            file=path,
            remedy="Name one of them." if names else "Declare one as TEXT SEMANTIC or FLOAT[n].",
        )
    if not isinstance(name, str):
        raise QueryError(f"{name!r:.60} is no column", file=path, remedy="Pass the name of one as text.")
    column = schema.index(name)
    if column in schema.vectors:
        return schema.vectors[column]
    if column not in own:
        if types[column].element == BIT:
            raise QueryError(
                f"column {schema.columns[column].name} has bits, which are compared by MATCH alone",
                file=path,
                remedy="Keep the vectors as FLOAT[n] or INT8[n] as well.",
            )
        raise QueryError(
            f"column {schema.columns[column].name} has no vectors",
            file=path,
            remedy="Name a column that was declared SEMANTIC, or one of type FLOAT[n].",
        )
    return column


def metric_of(schema: Schema, column: int) -> str:
    """How near the vectors of a column are: cosine, l2 or ip."""
    options = schema.vector_indexes.get(column)
    return COSINE if options is None else options.metric


def vector_pieces(table: Searched, column: int) -> Iterator[tuple[I64Array, F32Array]]:
    """Rowids int64 (n,) and vectors float32 (n, d), a piece at a time; rows without a vector are left out."""
    declared = table.schema.columns[column].type
    present = Filter(column, bind(Predicate(column, Op.NOT_NULL, None), declared))
    filters = (*table.filters, present)
    for batch in scan(table.readable, (column,), filters, row_filter=table.row_filter):
        check_interrupt()
        yield batch.rowids, matrix(batch.arrays[0])


def vectors_by_rowid(table: Searched, column: int) -> tuple[I64Array, F32Array]:
    """All rowids, rising int64 (n,), and their vectors float32 (n, d).

    LimitError where they need more memory than there is.
    """
    width = table.schema.columns[column].type.width
    pending = table.readable.pending
    rows = sum(view.live_rows for view in table.readable.views) + (0 if pending is None else len(pending))
    check_room(4 * rows * width, table.path)
    rowids, vectors = np.empty(rows, np.int64), np.empty((rows, width), np.float32)
    end = 0
    for piece_rowids, piece in vector_pieces(table, column):
        start, end = end, end + len(piece)
        rowids[start:end], vectors[start:end] = piece_rowids, piece
    rowids, vectors = rowids[:end], vectors[:end]
    if (rowids[1:] > rowids[:-1]).all():
        return rowids, vectors
    order = np.argsort(rowids, kind="stable")
    return rowids[order], vectors[order]
