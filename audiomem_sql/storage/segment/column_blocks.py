"""The blocks of a segment's columns, decoded, through the cache that all tables share."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import count
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.compression import Decompressor
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.blocks.encoding import decode, decode_coded, decode_stored_strings
from audiomem_sql.blocks.native_strings import Frames
from audiomem_sql.columns.stored_values import int64_view
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.memory import check_room, out_of_memory
from audiomem_sql.observe import hooks
from audiomem_sql.storage.segment.block_runs import GAP_BYTES, joined_extents, runs_of
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry
from audiomem_sql.storage.segment.column_numbers import CREATED, ROWID, name_of_column, type_of_column
from audiomem_sql.storage.segment.data_stream import REMEDY, DataStream
from audiomem_sql.storage.segment.joined_blocks import JoinedBlocks

#: Blocks up to this size are decompressed together: what they hold is in memory twice for a moment.
_SMALL_BLOCK_BYTES = 256 << 10

#: Why blocks cannot be read, by column and block number.
LostBlocks = Mapping[int, Mapping[int, str]]

_NOTHING_LOST: LostBlocks = {}


class WholeBlock(NamedTuple):
    """Rows and NULLs of a block of which only the first rows are shown."""

    rows: int
    nulls: int


_NONE_IS_CUT: Mapping[tuple[int, int], WholeBlock] = {}
_owners = count()


class ColumnBlocks:
    """Finds, reads and decodes the blocks of one segment. Safe to use from several threads.

    lost: blocks that are known to be lost. Reading one raises DamagedFileError. whole: by column and number,
    blocks that have more rows than the catalog says; the others are cut off.
    """

    def __init__(
        self,
        stream: DataStream,
        catalog: Catalog,
        cache: BlockCache,
        lost: LostBlocks = _NOTHING_LOST,
        whole: Mapping[tuple[int, int], WholeBlock] = _NONE_IS_CUT,
    ) -> None:
        self._stream = stream
        self.is_planned = stream.is_planned
        self._catalog = catalog
        self._schema = catalog.schema
        self._rowid_column = catalog.schema.rowid_column
        self._cache = cache
        self._lost = lost
        self._whole = whole
        #: What the keys of the cache begin with; never used again in this process.
        self._owner = next(_owners)
        self._joined = JoinedBlocks(cache, self._owner)
        self._decompressors: dict[int, Decompressor] = {}
        self._lock = threading.Lock()

    def entry(self, column: int) -> ColumnEntry | None:
        """The catalog entry that stores ``column``; None for the run first_rowid, first_rowid + 1, …."""
        if column == ROWID or column == self._rowid_column:
            return self._catalog.rowids
        if column < 0:
            return self._catalog.created if column == CREATED else self._catalog.ended
        return self._catalog.entries[column]

    def directory(self, column: int) -> BlockDirectory | None:
        """The block directory of ``column``; None where :meth:`entry` is None."""
        entry = self.entry(column)
        return None if entry is None else entry.blocks

    def _directory(self, column: int, numbers: Sequence[int]) -> BlockDirectory:
        """One that is right for the blocks ``numbers`` of ``column``."""
        directory = self.directory(column)
        assert directory is not None
        return directory.among(numbers)

    def block(self, column: int, number: int) -> pa.Array:
        """Block ``number`` of ``column``, decoded."""
        if column == self._rowid_column:
            column = ROWID
        array = self._kept(column, number)
        return self._decode(column, number) if array is None else array

    def _kept(self, column: int, number: int, coded: bool = False) -> pa.Array | None:
        """A block that is in the cache, by itself or among others."""
        array = self._cache.get(self._key(column, number, coded))
        if array is None and not coded and (found := self._joined.get(column, number)):
            return self._part(column, *found, range(number, number + 1))
        return array

    def _part(self, column: int, array: pa.Array, joined: range, numbers: range) -> pa.Array:
        """Those of the rows of blocks that were joined which are of blocks ``numbers``."""
        starts = self._directory(column, numbers).starts
        first, low, high = (int(starts[each]) for each in (joined.start, numbers.start, numbers.stop))
        return array.slice(low - first, high - low)

    def span(self, column: int, span: range, *, coded: bool = False) -> list[pa.Array]:
        """All rows of the blocks ``span`` of ``column``, in order, in as few arrays as they were decoded in.

        coded: as in :meth:`blocks`.
        """
        if coded or len(span) < 2:
            return self.blocks(column, span, coded=coded)
        if column == self._rowid_column:
            column = ROWID
        found: dict[int, pa.Array] = {}
        missing: list[int] = []
        number = span.start
        while number < span.stop:
            joined = self._joined.get(column, number)
            if joined is not None:
                part = range(number, min(joined[1].stop, span.stop))
                found[number] = self._part(column, *joined, part)
                number = part.stop
                continue
            array = self._cache.get(self._key(column, number, False))
            if array is None:
                missing.append(number)
            else:
                found[number] = array
            number += 1
        if len(missing) > 1 and self.is_planned:
            self._ask_for([(column, missing)])
        for run in self._runs(column, missing):
            found |= self._decoded_run(column, run, coded=False, joined=True)
        return [found[number] for number in sorted(found)]

    def blocks(self, column: int, numbers: Sequence[int], *, coded: bool = False) -> list[pa.Array]:
        """Blocks of ``column``, by ascending ``numbers``.

        Those that lie side by side in the file are read at once.
        coded: as dictionary arrays with int32 codes, for a column of texts.
        """
        if column == self._rowid_column:
            column = ROWID
        arrays = {number: self._kept(column, number, coded) for number in numbers}
        missing = [number for number, array in arrays.items() if array is None]
        if len(missing) > 1 and self.is_planned:
            self._ask_for([(column, missing)])
        for run in self._runs(column, missing):
            arrays |= self._decoded_run(column, run, coded=coded, joined=False)
        return list(arrays.values())

    def _decoded_run(self, column: int, run: list[int], *, coded: bool, joined: bool) -> dict[int, pa.Array]:
        """The blocks of a run, decoded, and kept; joined: several may be one, under the first number."""
        stored = self._stored_run(column, run)
        if joined and stored and (arrays := self._joined_run(column, run, stored)):
            return arrays
        whole = self._decompressed_run(column, stored)
        return {
            number: self._decode(column, number, stored.get(number), whole.get(number), coded=coded)
            for number in run
        }

    def _joined_run(self, column: int, run: list[int], stored: dict[int, memoryview]) -> dict[int, pa.Array]:
        """The blocks of a run in arrays of several, under the first number of each.

        Empty where each is better decoded alone, such as a damaged one, which is then told or mended.
        """
        if self._lost or self._whole:
            return {}
        directory, type_ = self._directory(column, run), type_of_column(self._schema, column)
        arrays: dict[int, pa.Array] = {}
        data = stored[run[0]].obj
        assert isinstance(data, bytes)
        for numbers in self._joined.groups(directory, type_, run):
            check_interrupt()
            some = slice(numbers.start, numbers.stop)
            places = directory.offsets[some] - int(directory.offsets[run[0]])
            frames = Frames(data, places, directory.stored[some], directory.raw[some])
            check_room(2 * int(frames.raw.sum()), self._stream.path)
            try:
                rows = np.diff(directory.starts[numbers.start : numbers.stop + 1])
                array = decode_stored_strings(self._decompressor(column), frames, rows, type_)
            except (DamagedFileError, MemoryError):
                return {}
            self._joined.put(column, numbers, array)
            arrays[numbers.start] = array
        return arrays

    def prefetch(self, wanted: Iterable[tuple[int, Sequence[int]]]) -> None:
        """Tell which blocks will be read next, by column: a store is asked for all of them at once."""
        if self.is_planned:
            self._ask_for(
                (column, [number for number in numbers if not self._is_decoded(column, number)])
                for column, numbers in wanted
            )

    def expect(
        self, directories: Iterable[tuple[int, BlockDirectory]], rows: I64Array | Sequence[int]
    ) -> None:
        """Tell, before it is known which blocks ``rows`` are in, what will be read to know it.

        A store is asked for the dictionaries of these columns at the same time.
        """
        extents: list[tuple[int, int]] = []
        for column, directory in directories:
            expected = directory.expected(rows)
            entry = self.entry(column)
            dictionary = None if entry is None or column in self._decompressors else entry.dictionary
            if expected and dictionary is not None:
                extents.append((dictionary.offset, dictionary.stored))
            extents += expected
        if extents:
            self._stream.prefetch(extents)

    def _is_decoded(self, column: int, number: int) -> bool:
        """Whether a block is in the cache, in either form."""
        return any(self._kept(column, number, coded) is not None for coded in (False, True))

    def _ask_for(self, wanted: Iterable[tuple[int, Sequence[int]]]) -> None:
        """Ask a store for blocks, by column, and the dictionaries that they need."""
        extents: list[tuple[int, int]] = []
        for column, here in wanted:
            entry = self.entry(column)
            if entry is None:
                continue
            if here and entry.dictionary is not None and column not in self._decompressors:
                extents.append((entry.dictionary.offset, entry.dictionary.stored))
            blocks = entry.blocks.among(here)
            extents += joined_extents(
                zip(blocks.offsets[here].tolist(), blocks.stored[here].tolist(), strict=True)
            )
        self._stream.prefetch(extents)

    def forget(self) -> None:
        """Drop the segment's blocks from the cache."""
        self._cache.discard(self._owner)

    @property
    def cache_bytes(self) -> int:
        """What the cache keeps."""
        return self._cache.capacity

    def read_once(self) -> AbstractContextManager[None]:
        """While this lasts, blocks that this thread reads are not kept in the cache."""
        return self._cache.bypassed()

    def _key(self, column: int, number: int, coded: bool) -> tuple[int, ...]:
        return (self._owner, column, number, 1) if coded else (self._owner, column, number)

    def _runs(self, column: int, numbers: list[int]) -> Iterator[list[int]]:
        """The blocks in groups that are worth one read."""
        # what was asked for has come without what is in between
        return runs_of(self._directory(column, numbers), numbers, 0 if self.is_planned else GAP_BYTES)

    def _stored_run(self, column: int, run: list[int]) -> dict[int, memoryview]:
        """The stored bytes of the blocks of a run. Empty where damage makes each block be read alone."""
        if len(run) == 1:
            return {}
        directory = self._directory(column, run)
        first = int(directory.offsets[run[0]])
        try:
            data = self._stream.read(
                first, int(directory.offsets[run[-1]] + directory.stored[run[-1]]) - first
            )
        except DamagedFileError:
            return {}
        view = memoryview(data)
        starts = {number: int(directory.offsets[number]) - first for number in run}
        return {
            number: view[start : start + int(directory.stored[number])] for number, start in starts.items()
        }

    @hooks.staged("decode")
    def _decompressed_run(self, column: int, stored: dict[int, memoryview]) -> dict[int, bytes]:
        """The bytes of the blocks of a run. Empty where each is better decompressed alone."""
        if len(stored) < 2:
            return {}
        directory = self._directory(column, list(stored))
        sizes = {number: int(directory.raw[number]) for number in stored}
        if not all(sizes.values()) or max(sizes.values()) > _SMALL_BLOCK_BYTES:
            return {}
        check_interrupt()
        check_room(2 * sum(sizes.values()), self._stream.path)
        decompressor = self._decompressor(column)
        try:  # what is damaged or too large is told of its block
            found = decompressor.decompress_many(list(stored.values()), list(sizes.values()))
        except MemoryError:
            return {}
        return {} if found is None else dict(zip(sizes, found, strict=True))

    @hooks.staged("decode")
    def _decode(
        self,
        column: int,
        number: int,
        stored: memoryview | None = None,
        whole: bytes | None = None,
        *,
        coded: bool = False,
    ) -> pa.Array:
        """Block ``number``, decoded and put into the cache.

        stored: its stored bytes, if they were read already. whole: these, decompressed already.
        """
        check_interrupt()
        if self._lost:
            self._check_present(column, number)
        array = self._decoded(column, number, stored, whole, coded)
        self._cache.put(self._key(column, number, coded), array, array.nbytes)
        return array

    def _check_present(self, column: int, number: int) -> None:
        reason = self._lost.get(column, {}).get(number)
        if reason is not None:
            raise self._lost_block(column, number, reason)

    def _lost_block(self, column: int, number: int, reason: str) -> DamagedFileError:
        return DamagedFileError(
            f"block {number} is lost: {reason}",
            file=self._stream.path,
            place=f"column {name_of_column(self._schema, column)}",
            remedy=REMEDY,
        )

    def _decoded(
        self, column: int, number: int, stored: memoryview | None, whole: bytes | None, coded: bool
    ) -> pa.Array:
        directory = self._directory(column, (number,))
        if number in directory.lost:
            raise self._lost_block(column, number, directory.lost[number])
        raw = int(directory.raw[number])
        shown = int(directory.starts[number + 1] - directory.starts[number])
        rows, nulls = self._whole.get((column, number)) or (shown, int(directory.zones.nulls[number]))
        check_room(2 * raw, self._stream.path)
        try:
            data = b""
            if whole is not None:
                data = whole
            elif raw and stored is not None:
                data = self._decompressor(column).decompress(stored, raw)
            elif raw:
                start, length = int(directory.offsets[number]), int(directory.stored[number])
                data = self._stream.frame(start, length, raw, self._decompressor(column))
            array = (decode_coded if coded else decode)(
                int(directory.encodings[number]),
                data,
                rows,
                nulls,
                type_of_column(self._schema, column),
            )
            if rows > shown:
                array = array.slice(0, shown)
            if column == ROWID:
                _check_rowids(array, directory, number, unique=self._catalog.created is None)
            return array
        except DamagedFileError as error:
            if error.file is None:
                page = self._stream.page(int(directory.offsets[number]))
                place = f"page {page}, column {name_of_column(self._schema, column)}, block {number}"
                error.at(file=self._stream.path, place=place, remedy=REMEDY)
            raise
        except MemoryError:
            raise out_of_memory(self._stream.path) from None

    def _decompressor(self, column: int) -> Decompressor:
        decompressor = self._decompressors.get(column)
        if decompressor is None:
            with self._lock:
                decompressor = self._decompressors.get(column)
                if decompressor is None:
                    entry = self.entry(column)
                    extent = None if entry is None else entry.dictionary
                    dictionary = None if extent is None else self._stream.extent(extent)
                    decompressor = self._decompressors[column] = Decompressor(dictionary)
        return decompressor


def _check_rowids(array: pa.Array, directory: BlockDirectory, number: int, *, unique: bool) -> None:
    """DamagedFileError (without a place) unless the rowids rise between the zone map's bounds."""
    values, zones = int64_view(array), directory.zones
    assert zones.low is not None
    assert zones.high is not None
    ends = int(zones.low[number]), int(zones.high[number])
    falls = values[1:] <= values[:-1] if unique else values[1:] < values[:-1]
    if falls.any() or (int(values[0]), int(values[-1])) != ends:
        raise DamagedFileError("the rowids are not in order, or not those of the zone map")
