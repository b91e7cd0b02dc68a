"""The vectors of a column in a segment as an index of few bytes.

It stands for the blocks of a hidden column, and beside those of an INDEXED one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, F32Array
from audiomem_sql.columns.types import ColumnType, arrow_type
from audiomem_sql.columns.vector_index import COMPACT, VectorIndexOptions
from audiomem_sql.columns.views import strings, valid
from audiomem_sql.machine.spooled_arrays import SpooledRows
from audiomem_sql.storage.segment.catalog import Extent, VectorExtents

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import IndexParts, VectorCodec

#: Fewer rows than this, and vectors of fewer numbers, are compared one by one, which takes no longer.
LEAST_INDEXED_ROWS = 256
LEAST_INDEXED_DIMENSIONS = 16
#: Lists between two that a search reads are searched as well where they have at most so many bytes: they
#: save a request.
LIST_GAP_BYTES = 16 << 10


class VectorSpool:
    """The vectors of one column on their way into a segment, in memory or, when they are many, in a file.

    codec: that of other segments, whose vectors then stay as they are bit by bit. options: of an INDEXED
    column, whose vectors are kept as they are beside the index. codes: of any other column, without a codec.
    parts: as of WriteOptions.
    """

    def __init__(
        self,
        width: int,
        codec: VectorCodec | None = None,
        options: VectorIndexOptions | None = None,
        codes: str = COMPACT,
        parts: int = 1,
    ) -> None:
        self._parts = parts
        self._codec = codec
        self._options = options
        self._codes = codes
        self._width = width if options is None else options.dimensions or width
        self._rows = SpooledRows(self._width, "<f4")
        #: The codec of the index, once that is made.
        self.stored_codec: VectorCodec | None = None
        self._present: list[BoolArray] = []

    def add(self, array: pa.Array) -> None:
        """Append an array of FLOAT[n]."""
        present = valid(array)
        vectors = matrix(array)
        if not present.all():
            vectors = np.where(present[:, None], vectors, np.float32(0))
        self._rows.append(vectors[:, : self._width])
        self._present.append(present)

    def finish(self, store: Callable[[bytes], Extent]) -> VectorExtents | None:
        """Make the index, and put its parts where ``store`` puts bytes.

        None for an INDEXED column where there is too little to index.
        """
        present = np.concatenate([np.empty(0, bool), *self._present])
        if self._options is not None and (
            self._width < LEAST_INDEXED_DIMENSIONS or np.count_nonzero(present) < LEAST_INDEXED_ROWS
        ):
            self.close()
            return None
        codec = None if self._codec is None or self._codec.outgrown(len(present)) else self._codec
        options = self._options or VectorIndexOptions(codes=self._codes)
        from audiomem_sql.indexes.vectors import encoded_parts

        encoded = encoded_parts(self._rows, present, codec, embed=True, options=options, parts=self._parts)
        self.stored_codec = encoded.codec
        extents = stored_parts(encoded, store)
        self.close()
        return extents

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()


def stored_parts(encoded: IndexParts, store: Callable[[bytes], Extent], before: bytes = b"") -> VectorExtents:
    """Where ``store`` puts the parts of an index. before: stands in front of its header."""
    header, lists = store(before + encoded.header), tuple(store(part) for part in encoded.lists)
    return VectorExtents(header, lists, encoded.codec.trellis.width > 0)


def matrix(array: pa.Array) -> F32Array:
    """The vectors of an array of FLOAT[n] or INT8[n], float32 (rows, n); anything where it is NULL."""
    width = array.type.list_size
    data = strings(array).data
    if array.type.value_type.bit_width == 8:
        return data.view(np.int8).reshape(len(array), width).astype(np.float32)
    return data.view("<f4").reshape(len(array), width)


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


class ExtentsAhead:
    """The :class:`~audiomem_sql.indexes.vectors.FarLists` of an index in a segment that is far away.

    ahead: tells which bytes of the data stream will be read next, by offset and length. read: reads several
    extents at once. reach: of searches.
    """

    def __init__(
        self,
        extents: Sequence[Extent],
        ahead: Callable[[Iterable[tuple[int, int]]], None],
        read: Callable[[Sequence[Extent]], list[bytes]],
        reach: float,
    ) -> None:
        self.reach = reach
        self._extents, self._ahead, self._read = extents, ahead, read
        self._offsets = np.array([extent.offset for extent in extents], np.int64)
        self._ends = self._offsets + np.array([extent.stored for extent in extents], np.int64)
        self._by_offset = np.argsort(self._offsets, kind="stable")

    def prefetch(self, numbers: Sequence[int]) -> None:
        """Tell that lists will be read next."""
        self._ahead(
            [(int(self._offsets[each]), int(self._ends[each] - self._offsets[each])) for each in numbers]
        )

    def read(self, numbers: Sequence[int]) -> list[bytes]:
        """The bytes of lists, by one read."""
        return self._read([self._extents[number] for number in numbers])

    def along(self, visited: BoolArray) -> BoolArray:
        """The lists bool (lists,), and those in gaps between them that cost less than a request."""
        read = visited.copy()
        places = np.flatnonzero(visited[self._by_offset])
        for before, behind in pairwise(places.tolist()):
            first, last = self._by_offset[before], self._by_offset[behind]
            if self._offsets[last] - self._ends[first] <= LIST_GAP_BYTES:
                read[self._by_offset[before:behind]] = True
        return read
