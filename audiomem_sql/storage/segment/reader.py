"""A segment: an immutable FLAC file of rows in rowid order, read block by block.

    pages 0 … c-1       the catalog
    pages c … n-c-1     the data stream: blocks, dictionaries, filters
    pages n-c … n-1     the catalog again

Opening reads the catalog only. A column is named by its place in the schema, or by ROWID.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.bloom import BloomFilter, hash_keys
from audiomem_sql.blocks.compression import Decompressor
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.blocks.encoding import decode, decode_coded, decode_integers
from audiomem_sql.columns.selection import taken
from audiomem_sql.columns.stored_values import filled, int64_view, integer_array
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.words.index import KeywordIndex
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.machine.limits import Limits, limits_of
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry, Extent
from audiomem_sql.storage.segment.catalog_copies import any_catalog, first_pages, raw_catalog
from audiomem_sql.storage.segment.keyword_extents import open_keywords
from audiomem_sql.storage.segment.vector_extents import ListReader, array_of_vectors

#: The column number of the rowid, which every table has and no schema lists.
ROWID = -1
#: The columns of the versions that made and that deleted each row, where a segment has them.
CREATED = -2
ENDED = -3
#: Stands for "not deleted" where versions are compared.
NEVER = (1 << 63) - 1
_HIDDEN = {ROWID: "rowid", CREATED: "created", ENDED: "ended"}
#: Blocks that are needed together are read at once, up to so many bytes, with so many that are not needed in between.
RUN_BYTES = 1 << 20
GAP_BYTES = 16 << 10
#: Most deleted rows that one segment can list.
MAX_TOMBSTONES = 1 << 26

#: Number of rowids in the list of deleted rows; the rowids follow as in a block of INTEGERS.
TOMBSTONES_HEADER = struct.Struct("<Q")

_INTEGER = ColumnType(Kind.INTEGER)
_NO_ROWS = range(0)
_REMEDY = "Restore it from a copy. `audiomem verify` lists all damage, `audiomem salvage` saves the rest."


class Segment:
    """A segment file opened for reading. Safe to use from several threads."""

    def __init__(
        self,
        file: PagedFile,
        catalog: Catalog,
        data_page: int,
        cache: BlockCache,
        identity: tuple[int, int] | None = None,
    ) -> None:
        self.path = file.path
        #: Which file this is, whatever is at ``path`` by now.
        self.identity = identity
        self.file = file
        self.catalog = catalog
        self.schema = catalog.schema
        self.rows = catalog.rows
        self.data_page = data_page
        self._cache = cache
        cache.make_room(self.limits.cache_bytes)
        self._decompressors: dict[int, Decompressor] = {}
        self._blooms: dict[int, BloomFilter | None] = {}
        self._key_blooms: dict[int, BloomFilter | None] = {}
        self._vector_indexes: dict[int, VectorIndex] = {}
        self._keyword_indexes: dict[int, KeywordIndex] = {}
        self._rowids: I64Array | None = None
        #: Of each column and collation, or key of several columns, that was looked up: how often, or its index once made (see lookup).
        self.indexes: dict[tuple[int | tuple[int, ...], str], Any] = {}
        #: The segment with the columns of other schemas (see evolved_segment).
        self.evolved: WeakValueDictionary[Any, Segment] = WeakValueDictionary()
        #: Leave out rows that cannot be recovered, instead of raising an error.
        self.skip_damage = False
        #: Put NULL for values that cannot be recovered, in rows whose rowid can.
        self.null_damage = False
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: str, cache: BlockCache = SHARED) -> Segment:
        """Open ``path``, reading the catalog at the front, or the one at the end when the first is damaged."""
        identity = file_identity(path)
        file = PagedFile.open(path)
        try:
            catalog, pages = any_catalog(file)
            if catalog.segment_id != file.header.segment_id:
                raise DamagedFileError("the catalog belongs to another segment", file=path)
            return cls(file, catalog, pages, cache, identity)
        except AudioMemError as error:
            file.close()
            error.at(file=path, place="catalog")
            raise
        except BaseException:
            file.close()
            raise

    @property
    def limits(self) -> Limits:
        """Of the profile that the segment was written with."""
        return limits_of(self.catalog.options.get("profile"))

    def forget(self) -> None:
        """Let go of its blocks in the cache."""
        self._cache.discard(id(self))

    def close(self) -> None:
        """Close the file and forget its blocks."""
        self.forget()
        self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.close()

    def read_once(self) -> AbstractContextManager[None]:
        """While this lasts, blocks that this thread reads are not kept in the cache."""
        return self._cache.bypassed()

    # -- blocks ---------------------------------------------------------------------------------------------------

    def entry(self, column: int) -> ColumnEntry | None:
        """The catalog entry that stores ``column``; None when it is the run first_rowid, first_rowid + 1, …"""
        if column == ROWID or column == self.schema.rowid_column:
            return self.catalog.rowids
        if column < 0:
            return self.catalog.created if column == CREATED else self.catalog.ended
        return self.catalog.entries[column]

    def directory(self, column: int) -> BlockDirectory | None:
        """The block directory of ``column``; None where :meth:`entry` is None."""
        entry = self.entry(column)
        return None if entry is None else entry.blocks

    def column_type(self, column: int) -> ColumnType:
        """The type of ``column``."""
        return _INTEGER if column < 0 else self.schema.columns[column].type

    def is_derived(self, column: int) -> bool:
        """Whether ``column`` has the vectors of texts, which can be made anew."""
        return column >= 0 and self.schema.columns[column].vector_of >= 0

    def column_name(self, column: int) -> str:
        """The name of ``column`` in messages."""
        return _HIDDEN.get(column) or self.schema.columns[column].name

    def block(self, column: int, number: int) -> pa.Array:
        """Block ``number`` of ``column``, decoded."""
        if column == self.schema.rowid_column:
            column = ROWID
        array = self._cache.get((id(self), column, number))
        return self._decode(column, number) if array is None else array

    def blocks(self, column: int, numbers: Sequence[int], *, coded: bool = False) -> list[pa.Array]:
        """Blocks of ``column``, by ascending ``numbers``; those that lie side by side in the file are read at once.

        coded: as dictionary arrays with int32 codes, for a column of texts.
        """
        if column == self.schema.rowid_column:
            column = ROWID
        found = {number: self._cache.get(self._key(column, number, coded)) for number in numbers}
        missing = [number for number, array in found.items() if array is None]
        for run in self._runs(column, missing):
            stored = self._stored_run(column, run)
            for number in run:
                found[number] = self._decode(column, number, stored.get(number), coded=coded)
        return list(found.values())

    def _runs(self, column: int, numbers: list[int]) -> Iterator[list[int]]:
        """The blocks in groups that are worth one read."""
        directory = self.directory(column)
        assert directory is not None
        run: list[int] = []
        for number in numbers:
            if run:
                end = int(directory.offsets[run[-1]] + directory.stored[run[-1]])
                whole = int(directory.offsets[number] + directory.stored[number] - directory.offsets[run[0]])
                gap = int(directory.offsets[number]) - end  # below 0: one is lost, or matters more
                if not 0 <= gap <= GAP_BYTES or whole > RUN_BYTES:
                    yield run
                    run = []
            run.append(number)
        if run:
            yield run

    def _stored_run(self, column: int, run: list[int]) -> dict[int, Any]:
        """The stored bytes of the blocks of a run; nothing for those that each must be read alone, because of damage."""
        directory = self.directory(column)
        assert directory is not None
        if len(run) == 1:
            return {}
        first = int(directory.offsets[run[0]])
        try:
            data = self._read(first, int(directory.offsets[run[-1]] + directory.stored[run[-1]]) - first)
        except DamagedFileError:
            return {}
        view = memoryview(data)
        places = {number: int(directory.offsets[number]) - first for number in run}
        return {number: view[at : at + int(directory.stored[number])] for number, at in places.items()}

    def _key(self, column: int, number: int, coded: bool) -> tuple[int, ...]:
        """Where the cache has a block."""
        return (id(self), column, number, 1) if coded else (id(self), column, number)

    def _decode(self, column: int, number: int, given: Any = None, *, coded: bool = False) -> pa.Array:
        """Block ``number``, decoded and put into the cache; ``given``: its stored bytes, if they were read already."""
        array = self._decoded(column, number, given, coded)
        self._cache.put(self._key(column, number, coded), array, array.nbytes)
        return array

    def _decoded(self, column: int, number: int, given: Any, coded: bool) -> pa.Array:
        directory = self.directory(column)
        assert directory is not None
        raw = int(directory.raw[number])
        rows = int(directory.starts[number + 1] - directory.starts[number])
        try:
            data = b""
            if raw:
                stored = given
                if stored is None:
                    stored = self._read(int(directory.offsets[number]), int(directory.stored[number]))
                data = self._decompressor(column).decompress(stored, raw)
            array = (decode_coded if coded else decode)(
                int(directory.encodings[number]),
                data,
                rows,
                int(directory.zones.nulls[number]),
                self.column_type(column),
            )
            if column == ROWID:
                _check_rowids(array, directory, number, unique=self.catalog.created is None)
            return array
        except DamagedFileError as error:
            if error.file is None:
                start = self._page(int(directory.offsets[number]))
                place = f"page {start}, column {self.column_name(column)}, block {number}"
                error.at(file=self.path, place=place, remedy=_REMEDY)
            raise

    def _page(self, offset: int) -> int:
        """The page that holds byte ``offset`` of the data stream."""
        return self.file.page_at(self.data_page, offset)

    def _read(self, offset: int, length: int) -> bytes:
        return self.file.read(self.data_page, offset, length)

    def extent(self, extent: Extent) -> bytes:
        """The bytes of an extent, decompressed."""
        try:
            return Decompressor().decompress(self._read(extent.offset, extent.stored), extent.raw)
        except DamagedFileError as error:
            self._at(error, extent)
            raise

    def dictionary(self, column: int) -> bytes | None:
        """The compression dictionary of ``column``."""
        entry = self.entry(column)
        return None if entry is None or entry.dictionary is None else self.extent(entry.dictionary)

    def _decompressor(self, column: int) -> Decompressor:
        found = self._decompressors.get(column)
        if found is None:
            with self._lock:
                found = self._decompressors.get(column)
                if found is None:
                    found = self._decompressors[column] = Decompressor(self.dictionary(column))
        return found

    # -- values ---------------------------------------------------------------------------------------------------

    def holds_vectors(self, column: int) -> bool:
        """Whether an index stands for the blocks of ``column``."""
        return column in self.catalog.vectors

    def is_index_only(self, column: int) -> bool:
        """Whether ``column`` has neither blocks nor zone maps, but an index."""
        return column in self.catalog.vectors

    def vector_index(self, column: int) -> VectorIndex | None:
        """The index that stands for the blocks of ``column``; None for any other. Its header is read at the first call."""
        extents = self.catalog.vectors.get(column)
        if extents is None:
            return None
        found = self._vector_indexes.get(column)
        if found is None:
            with self._lock:
                found = self._vector_indexes.get(column)
                if found is None:
                    try:
                        found = VectorIndex(
                            self.extent(extents.header), self.rows, ListReader(extents.lists, self.extent)
                        )
                    except DamagedFileError as error:
                        self._at(error, extents.header)
                        raise
                    self._vector_indexes[column] = found
        return found

    def keyword_index(self, column: int) -> KeywordIndex | None:
        """The keyword index of ``column``; None if it has none. Its header is read at the first call."""
        extents = self.catalog.keywords.get(column)
        if extents is None:
            return None
        found = self._keyword_indexes.get(column)
        if found is None:
            try:
                found = open_keywords(
                    self.extent(extents.header),
                    extents.pieces,
                    self.rows,
                    self._read,
                    partial(self.take, column),
                )
            except DamagedFileError as error:
                self._at(error, extents.header)
                raise
            self._keyword_indexes[column] = found
        return found

    def _vectors(self, column: int, rows: I64Array) -> pa.Array:
        """The vectors of ``rows``, int64 (n,), as they were stored."""
        index = self.vector_index(column)
        assert index is not None
        try:
            return array_of_vectors(index.vectors(rows), self.column_type(column))
        except DamagedFileError as error:
            self._at(error, self.catalog.vectors[column].header)
            raise

    def slice(self, column: int, start: int, stop: int, *, coded: bool = False) -> pa.Array:
        """Rows start … stop - 1 of ``column`` as one array; ``coded``: see :meth:`blocks`."""
        if self.holds_vectors(column):
            return self._vectors(column, np.arange(start, stop, dtype=np.int64))
        directory = self.directory(column)
        if directory is None:
            first = self.catalog.first_rowid
            assert first is not None
            return integer_array(np.arange(first + start, first + stop, dtype=np.int64))
        pieces = []
        span = directory.span(start, stop)
        for number, array in zip(span, self.blocks(column, span, coded=coded), strict=True):
            low = int(directory.starts[number])
            pieces.append(array.slice(max(start - low, 0), stop - max(start, low)))
        return self._joined(pieces, column)

    def _joined(self, pieces: list[pa.Array], column: int) -> pa.Array:
        if len(pieces) == 1:
            return pieces[0]
        return pa.concat_arrays(pieces) if pieces else pa.nulls(0, arrow_type(self.column_type(column)))

    def take(self, column: int, rows: I64Array, *, coded: bool = False) -> pa.Array:
        """The values of ``column`` at ``rows``, ascending int64 (n,); only the blocks that hold them are decoded.

        coded: see :meth:`blocks`.
        """
        if self.holds_vectors(column):
            return self._vectors(column, rows)
        directory = self.directory(column)
        if directory is None:
            first = self.catalog.first_rowid
            assert first is not None
            return integer_array(rows + first)
        numbers = np.searchsorted(directory.starts, rows, side="right") - 1
        pieces = []
        needed = np.unique(numbers).tolist()
        for number, block in zip(needed, self.blocks(column, needed, coded=coded), strict=True):
            low, high = np.searchsorted(numbers, [number, number + 1])
            places = rows[low:high] - directory.starts[number]
            if len(places) == len(block):
                pieces.append(block)
            elif int(places[-1]) - int(places[0]) == len(places) - 1:
                pieces.append(block.slice(int(places[0]), len(places)))
            else:
                pieces.append(taken(block, places))
        return self._joined(pieces, column)

    # -- rowids and keys ------------------------------------------------------------------------------------------

    def rowids(self) -> I64Array:
        """All rowids, int64 (rows,), ascending. Kept after the first call."""
        if self._rowids is None:
            self._rowids = int64_view(self.slice(ROWID, 0, self.rows))
        return self._rowids

    def rowid(self, row: int) -> int:
        """The rowid of ``row``."""
        first = self.catalog.first_rowid
        return int(self.rowids()[row]) if first is None else first + row

    def created(self) -> I64Array:
        """The version that made each row, int64 (rows,)."""
        if self.catalog.created is None:
            return np.full(self.rows, self.catalog.last_version, np.int64)
        return int64_view(self.slice(CREATED, 0, self.rows))

    def ended(self) -> I64Array:
        """The version that deleted each row, int64 (rows,); NEVER for those that no commit of this segment deleted."""
        if self.catalog.ended is None:
            return np.full(self.rows, NEVER, np.int64)
        return filled(self.slice(ENDED, 0, self.rows), NEVER)

    def find(self, rowid: int) -> range:
        """The rows that have ``rowid``: one at most, unless the segment holds several commits."""
        if not self.rows or not self.catalog.low_rowid <= rowid <= self.catalog.high_rowid:
            return _NO_ROWS
        if self.catalog.first_rowid is not None:
            row = rowid - self.catalog.first_rowid
            return range(row, row + 1)
        if self._rowids is None and self.rows > 4096 and not self.may_contain(ROWID, rowid):
            return _NO_ROWS
        rowids = self.rowids()
        row = int(np.searchsorted(rowids, rowid))
        if row == self.rows or rowids[row] != rowid:
            return _NO_ROWS
        return range(row, int(np.searchsorted(rowids, rowid, side="right")))

    def find_many(self, rowids: I64Array) -> I64Array:
        """The rows that have ``rowids``, int64 (n,); those that are not here are left out."""
        if not self.rows or not len(rowids):
            return np.empty(0, np.int64)
        if self.catalog.first_rowid is not None:
            inside = (rowids >= self.catalog.low_rowid) & (rowids <= self.catalog.high_rowid)
            return np.sort(rowids[inside] - self.catalog.first_rowid)
        own, wanted = self.rowids(), np.unique(rowids)
        if self.catalog.created is not None:  # a rowid may be there several times
            places = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
            return np.flatnonzero(wanted[places] == own)
        rows = np.minimum(np.searchsorted(own, wanted), self.rows - 1)
        found: I64Array = rows[own[rows] == wanted]
        return found

    def may_contain(self, column: int, key: int | str | bytes) -> bool:
        """Whether ``column`` may hold ``key``, by its Bloom filter; True when it has none."""
        try:
            bloom = self.bloom(column)
        except DamagedFileError:
            if not self.skip_damage:
                raise
            return True
        if bloom is None:
            return True
        return bool(bloom.may_contain(hash_keys([key]))[0])

    def bloom(self, column: int) -> BloomFilter | None:
        """The Bloom filter of ``column``, read at the first call."""
        if column not in self._blooms:
            entry = self.entry(column)
            self._blooms[column] = None if entry is None else self._filter(entry.bloom)
        return self._blooms[column]

    def key_bloom(self, number: int) -> BloomFilter | None:
        """The Bloom filter of a key of several columns, by its place in ``schema.combined_keys``, read at the first call."""
        if number not in self._key_blooms:
            self._key_blooms[number] = self._filter(self.catalog.key_blooms[number])
        return self._key_blooms[number]

    def _filter(self, extent: Extent | None) -> BloomFilter | None:
        if extent is None:
            return None
        try:
            return BloomFilter(np.frombuffer(self.extent(extent), np.uint8))
        except DamagedFileError as error:
            self._at(error, extent)
            raise

    def check_copies(self) -> None:
        """DamagedFileError unless all copies of the catalog are the same."""
        for other in list(first_pages(self.file))[1:]:
            if raw_catalog(self.file, other) != raw_catalog(self.file, 0):
                raise DamagedFileError(
                    "two copies of the catalog differ", file=self.path, place=f"page {other}"
                )

    def check_places(self) -> None:
        """DamagedFileError unless everything in the data stream has a place of its own, with nothing in between."""
        catalog = self.catalog
        found = [np.empty((0, 2), np.int64)]
        for entry in (*catalog.entries, catalog.rowids, catalog.created, catalog.ended):
            found.extend(_places(entry))
        lists = [each for index in catalog.vectors.values() for each in (index.header, *index.lists)]
        lists += [each for words in catalog.keywords.values() for each in (words.header, words.pieces)]
        for extent in (*catalog.key_blooms, catalog.tombstones, catalog.sources, *lists):
            if extent is not None:
                found.append(np.array([[extent.offset, extent.stored]], np.int64))
        places = np.concatenate(found)
        places = places[np.lexsort((places[:, 1], places[:, 0]))]
        ends = np.concatenate([np.zeros(1, np.int64), places.sum(axis=1)])
        if (np.concatenate([places[:, 0], [catalog.data_bytes]]) != ends).any():
            raise DamagedFileError(
                "the data stream has gaps, or two things at one place", file=self.path, place="catalog"
            )

    def tombstones(self) -> tuple[I64Array, I64Array]:
        """Rowids that this segment's commits deleted from segments before it, and the versions that did, int64 (n,) each.

        Ascending by rowid; no rowid is there twice, because after the first deletion it can only be in this segment.
        """
        extent = self.catalog.tombstones
        if extent is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        try:
            return _decode_tombstones(self.extent(extent), self.catalog)
        except DamagedFileError as error:
            self._at(error, extent)
            raise

    def _at(self, error: DamagedFileError, extent: Extent) -> None:
        """Give ``error`` the place of ``extent``, unless it has one."""
        if error.file is None:
            error.at(file=self.path, place=f"page {self._page(extent.offset)}", remedy=_REMEDY)


def _check_rowids(array: pa.Array, directory: BlockDirectory, number: int, *, unique: bool) -> None:
    """DamagedFileError (without a place) unless the rowids rise, and from the zone map's least to its greatest."""
    values, zones = int64_view(array), directory.zones
    assert zones.low is not None
    assert zones.high is not None
    ends = int(zones.low[number]), int(zones.high[number])
    steps = values[1:] <= values[:-1] if unique else values[1:] < values[:-1]
    if steps.any() or (int(values[0]), int(values[-1])) != ends:
        raise DamagedFileError("the rowids are not in order, or not those of the zone map")


