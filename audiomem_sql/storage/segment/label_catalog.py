"""A catalog put together from the labels in the data stream of a segment whose catalogs are all lost.

Every block that is intact has its label behind it, so everything that can be read is found. What is lost has
rows all the same: its position between other blocks tells how many. Only the newest version can be had: times
and messages of the others, names of versions and sources were in the catalog alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.blocks.compression import Decompressor
from audiomem_sql.blocks.directory import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_ROWS,
    MAX_DICTIONARY_BYTES,
    MAX_SHARED_BLOCK_BYTES,
)
from audiomem_sql.blocks.encoding import decode
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.indexes import vectors
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment.catalog import (
    MAX_ROWS,
    NO_HISTORY,
    Catalog,
    ColumnEntry,
    Extent,
    SchemaHistory,
    VectorExtents,
    Version,
    fits_an_extent,
)
from audiomem_sql.storage.segment.column_numbers import CREATED, ENDED, ROWID, type_of_column
from audiomem_sql.storage.segment.data_stream import DataStream
from audiomem_sql.storage.segment.label_blocks import LabelledBlocks
from audiomem_sql.storage.segment.label_search import FoundLabels
from audiomem_sql.storage.segment.labels import LABEL, Label, Labelled
from audiomem_sql.storage.segment.tombstones import read_tombstones
from audiomem_sql.storage.segment.vector_extents import ListReader

#: The message of versions of which nothing else is known.
CATALOG_LOST = "the catalog of this version is lost: what it did is not known"
_BLOCKS = (Labelled.BLOCK, Labelled.BLOCK_WITH_DICTIONARY)
_MOST_INT64 = (1 << 63) - 1

#: Labels of what is no block, by kind, column and number.
_OtherLabels = dict[tuple[Labelled, int, int], Label]


@dataclass(slots=True)
class LabelCatalog:
    """What labels say of a segment.

    ``notes`` are sentences on what is not known; ``lost`` as in ``LostBlocks``.
    """

    catalog: Catalog
    lost: dict[int, dict[int, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def contradiction(path: str, contradicted: str) -> DamagedFileError:
    """The error for labels that cannot all be true."""
    return DamagedFileError(
        f"all catalogs are lost, and what is left contradicts itself: {contradicted}",
        file=path,
        remedy="Restore the file from a copy.",
    )


def catalog_of_labels(file: PagedFile, labels: FoundLabels) -> LabelCatalog:
    """Put the catalog of ``file`` together, reading every block once.

    DamagedFileError if the labels contradict each other; without a file where a signpost does.
    """
    _check_facts(labels)
    return _Assembly(file, labels).run()


class _Assembly:
    """The catalog of one file as it is put together."""

    def __init__(self, file: PagedFile, labels: FoundLabels) -> None:
        self._file = file
        self._found = labels
        self._facts = labels.facts
        self._schema = labels.schema
        self._rows = labels.facts.rows
        self._stream = DataStream(file, labels.data_cell)
        self._block_labels: dict[int, list[Label]] = {}
        self._other_labels: _OtherLabels = {}
        #: The dictionary of each column that has one; no decompressor where it cannot be read.
        self._dictionaries: dict[int, tuple[Extent, Decompressor | None]] = {}
        self._result = LabelCatalog(_bare_catalog(file, labels))

    def run(self) -> LabelCatalog:
        """Put it together."""
        self._sort_labels()
        self._find_dictionaries()
        hidden = [number for number, column in enumerate(self._schema.columns) if column.is_hidden]
        columns = self._columns_with_blocks(hidden)
        blocks = {column: self._blocks_of(column) for column in sorted(columns)}
        most_missing = self._found.lost_cells * (self._file.layout.cell_payload // LABEL.size + 2)
        if sum(column_blocks.gaps for column_blocks in blocks.values()) > most_missing:
            raise contradiction(self._file.path, "more labels are missing than can be lost")
        entries = {
            column: column_blocks.entry(
                self._dictionaries[column][0] if column in self._dictionaries else None
            )
            for column, column_blocks in blocks.items()
        }
        self._result.lost = {column: column_blocks.lost for column, column_blocks in blocks.items()}
        indexed = [*hidden, *self._schema.vector_indexes]  # the latter are compared one by one without
        indexes: dict[int, VectorExtents] = {}
        for number in indexed:
            if (index := self._vectors_of(number, indexes)) is not None:
                indexes[number] = index
        for number in hidden:
            if number not in indexes:
                column = self._schema.columns[number]
                entries[number] = LabelledBlocks.of_nulls(column.type, self._rows).entry()
                self._result.notes.append(f"{column.name} are lost; `audiomem reembed` makes them anew")
        self._complete(entries, indexes)
        return self._result

    def _sort_labels(self) -> None:
        for label in self._found.labels:
            if label.kind in _BLOCKS:
                self._block_labels.setdefault(label.column, []).append(label)
            elif self._other_labels.setdefault((label.kind, label.column, label.first), label) is not label:
                raise contradiction(self._file.path, "it has two things that can be there once only")

    def _find_dictionaries(self) -> None:
        for (kind, column, _), label in self._other_labels.items():
            if kind is Labelled.DICTIONARY:
                extent = _extent_of(label)
                try:
                    content = self._stream.extent(extent) if label.raw <= MAX_DICTIONARY_BYTES else b""
                except DamagedFileError:
                    content = b""
                self._dictionaries[column] = extent, Decompressor(content) if content else None

    def _columns_with_blocks(self, hidden: Sequence[int]) -> set[int]:
        """The columns that are stored as blocks, by what the signposts say."""
        facts = self._facts
        columns = {*range(len(self._schema))} - {*hidden, self._schema.rowid_column}
        columns |= {ROWID} if facts.first_rowid is None else set()
        columns |= {CREATED} if facts.versioned else set()
        columns |= {ENDED} if facts.ended else set()
        if not columns.issuperset(self._block_labels):
            raise contradiction(self._file.path, "it has blocks of columns that it does not have")
        return {column for column in columns if column is not None}

    # -- blocks ----------------------------------------------------------------------------------------------

    def _blocks_of(self, column: int) -> LabelledBlocks:
        """The blocks of a column: those that can be read, and between them what is lost."""
        blocks = LabelledBlocks(type_of_column(self._schema, column))
        for label in sorted(self._block_labels.get(column, []), key=lambda label: label.first):
            self._check_label(label, blocks)
            blocks.skip_to(label.first)
            try:
                array = self._read_block(label, blocks.column_type)
            except DamagedFileError as error:
                blocks.lose(label.rows, f"{error.place}: {error.what}" if error.place else error.what)
                continue
            zone = Zones.of(array, blocks.column_type)
            self._check_zone(column, zone, array, blocks)
            blocks.add(label.rows, (label.place, label.stored, label.raw, label.encoding), zone)
        blocks.skip_to(self._rows)
        return blocks

    def _check_label(self, label: Label, blocks: LabelledBlocks) -> None:
        """DamagedFileError unless a block can be what its label says, behind those that are there already."""
        width = blocks.column_type.vector_bytes
        most = MAX_SHARED_BLOCK_BYTES if label.rows > 1 else MAX_BLOCK_BYTES
        if (
            not 1 <= label.rows <= MAX_BLOCK_ROWS
            or label.nulls > label.rows
            or not blocks.starts[-1] <= label.first <= self._rows - label.rows
            or max(label.raw, label.rows * width) > most
        ):
            raise contradiction(self._file.path, "it has labels of blocks that cannot be")

    def _read_block(self, label: Label, column_type: ColumnType) -> pa.Array:
        data = b""
        if label.raw:
            decompressor: Decompressor | None = Decompressor()
            if label.kind is Labelled.BLOCK_WITH_DICTIONARY:
                decompressor = self._dictionaries.get(label.column, (None, None))[1]
            if decompressor is None:
                raise DamagedFileError("the compression dictionary of the column is lost")
            data = decompressor.decompress(self._stream.read(label.place, label.stored), label.raw)
        return decode(label.encoding, data, label.rows, label.nulls, column_type)

    def _check_zone(
        self, column: int, zone: tuple[int, Any, Any], array: pa.Array, blocks: LabelledBlocks
    ) -> None:
        """DamagedFileError unless rowids rise, and versions are of this segment."""
        nulls, low, high = zone
        if column in (CREATED, ENDED):
            of_segment = (
                nulls == len(array) or self._facts.first_version <= low <= high <= self._facts.last_version
            )
            wrong = not of_segment or (column == CREATED and nulls)
        elif column == ROWID:
            wrong = nulls or not self._rises(np.asarray(array, np.int64), low, blocks.last_value)
        else:
            return
        if wrong:
            raise contradiction(self._file.path, "it has rowids or versions that cannot be")

    def _rises(self, rowids: np.ndarray[Any, Any], first: int, before: int | None) -> bool:
        """Whether ``rowids`` ascend, behind the rowid ``before``.

        A segment of several commits may repeat one.
        """
        least = 0 if self._facts.versioned else 1
        falls = rowids[1:] < rowids[:-1] if self._facts.versioned else rowids[1:] <= rowids[:-1]
        return not falls.any() and (before is None or first - before >= least)

    # -- everything else -------------------------------------------------------------------------------------

    def _vectors_of(self, column: int, before: Mapping[int, VectorExtents]) -> VectorExtents | None:
        """The index of a column of vectors, if all of it can be read. before: those of earlier columns."""
        labels = self._other_labels
        header_label = labels.get((Labelled.VECTOR_HEADER, column, 0))
        if header_label is None or not fits_an_extent(header_label.stored, header_label.raw):
            return None
        header, read = _extent_of(header_label), self._stream.extent
        try:
            index = self._opened_index(column, read(header), before)
            count = index.lists
            list_labels = [labels.get((Labelled.VECTOR_LIST, column, number)) for number in range(count)]
            lists = [_extent_of(label) for label in list_labels if label]
            if len(lists) < count or not all(fits_an_extent(extent.stored, extent.raw) for extent in lists):
                return None
            for extent in lists:
                read(extent)
        except AudioMemError:
            return None
        return VectorExtents(header, tuple(lists), index.codec.trellis.width > 0)

    def _opened_index(
        self, column: int, header: bytes, before: Mapping[int, VectorExtents]
    ) -> vectors.VectorIndex:
        """The index of a column, without its lists; DamagedFileError where it cannot be read."""
        read = self._stream.extent
        owner = {passages: place for place, passages in self._schema.passages.items()}.get(column)
        if owner is None:
            return vectors.VectorIndex(header, self._rows, ListReader((), read))
        codec = None
        if owner in before:
            codec = vectors.VectorIndex(read(before[owner].header), self._rows, ListReader((), read)).codec
        return vectors.PassageIndex(header, self._rows, ListReader((), read), lambda _: codec)

    def _complete(self, entries: dict[int, ColumnEntry], indexes: dict[int, VectorExtents]) -> None:
        """Put everything that was found into the catalog, and note what is missing."""
        low, high = self._rowid_range(entries.get(ROWID))
        label = self._other_labels.get((Labelled.TOMBSTONES, 0, 0))
        catalog = replace(
            self._result.catalog,
            entries=tuple(entries.get(number) for number in range(len(self._schema))),
            rowids=entries.get(ROWID),
            low_rowid=low,
            high_rowid=high,
            created=entries.get(CREATED),
            ended=entries.get(ENDED),
            tombstones=_extent_of(label) if label and fits_an_extent(label.stored, label.raw) else None,
            vectors=indexes,
        )
        if self._facts.deleting and not self._has_tombstones(catalog):
            catalog = replace(catalog, tombstones=None)
            self._result.notes.append(
                "which rows of earlier files it deleted is lost: they may be there again"
            )
        if self._result.lost.get(ENDED):
            self._result.notes.append(
                "of some rows it is lost whether they were deleted: they may be there again"
            )
        self._result.catalog = catalog

    def _rowid_range(self, entry: ColumnEntry | None) -> tuple[int, int]:
        """The least and the greatest rowid that can be told."""
        first = self._facts.first_rowid
        if first is not None:
            return first, first + max(self._rows - 1, 0)
        assert entry is not None
        zones = entry.blocks.zones
        readable = np.setdiff1d(np.arange(len(zones)), list(self._result.lost[ROWID]))
        if not len(readable):
            return 0, 0
        assert zones.low is not None
        assert zones.high is not None
        return int(zones.low[readable[0]]), int(zones.high[readable[-1]])

    def _has_tombstones(self, catalog: Catalog) -> bool:
        try:
            read_tombstones(self._stream, catalog)
        except DamagedFileError:
            return False
        return catalog.tombstones is not None


def _extent_of(label: Label) -> Extent:
    return Extent(label.place, label.stored, label.raw)


def _check_facts(labels: FoundLabels) -> None:
    """DamagedFileError, without a file, unless what the signposts say can be."""
    facts = labels.facts
    last_rowid = (facts.first_rowid or 0) + facts.rows
    if (
        facts.rows > MAX_ROWS
        or last_rowid > _MOST_INT64
        or not 1 <= facts.shown <= len(labels.schema)
        or not 1 <= facts.first_version <= facts.last_version <= _MOST_INT64
    ):
        raise DamagedFileError("a signpost says what cannot be")


def _bare_catalog(file: PagedFile, labels: FoundLabels) -> Catalog:
    """The catalog without anything that takes reading."""
    facts, schema = labels.facts, labels.schema
    history = NO_HISTORY
    if facts.shown < len(schema):
        newest = schema.changed(schema.columns[: facts.shown])
        history = SchemaHistory(((facts.first_version, newest),), (), max(schema.ids) + 1)
    numbers = sorted({facts.first_version, facts.last_version})
    return Catalog(
        table_id=labels.table_id,
        segment_id=file.header.segment_id,
        schema=schema,
        rows=facts.rows,
        versions=tuple(Version(number, facts.time, 0, 0, CATALOG_LOST) for number in numbers),
        entries=(None,) * len(schema),
        data_bytes=max((label.end for label in labels.labels), default=0),
        first_rowid=facts.first_rowid,
        key_blooms=(None,) * len(schema.combined_keys),
        options=labels.options,
        history=history,
    )
