"""An index of the further passages of long texts: a row has any number of vectors.

It is a :class:`~audiomem_sql.indexes.vectors.index.VectorIndex` whose rows are entries: the passages of all
rows in their order, without the first one of each, whose vector is in the index of the column before. In
front of its header stand the passages of each row, and what characters they span. docs/VECTORS.md says what
is at which byte.
"""

from __future__ import annotations

import struct
from functools import cached_property

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.text_vectors import MAX_PASSAGES, Passages
from audiomem_sql.errors import DamagedFileError, FormatVersionError
from audiomem_sql.indexes.vectors.index import ReadList, VectorIndex
from audiomem_sql.indexes.vectors.opened_index import FindCodec, OpenedIndex
from audiomem_sql.indexes.vectors.packing import pack_bytes, unpack_bytes
from audiomem_sql.indexes.vectors.visits import FarLists

#: magic, version, three zeros, rows, passages, bytes of the packed counts and spans
PASSAGE_HEADER = struct.Struct("<4s B 3s Q Q I I")
MAGIC = b"AuPI"
VERSION = 1
#: Bytes of a count, and of a start or a length in characters.
_COUNT_BYTES = 2
_SPAN_BYTES = 4


class PassageMap:
    """The passages of each row: how many, and what characters they span.

    counts: int64 (rows,), 0 or 2 and more. spans: int64 (passages, 2), row by row.
    """

    def __init__(self, counts: I64Array, spans: I64Array) -> None:
        self.counts = counts
        self.spans = spans
        #: The first passage of each row, and its first entry; behind the last row all of them.
        self.starts = np.concatenate(([0], np.cumsum(counts)))
        self.entry_starts = np.concatenate(([0], np.cumsum(np.maximum(counts - 1, 0))))

    @property
    def entries(self) -> int:
        """The vectors of the index."""
        return int(self.entry_starts[-1])

    @cached_property
    def entry_rows(self) -> I64Array:
        """The row of each entry, int64 (entries,), rising."""
        return np.repeat(np.arange(len(self.counts)), np.diff(self.entry_starts))

    def entries_of(self, rows: I64Array) -> I64Array:
        """The entries of int64 (n,) rows, one row after another."""
        return _runs(self.entry_starts[rows], np.maximum(self.counts[rows] - 1, 0))

    def lengths_of(self, rows: I64Array) -> I64Array:
        """The characters of each passage of int64 (n,) rows, one row after another."""
        spans = self.spans[_runs(self.starts[rows], self.counts[rows])]
        lengths: I64Array = spans[:, 1] - spans[:, 0]
        return lengths

    def to_bytes(self) -> bytes:
        """What stands before the header of the index."""
        lengths = self.spans[:, 1] - self.spans[:, 0]
        counts = pack_bytes(_planes(self.counts, _COUNT_BYTES), level=9)
        packed = _planes(self.spans[:, 0], _SPAN_BYTES) + _planes(lengths, _SPAN_BYTES)
        spans = pack_bytes(packed, level=9)
        head = PASSAGE_HEADER.pack(
            MAGIC, VERSION, bytes(3), len(self.counts), len(self.spans), len(counts), len(spans)
        )
        return head + counts + spans

    @classmethod
    def from_bytes(cls, data: bytes, rows: int) -> tuple[PassageMap, int]:
        """The inverse, and where the header of the index begins.

        FormatVersionError for a newer version, DamagedFileError for what contradicts itself.
        """
        if len(data) < PASSAGE_HEADER.size:
            raise DamagedFileError("an index of passages is shorter than its header")
        magic, version, _, stated, total, count_bytes, span_bytes = PASSAGE_HEADER.unpack_from(data)
        if magic != MAGIC:
            raise DamagedFileError("an index of passages does not begin like one")
        if version != VERSION:
            raise FormatVersionError(f"an index of passages has version {version}, and {VERSION} is known")
        if stated != rows:
            raise DamagedFileError(f"an index of passages has {stated} rows where there are {rows}")
        middle = PASSAGE_HEADER.size + count_bytes
        end = middle + span_bytes
        counts = _numbers(unpack_bytes(data[PASSAGE_HEADER.size : middle], _COUNT_BYTES * rows), rows)
        if (counts == 1).any() or counts.max(initial=0) > MAX_PASSAGES or int(counts.sum()) != total:
            raise DamagedFileError("an index of passages has other counts than passages")
        numbers = _numbers(unpack_bytes(data[middle:end], 2 * _SPAN_BYTES * total), 2 * total, total)
        spans = np.stack([numbers[:total], numbers[:total] + numbers[total:]], axis=1)
        return cls(counts, spans), end


class OpenedPassages(OpenedIndex):
    """What a process keeps of an index of passages; ``map`` says whose they are."""

    def __init__(self, data: bytes, rows: int, find_codec: FindCodec | None = None) -> None:
        self.map, at = PassageMap.from_bytes(data, rows)
        super().__init__(data[at:], self.map.entries, find_codec)


class PassageIndex(VectorIndex):
    """The index opened for reading; its own rows are the entries. Safe to use from several threads.

    Parameters
    ----------
    data: the map and the header behind it.
    rows: rows of the segment.
    read_list: the bytes of list i.
    find_codec: the codec of a digest, which the index shares with that of the column of vectors.
    far, opened: as of ``VectorIndex``.
    """

    def __init__(
        self,
        data: bytes,
        rows: int,
        read_list: ReadList,
        find_codec: FindCodec | None = None,
        far: FarLists | None = None,
        opened: OpenedPassages | None = None,
    ) -> None:
        opened = opened or OpenedPassages(data, rows, find_codec)
        self.map = opened.map
        super().__init__(b"", self.map.entries, read_list, far=far, opened=opened)

    def values(self, rows: I64Array) -> list[bytes | None]:
        """What the column of passages holds in ``rows``, int64 (n,), rising."""
        counts = self.map.counts[rows]
        entries = self.map.entries_of(rows)
        vectors = self.vectors(entries) if len(entries) else np.empty((0, self.dimensions), np.float32)
        values: list[bytes | None] = []
        at = 0
        for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
            if not count:
                values.append(None)
                continue
            spans = self.map.spans[self.map.starts[row] : self.map.starts[row + 1]]
            values.append(Passages(spans, vectors[at : at + count - 1]).to_bytes())
            at += count - 1
        return values


def _runs(starts: I64Array, counts: I64Array) -> I64Array:
    """Runs of ``counts`` numbers, each from one of ``starts`` on."""
    ends = np.cumsum(counts)
    runs: I64Array = np.repeat(starts - (ends - counts), counts) + np.arange(int(counts.sum()))
    return runs


def _planes(numbers: I64Array, width: int) -> bytes:
    """Numbers as little-endian bytes, the lowest of all first, which packs better."""
    planes = np.ascontiguousarray(numbers.astype("<u8")).view(np.uint8).reshape(-1, 8)[:, :width]
    return np.ascontiguousarray(planes.T).tobytes()


def _numbers(planes: bytes, count: int, run: int | None = None) -> I64Array:
    """The inverse, of ``count`` numbers in runs of ``run``, each with its own planes."""
    run = count if run is None else run
    if not count:
        return np.empty(0, np.int64)
    width = len(planes) // count
    columns = np.frombuffer(planes, np.uint8).reshape(count // run, width, run).astype(np.int64)
    shifts = 8 * np.arange(width)[None, :, None]
    numbers: I64Array = (columns << shifts).sum(axis=1).reshape(count)
    return numbers