def _places(entry: ColumnEntry | None) -> list[I64Array]:
    """Offset and stored bytes of all that ``entry`` names, int64 (n, 2)."""
    if entry is None:
        return []
    extents = [extent for extent in (entry.dictionary, entry.bloom) if extent is not None]
    return [
        np.stack([entry.blocks.offsets, entry.blocks.stored], axis=1),
        *(np.array([[extent.offset, extent.stored]], np.int64) for extent in extents),
    ]


def _decode_tombstones(data: bytes, catalog: Catalog) -> tuple[I64Array, I64Array]:
    count = int.from_bytes(data[: TOMBSTONES_HEADER.size], "little")
    if len(data) < TOMBSTONES_HEADER.size or count > MAX_TOMBSTONES:
        raise DamagedFileError("the list of deleted rows has an impossible length")
    values, end = decode_integers(data, TOMBSTONES_HEADER.size, count)
    if catalog.created is None:
        versions = np.full(count, catalog.last_version, np.int64)
    else:
        versions, end = decode_integers(data, end, count)
    if end != len(data) or (values[1:] <= values[:-1]).any():
        raise DamagedFileError("the list of deleted rows has the wrong length, or is not in order")
    if ((versions < catalog.first_version) | (versions > catalog.last_version)).any():
        raise DamagedFileError("a row is deleted by a version of another segment")
    return values, versions
