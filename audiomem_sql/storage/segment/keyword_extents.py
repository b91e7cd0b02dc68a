"""The words of an INDEXED column in a segment: an index for BM25, beside the blocks of its texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.indexes import words
from audiomem_sql.storage.segment.catalog import Extent, KeywordExtents


class KeywordSpool:
    """Collects the words of one column on their way into a segment, in a file when they are many."""

    def __init__(self, tokenize: str) -> None:
        self._writer = words.KeywordWriter(tokenize)

    def add(self, array: pa.Array) -> None:
        """Append an array of texts."""
        self._writer.add(array)

    def finish(self, store: Callable[[bytes], Extent], put: Callable[[bytes], Extent]) -> KeywordExtents:
        """Make the index.

        store: stores bytes that are read at once, compressed.
        put: stores bytes as they are, to be read in parts.
        """
        encoded = self._writer.finish()
        self.close()
        return KeywordExtents(store(encoded.header), put(b"".join(encoded.pieces)))

    def close(self) -> None:
        """Let go of the files."""
        self._writer.close()


def open_keywords(
    header: bytes,
    pieces: Extent,
    rows: int,
    read: Callable[[int, int], bytes],
    texts: Callable[[I64Array], pa.Array],
    prefetch: Callable[[list[tuple[int, int]]], None] | None,
) -> words.KeywordIndex:
    """The index with this ``header``.

    read: gives bytes of the data stream by place and length. texts: gives the texts of rows, int64 (n,).
    prefetch: tells which bytes will be read next, in the same way.
    """
    starts = np.empty(0, np.int64)

    def place(number: int) -> tuple[int, int]:
        return pieces.offset + int(starts[number]), int(index.directory.piece_sizes[number])

    def piece(number: int) -> bytes:
        return read(*place(number))

    def ahead(numbers: Iterable[int]) -> None:
        assert prefetch is not None
        prefetch([place(number) for number in numbers])

    index = words.KeywordIndex(header, piece, rows, texts, ahead if prefetch is not None else None)
    sizes = index.directory.piece_sizes
    starts = np.cumsum(sizes) - sizes
    return index
