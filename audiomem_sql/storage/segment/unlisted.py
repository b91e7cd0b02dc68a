"""A segment whose catalogs are all lost, put together from the labels in its data stream.

Every block that is intact has its label behind it, so everything that can be read is found. What is lost has rows all the
same: it is told by its place between other blocks, and reading it raises an error. Only the newest version can be had: times
and messages of the others, tags and sources were in the catalog alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.compression import Decompressor
from audiomem_sql.blocks.directory import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_ROWS,
    MAX_DICTIONARY_BYTES,
    MAX_SHARED_BLOCK_BYTES,
    BlockDirectory,
)
from audiomem_sql.blocks.encoding import Encoding, decode
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment.catalog import (
    MAX_EXTENT_BYTES,
    MAX_ROWS,
    NO_HISTORY,
    Catalog,
    ColumnEntry,
    Extent,
    SchemaHistory,
    VectorExtents,
    Version,
)
from audiomem_sql.storage.segment.label_search import FoundLabels, find_labels
from audiomem_sql.storage.segment.labels import LABEL, Facts, Label, Labelled
from audiomem_sql.storage.segment.reader import CREATED, ENDED, NEVER, ROWID, Segment
from audiomem_sql.storage.segment.vector_extents import ListReader

_REMEDY = "Restore the file from a copy."
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_NO_LABEL = "no label is left that says where it is"
_BLOCKS = (Labelled.BLOCK, Labelled.BLOCK_WITH_DICTIONARY)
#: The message of versions of which nothing else is known.
CATALOG_LOST = "the catalog of this version is lost: what it did is not known"
#: What one zone map says of a block that is not there.
_NOTHING: dict[Kind, Any] = {Kind.REAL: 0.0, Kind.TEXT: b"", Kind.JSON: b"", Kind.BLOB: b""}

_Others = dict[tuple[Labelled, int, int], Label]


@dataclass(slots=True)
class _Blocks:
    """The blocks of a column as they are put together. ``lost``: why those are that are not there, by number."""

    column_type: ColumnType
    starts: list[int] = field(default_factory=lambda: [0])
    places: list[tuple[int, int, int, int]] = field(default_factory=list)
    zones: list[tuple[int, Any, Any]] = field(default_factory=list)
    lost: dict[int, str] = field(default_factory=dict)
    #: Blocks, at the least, that nothing is known of.
    gaps: int = 0

    def add(self, rows: int, place: tuple[int, int, int, int], zone: tuple[int, Any, Any]) -> None:
        """A block: its rows; place, stored and raw bytes and encoding; its zone map."""
        self.places.append(place)
        self.zones.append(zone)
        self.starts.append(self.starts[-1] + rows)

    def lose(self, rows: int, why: str) -> None:
        """A block that cannot be read."""
        self.lost[len(self.places)] = why
        empty = _NOTHING.get(self.column_type.kind, 0)
        self.add(rows, (0, 0, 0, 0), (0, empty, empty))

    def skip_to(self, row: int) -> None:
        """Whatever there was before ``row``."""
        missing = row - self.starts[-1]
        if missing:
            self.gaps += -(-missing // MAX_BLOCK_ROWS)
            self.lose(missing, _NO_LABEL)

    def entry(self, dictionary: Extent | None = None) -> ColumnEntry:
        """What a catalog would have."""
        starts = np.array(self.starts, np.int64)
        places = np.array(self.places, np.int64).reshape(-1, 4)
        return ColumnEntry(
            BlockDirectory(
                starts=starts,
                offsets=places[:, 0],
                stored=places[:, 1],
                raw=places[:, 2],
                encodings=places[:, 3].astype(np.uint8),
                zones=Zones.build(np.diff(starts).tolist(), self.zones, self.column_type),
            ),
            dictionary,
        )


class UnlistedSegment(Segment):
    """A segment without a catalog. ``notes`` say what is not known of it."""

    def __init__(
        self, file: PagedFile, found: FoundLabels, cache: BlockCache, identity: tuple[int, int] | None
    ) -> None:
        _check_facts(found)
        super().__init__(file, _bare_catalog(file, found), found.data_page, cache, identity)
        self.notes: list[str] = []
        self._lost: dict[int, dict[int, str]] = {}
        self._found: dict[int, tuple[Extent, Decompressor | None]] = {}
        self._put_together(found)

    @classmethod
    def open(cls, path: str, cache: BlockCache = SHARED) -> UnlistedSegment:
        """Open ``path`` by its labels. DamagedFileError if they do not tell what is in the file, or contradict each other."""
        identity = file_identity(path)
        file = PagedFile.open(path)
        try:
            return cls(file, find_labels(file), cache, identity)
        except AudioMemError as error:
            file.close()
            if error.file is None:
                raise _contradiction(path, error.what) from None
            raise
        except BaseException:
            file.close()
            raise

    # -- putting it together --------------------------------------------------------------------------------------

    def _put_together(self, found: FoundLabels) -> None:
        """Make the catalog out of the labels, reading every block once."""
        blocks: dict[int, list[Label]] = {}
        others: _Others = {}
        for label in found.labels:
            if label.what in _BLOCKS:
                blocks.setdefault(label.column, []).append(label)
            elif others.setdefault((label.what, label.column, label.first), label) is not label:
                raise _contradiction(self.path, "it has two things that can be there once only")
        self._find_dictionaries(others)
        facts, schema = found.facts, self.schema
        vectors = [place for place, column in enumerate(schema.columns) if column.is_hidden]
        stored = {*range(len(schema))} - {*vectors, schema.rowid_column}
        stored |= {ROWID} if facts.first_rowid is None else set()
        stored |= {CREATED} if facts.versioned else set()
        stored |= {ENDED} if facts.ended else set()
        if not stored.issuperset(blocks):
            raise _contradiction(self.path, "it has blocks of columns that it does not have")
        made = {column: self._blocks_of(column, blocks.get(column, []), facts) for column in sorted(stored)}
        if sum(each.gaps for each in made.values()) > found.lost_cells * (
            self.file.layout.cell_payload // LABEL.size + 2
        ):
            raise _contradiction(self.path, "more labels are missing than can be lost")
        entries = {
            column: each.entry(self._found[column][0] if column in self._found else None)
            for column, each in made.items()
        }
        self._lost = {column: each.lost for column, each in made.items()}
        indexes = {place: index for place in vectors if (index := self._vectors_of(place, others))}
        for place in vectors:
            if place not in indexes:
                entries[place] = self._nulls(place).entry()
                name = schema.columns[place].name
                self.notes.append(f"{name} are lost; `audiomem reembed` makes them anew")
        self._complete(facts, entries, indexes, others.get((Labelled.TOMBSTONES, 0, 0)))

    def _complete(
        self,
        facts: Facts,
        entries: dict[int, ColumnEntry],
        indexes: dict[int, VectorExtents],
        tombstones: Label | None,
    ) -> None:
        low = high = facts.first_rowid or 0
        if facts.first_rowid is not None:
            high = low + max(self.rows - 1, 0)
        else:
            zones = entries[ROWID].blocks.zones
            there = np.setdiff1d(np.arange(len(zones)), list(self._lost[ROWID]))
            assert zones.low is not None
            assert zones.high is not None
            if len(there):
                low, high = int(zones.low[there[0]]), int(zones.high[there[-1]])
        extent = None
        if tombstones is not None and tombstones.raw <= MAX_EXTENT_BYTES:
            extent = Extent(tombstones.place, tombstones.stored, tombstones.raw)
        self.catalog = replace(
            self.catalog,
            entries=tuple(entries.get(place) for place in range(len(self.schema))),
            rowids=entries.get(ROWID),
            low_rowid=low,
            high_rowid=high,
            created=entries.get(CREATED),
            ended=entries.get(ENDED),
            tombstones=extent,
            vectors=indexes,
        )
        if facts.deleting and not self._can_tell_deleted():
            self.catalog = replace(self.catalog, tombstones=None)
            self.notes.append("which rows of earlier files it deleted is lost: they may be there again")
        if self._lost.get(ENDED):
            self.notes.append("of some rows it is lost whether they were deleted: they may be there again")

    def _can_tell_deleted(self) -> bool:
        try:
            self.tombstones()
        except DamagedFileError:
            return False
        return self.catalog.tombstones is not None

    def _find_dictionaries(self, others: _Others) -> None:
        for (what, column, _), label in others.items():
            if what is Labelled.DICTIONARY:
                extent = Extent(label.place, label.stored, label.raw)
                try:
                    content = self.extent(extent) if label.raw <= MAX_DICTIONARY_BYTES else b""
                except DamagedFileError:
                    content = b""
                self._found[column] = extent, Decompressor(content) if content else None

    def _blocks_of(self, column: int, labels: Sequence[Label], facts: Facts) -> _Blocks:
        """The blocks of a column: those that can be read, and between them what is lost."""
        made = _Blocks(self.column_type(column))
        for label in sorted(labels, key=lambda label: label.first):
            self._check(label, made)
            made.skip_to(label.first)
            try:
                array = self._read_block(label, made.column_type)
            except DamagedFileError as error:
                made.lose(label.rows, f"{error.place}: {error.what}" if error.place else error.what)
                continue
            zone = Zones.of(array, made.column_type)
            self._check_zone(column, zone, array, made, facts)
            made.add(label.rows, (label.place, label.stored, label.raw, label.encoding), zone)
        made.skip_to(self.rows)
        return made

    def _check(self, label: Label, made: _Blocks) -> None:
        """DamagedFileError unless a block can be what its label says, behind those that are there already."""
        width = 4 * made.column_type.width if made.column_type.kind is Kind.FLOAT else 0
        most = MAX_SHARED_BLOCK_BYTES if label.rows > 1 else MAX_BLOCK_BYTES
        if (
            not 1 <= label.rows <= MAX_BLOCK_ROWS
            or label.nulls > label.rows
            or not made.starts[-1] <= label.first <= self.rows - label.rows
            or max(label.raw, label.rows * width) > most
        ):
            raise _contradiction(self.path, "it has labels of blocks that cannot be")

    def _read_block(self, label: Label, column_type: ColumnType) -> pa.Array:
        data = b""
        if label.raw:
            decompressor: Decompressor | None = Decompressor()
            if label.what is Labelled.BLOCK_WITH_DICTIONARY:
                decompressor = self._found[label.column][1] if label.column in self._found else None
            if decompressor is None:
                raise DamagedFileError("the compression dictionary of the column is lost")
            data = decompressor.decompress(self._read(label.place, label.stored), label.raw)
        return decode(label.encoding, data, label.rows, label.nulls, column_type)

    def _check_zone(
        self, column: int, zone: tuple[int, Any, Any], array: pa.Array, made: _Blocks, facts: Facts
    ) -> None:
        """DamagedFileError unless rowids rise, and versions are of this segment."""
        nulls, low, high = zone
        if column in (CREATED, ENDED):
            wrong = (column == CREATED and nulls) or (
                nulls < len(array) and not facts.first_version <= low <= high <= facts.last_version
            )
        elif column == ROWID:
            values = np.asarray(array, np.int64) if not nulls else np.zeros(2, np.int64)
            before = next(
                (made.zones[n][2] for n in range(len(made.zones) - 1, -1, -1) if n not in made.lost), None
            )
            least = 0 if facts.versioned else 1  # that a rowid rises by
            wrong = bool((values[1:] < values[:-1]).any()) or (
                least == 1 and bool((values[1:] == values[:-1]).any())
            )
            wrong = wrong or nulls > 0 or (before is not None and low - before < least)
        else:
            return
        if wrong:
            raise _contradiction(self.path, "it has rowids or versions that cannot be")

    def _vectors_of(self, place: int, others: _Others) -> VectorExtents | None:
        """The index of a column of vectors, if all of it can be read."""
        head = others.get((Labelled.VECTOR_HEADER, place, 0))
        if head is None or head.raw > MAX_EXTENT_BYTES:
            return None
        header = Extent(head.place, head.stored, head.raw)
        try:
            count = VectorIndex(self.extent(header), self.rows, ListReader((), self.extent)).lists
            lists = [others.get((Labelled.VECTOR_LIST, place, number)) for number in range(count)]
            parts = [Extent(each.place, each.stored, each.raw) for each in lists if each]
            if len(parts) < count or any(part.raw > MAX_EXTENT_BYTES for part in parts):
                return None
            for part in parts:
                self.extent(part)
        except AudioMemError:
            return None
        return VectorExtents(header, tuple(parts))

    def _nulls(self, column: int) -> _Blocks:
        """A column of NULLs."""
        made = _Blocks(self.column_type(column))
        for start in range(0, self.rows, MAX_BLOCK_ROWS):
            rows = min(MAX_BLOCK_ROWS, self.rows - start)
            made.add(rows, (0, 0, 0, Encoding.NULLS), (rows, None, None))
        return made

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def lost(self) -> list[tuple[str, int, int, str]]:
        """What cannot be read: column, first row, the row behind the last, why."""
        found = []
        for column, numbers in self._lost.items():
            directory = self.directory(column)
            assert directory is not None
            for number, why in numbers.items():
                start, stop = (int(each) for each in directory.starts[number : number + 2])
                found.append((self.column_name(column), start, stop, why))
        return found

    def _decode(self, column: int, number: int, given: Any = None, *, coded: bool = False) -> pa.Array:
        why = self._lost.get(column, {}).get(number)
        if why is None:
            return super()._decode(column, number, given, coded=coded)
        raise DamagedFileError(
            f"block {number} is lost: {why}", file=self.path, place=f"column {self.column_name(column)}"
        )

    def rowids(self) -> I64Array:
        """All rowids, int64 (rows,), ascending; of rows whose rowid is lost that of the row before."""
        if self._rowids is None:
            self._rowids = self._values(ROWID, _LEAST)
            self._rowids = np.maximum.accumulate(self._rowids) if self.rows else self._rowids
        return self._rowids

    def created(self) -> I64Array:
        """The version that made each row, int64 (rows,); where that is lost, the last one."""
        if self.catalog.created is None:
            return super().created()
        return self._values(CREATED, self.catalog.last_version)

    def ended(self) -> I64Array:
        """The version that deleted each row, int64 (rows,); where that is lost, NEVER, unless a newer row shows that one did."""
        if self.catalog.ended is None:
            return super().ended()
        ended = self._values(ENDED, NEVER)
        rowids = self.rowids()
        replaced = np.flatnonzero((rowids[:-1] == rowids[1:]) & (ended[:-1] == NEVER))
        ended[replaced] = self.catalog.last_version
        return ended

    def _values(self, column: int, lost: int) -> I64Array:
        """A hidden column, int64 (rows,); ``lost``: instead of what is lost, and of NULL."""
        directory = self.directory(column)
        if directory is None:
            return np.asarray(self.slice(column, 0, self.rows), np.int64)
        values = np.full(self.rows, lost, np.int64)
        for number in range(directory.count):
            if number not in self._lost[column]:
                start, stop = directory.starts[number : number + 2]
                values[start:stop] = np.asarray(self.block(column, number).fill_null(lost), np.int64)
        return values


def _check_facts(found: FoundLabels) -> None:
    """DamagedFileError, without a file, unless what the signposts say can be."""
    facts = found.facts
    last_rowid = (facts.first_rowid or 0) + facts.rows
    if (
        facts.rows > MAX_ROWS
        or last_rowid > _MOST
        or not 1 <= facts.shown <= len(found.schema)
        or not 1 <= facts.first_version <= facts.last_version <= _MOST
    ):
        raise DamagedFileError("a signpost says what cannot be")


def _bare_catalog(file: PagedFile, found: FoundLabels) -> Catalog:
    """The catalog without anything that takes reading."""
    facts, schema = found.facts, found.schema
    history = NO_HISTORY
    if facts.shown < len(schema):
        newest = Schema(schema.columns[: facts.shown], schema.checks, schema.keys)
        history = SchemaHistory(((facts.first_version, newest),), (), max(schema.ids) + 1)
    numbers = sorted({facts.first_version, facts.last_version})
    return Catalog(
        table_id=found.table_id,
        segment_id=file.header.segment_id,
        schema=schema,
        rows=facts.rows,
        versions=tuple(Version(number, facts.time, 0, 0, CATALOG_LOST) for number in numbers),
        entries=(None,) * len(schema),
        data_bytes=max((label.end for label in found.labels), default=0),
        first_rowid=facts.first_rowid,
        key_blooms=(None,) * len(schema.combined_keys),
        options=found.options,
        history=history,
    )


def _contradiction(path: str, what: str) -> DamagedFileError:
    return DamagedFileError(
        f"all catalogs are lost, and what is left contradicts itself: {what}", file=path, remedy=_REMEDY
    )
