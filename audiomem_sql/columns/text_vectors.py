"""The columns behind the visible ones, which hold what a search by meaning needs of a text.

A column that is searched by meaning has a column FLOAT[n]: the vector of each text, or of its first passage.
Where texts longer than the model's window are cut into passages, a BLOB column stands behind it, with the id
that follows: places and further vectors of the passages of each long text (:class:`Passages`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import DamagedFileError, SchemaError

#: The most passages of one text.
MAX_PASSAGES: Final = 4096
_COUNT = struct.Struct("<I")


@dataclass(frozen=True, slots=True, eq=False)
class Passages:
    """The passages of one long text.

    spans: int64 (m, 2), the first character of each and the one behind its last. further: float32 (m - 1, d),
    the vectors of all but the first, which has its vector in the column before.
    """

    spans: I64Array
    further: F32Array

    def to_bytes(self) -> bytes:
        """What the BLOB column holds: m as u32, the spans as u32 (m, 2), the vectors as float32."""
        spans = np.ascontiguousarray(self.spans, "<u4").tobytes()
        return _COUNT.pack(len(self.spans)) + spans + np.ascontiguousarray(self.further, "<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, dimensions: int) -> Passages:
        """The inverse, of vectors of ``dimensions`` numbers. DamagedFileError for anything else."""
        count = _COUNT.unpack_from(data)[0] if len(data) >= _COUNT.size else 0
        vectors = _COUNT.size + 8 * count
        if not 2 <= count <= MAX_PASSAGES or len(data) != vectors + 4 * dimensions * (count - 1):
            raise DamagedFileError("the passages of a text contradict themselves")
        spans = np.frombuffer(data, "<u4", 2 * count, _COUNT.size).reshape(count, 2).astype(np.int64)
        further = np.frombuffer(data, "<f4", offset=vectors).reshape(count - 1, dimensions)
        return cls(spans, further)


def vectors_of(columns: Sequence[Column]) -> dict[int, int]:
    """The place of the newest vectors of each column that is searched by meaning, by its place."""
    positions = {column.id: position for position, column in enumerate(columns)}
    places: dict[int, int] = {}
    for position, column in enumerate(columns):
        if column.is_hidden and not holds_passages(column):
            places.setdefault(positions[column.vector_of], position)
    return places


def passages_of(columns: Sequence[Column]) -> dict[int, int]:
    """The place of the passages that belong to a column of vectors, by the place of that."""
    positions = {column.id: position for position, column in enumerate(columns)}
    return {
        positions[column.id - 1]: position
        for position, column in enumerate(columns)
        if holds_passages(column)
    }


def holds_passages(column: Column) -> bool:
    """Whether the column is a hidden one with the passages of texts."""
    return column.is_hidden and column.type.kind is Kind.BLOB


def check_hidden(columns: Sequence[Column]) -> None:
    """Hidden columns come last, and each belongs to a column that is searched by meaning.

    Where a segment keeps older versions, a column has those of an older model, too, behind the newest.
    """
    hidden = [column.is_hidden for column in columns]
    semantic = {column.id for column in columns if column.semantic}
    of = [column.vector_of for column in columns if column.is_hidden]
    if hidden != sorted(hidden) or not semantic.issuperset(of) or all(hidden):
        raise SchemaError("a column of vectors belongs to no column that is searched by meaning")
    vectors = {(column.id, column.vector_of) for column in columns if column.type.kind is Kind.FLOAT}
    for column in columns:
        if holds_passages(column) and (column.id - 1, column.vector_of) not in vectors:
            raise SchemaError("a column of passages belongs to no column of vectors")


def added_columns(
    columns: Sequence[Column], dimensions: int, following: int, *, passages: bool
) -> list[Column]:
    """Hidden columns for each column that is searched by meaning and has none yet.

    following: the id of the first. passages: with those of long texts.
    """
    there, taken = vectors_of(columns), {fold(column.name) for column in columns}
    added: list[Column] = []

    def add(text: Column, what: str, column_type: ColumnType) -> None:
        name = f"{text.name} ({what})"
        while fold(name) in taken:
            name += "_"
        added.append(Column(name, column_type, id=following + len(added), vector_of=text.id))

    for position, column in enumerate(columns):
        if column.semantic and position not in there:
            add(column, "vectors", ColumnType(Kind.FLOAT, dimensions))
            if passages:
                add(column, "passages", ColumnType(Kind.BLOB))
    return added
