"""The vectors of a hidden column in a segment: an index of few bytes, instead of blocks of float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, F32Array
from audiomem_sql.columns.types import ColumnType, arrow_type
from audiomem_sql.columns.views import strings, valid
from audiomem_sql.indexes.vectors import VectorCodec, encoded_parts
from audiomem_sql.machine.spooled_arrays import SpooledRows
from audiomem_sql.storage.segment.catalog import Extent, VectorExtents


class VectorSpool:
    """The vectors of one column on their way into a segment, in memory or, when they are many, in a file.

    codec: that of other segments, whose vectors then stay as they are bit by bit.
    """

    def __init__(self, width: int, codec: VectorCodec | None = None) -> None:
        self._codec = codec
        self._rows = SpooledRows(width, "<f4")
        self._present: list[BoolArray] = []

    def add(self, array: pa.Array) -> None:
        """Append an array of FLOAT[n]."""
        present = valid(array)
        vectors = matrix(array)
        if not present.all():
            vectors = np.where(present[:, None], vectors, np.float32(0))
        self._rows.append(vectors)
        self._present.append(present)

    def finish(self, store: Callable[[bytes], Extent]) -> VectorExtents:
        """Make the index, and put its parts where ``store`` puts bytes."""
        present = np.concatenate([np.empty(0, bool), *self._present])
        codec = None if self._codec is None or self._codec.outgrown(len(present)) else self._codec
        encoded = encoded_parts(self._rows, present, codec, embed=True)
        extents = VectorExtents(store(encoded.header), tuple(store(part) for part in encoded.lists))
        self.close()
        return extents

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()


def matrix(array: pa.Array) -> F32Array:
    """The vectors of an array of FLOAT[n], float32 (rows, n); anything where it is NULL."""
    width = array.type.list_size
    return strings(array).data.view("<f4").reshape(len(array), width)


def array_of_vectors(vectors: F32Array, column_type: ColumnType) -> pa.Array:
    """An array of FLOAT[n] of float32 (rows, n); NULL where a vector is NaN."""
    missing = np.isnan(vectors[:, 0]) if len(vectors) else np.empty(0, bool)
    present = np.ascontiguousarray(np.where(missing[:, None], np.float32(0), vectors), np.float32)
    flat = pa.Array.from_buffers(pa.float32(), present.size, [None, pa.py_buffer(present)], 0)
    nulls = int(missing.sum())
    validity = pa.py_buffer(np.packbits(~missing, bitorder="little")) if nulls else None
    return pa.Array.from_buffers(arrow_type(column_type), len(vectors), [validity], nulls, children=[flat])


@dataclass(frozen=True, slots=True)
class ListReader:
    """Reads list ``number`` of an index out of a segment."""

    extents: tuple[Extent, ...]
    read: Callable[[Extent], bytes]

    def __call__(self, number: int) -> bytes:
        """The bytes of list ``number``."""
        return self.read(self.extents[number])
