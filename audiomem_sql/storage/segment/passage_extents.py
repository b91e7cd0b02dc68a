"""The passages of long texts in a segment: one index of their vectors, see ``indexes/vectors``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.text_vectors import Passages
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.indexes import vectors
from audiomem_sql.machine.spooled_arrays import SpooledRows
from audiomem_sql.storage.segment.catalog import Extent, VectorExtents
from audiomem_sql.storage.segment.vector_extents import VectorSpool, stored_parts

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorCodec


class PassageSpool:
    """The passages of one column on their way into a segment, in memory or, when they are many, in a file.

    width: numbers of a vector. first: the spool of the first passages' vectors, which is finished before and
    whose codec this one shares, if that can hold its vectors. codec: that of other segments, whose vectors
    then stay as they are bit by bit. codes: without either.
    """

    def __init__(
        self, width: int, first: VectorSpool, codec: VectorCodec | None, codes: str, parts: int = 1
    ) -> None:
        self._parts = parts
        self._width = width
        self._first = first
        self._codec = codec
        self._codes = codes
        self._rows = SpooledRows(width, "<f4")
        self._counts: list[int] = []
        self._spans: list[I64Array] = [np.empty((0, 2), np.int64)]

    def add(self, array: pa.Array) -> None:
        """Append an array of BLOB."""
        further = [np.empty((0, self._width), np.float32)]
        for value in array.to_pylist():
            if value is None:
                self._counts.append(0)
                continue
            passages = Passages.from_bytes(value, self._width)
            self._counts.append(len(passages.spans))
            self._spans.append(passages.spans)
            further.append(passages.further)
        self._rows.append(np.concatenate(further))

    def finish(self, store: Callable[[bytes], Extent]) -> VectorExtents:
        """Make the index, and put its parts where ``store`` puts bytes."""
        counts = np.array(self._counts, np.int64)
        spans = vectors.PassageMap(counts, np.concatenate(self._spans))
        shared, codec = self._first.stored_codec, self._codec
        if codec is None or codec.outgrown(len(self._rows)):
            codec = None if shared is None or shared.outgrown(len(self._rows)) else shared
        is_shared = codec is not None and shared is not None and codec.digest == shared.digest
        options = VectorIndexOptions(codes=self._codes)
        encoded = vectors.encoded_parts(
            self._rows, None, codec, embed=not is_shared, options=options, parts=self._parts
        )
        extents = stored_parts(encoded, store, spans.to_bytes())
        self.close()
        return extents

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()
