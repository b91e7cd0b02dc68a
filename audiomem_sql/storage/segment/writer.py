"""Writes a segment: rows in, one FLAC file out, at a temporary name until it is whole and on the disk.

Blocks are compressed on several threads as rows arrive and go to a spool; when the last row is in, the catalog is
known, and the file is laid out in order: catalog, data, catalog. Memory is bounded by the rows held back to choose
dictionaries from and the spool's threshold, not by the table.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.audio import Profile
from audiomem_sql.audio.flac.comments import NO_TAGS, read_tags
from audiomem_sql.audio.spectrum.plans import Mode
from audiomem_sql.blocks.bloom import BloomFilter
from audiomem_sql.blocks.column_writer import STRING_KINDS, ColumnWriter, EncodedBlock, choose_dictionary
from audiomem_sql.blocks.compression import Compressor
from audiomem_sql.blocks.encoding import encode_integers
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import LimitError, StorageError
from audiomem_sql.indexes.keys.combined import CombinedHashes
from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.machine.durable import flush, link_durably, replace_durably, storage_error, temporary_file
from audiomem_sql.machine.limits import DEFAULT, LIMITS
from audiomem_sql.machine.progress import Progress
from audiomem_sql.protection.levels import Level
from audiomem_sql.storage.pages.writer import FileSpec, lay_out
from audiomem_sql.storage.segment.catalog import (
    MAX_EXTENT_BYTES,
    NO_HISTORY,
    Catalog,
    ColumnEntry,
    Extent,
    KeywordExtents,
    SchemaHistory,
    VectorExtents,
    Version,
)
from audiomem_sql.storage.segment.catalog_packing import pack_catalog
from audiomem_sql.storage.segment.data_spool import DataSpool, Stratum
from audiomem_sql.storage.segment.file_tags import carried, own_comments
from audiomem_sql.storage.segment.importance import importance_column, stretches
from audiomem_sql.storage.segment.keyword_extents import KeywordSpool
from audiomem_sql.storage.segment.label_writer import LabelWriter
from audiomem_sql.storage.segment.labels import MAX_LABELLED_COLUMNS, Facts, Label, Labelled
from audiomem_sql.storage.segment.reader import (
    CREATED,
    ENDED,
    MAX_TOMBSTONES,
    NEVER,
    ROWID,
    TOMBSTONES_HEADER,
)
from audiomem_sql.storage.segment.vector_extents import VectorSpool

_USUAL = LIMITS[DEFAULT]
#: Least zstd level of dictionaries, filters and lists.
MIN_EXTENT_LEVEL = 9


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a segment is written.

    level: zstd level 1 to 22. block_bytes: bytes of values in a block before compression. threads: for compression.
    mode: of the spectrum; None for pages that are the samples. The others as in :class:`~audiomem_sql.machine.limits.Limits`.
    """

    profile: Profile
    protection: Level
    level: int = _USUAL.level
    block_bytes: int = _USUAL.block_bytes
    threads: int = 2
    sample_bytes: int = _USUAL.sample_bytes
    spool_bytes: int = _USUAL.spool_bytes
    parity_bytes: int = _USUAL.parity_bytes
    mode: Mode | None = None

    @property
    def by_bands(self) -> bool:
        """Whether what matters most is put into the most reliable bands."""
        return self.mode is not None and self.mode.bands != 0


class SegmentWriter:
    """Collects rows for one segment; ``finish`` makes the file, ``publish`` gives it its name.

    After any error call ``abandon``: nothing is left behind, and a file already at ``path`` stays as it was.
    """

    def __init__(
        self,
        path: str,
        schema: Schema,
        options: WriteOptions,
        *,
        table_id: bytes,
        segment_id: bytes | None = None,
        codecs: Mapping[int, VectorCodec] | None = None,
        table_options: Mapping[str, Any] | None = None,
        labels: bool = True,
    ) -> None:
        """codecs: of columns of vectors that come from other segments, by place. table_options: kept in the catalog.

        labels: put them into the data stream (see :mod:`audiomem_sql.storage.segment.labels`); False for files as they were before.
        """
        self.path = path
        self.schema = schema
        self.options = options
        self.rows = 0
        self._table_id = table_id
        self._segment_id = segment_id or os.urandom(8)
        self._table_options = dict(table_options or {})
        self._spool = DataSpool(options.spool_bytes, divided=options.by_bands)
        self._importance = importance_column(schema) if options.by_bands else None
        self._stratum = Stratum.ORDINARY
        self._labels = (
            LabelWriter(self._spool, table_id, self._segment_id, schema, self._table_options)
            if labels and len(schema) <= MAX_LABELLED_COLUMNS
            else None
        )
        self._waiting: deque[Label] = deque()
        self._held: list[tuple[Stratum, Mapping[int, pa.Array]]] | None = []
        self._held_bytes = 0
        self._first = self._last = 0
        self._contiguous = True
        self._columns = {
            number: self._column(number, column.name, column.type, keyed=column.unique or column.primary_key)
            for number, column in enumerate(schema.columns)
            if number != schema.rowid_column and not column.is_hidden
        }
        self._vectors = {
            number: VectorSpool(column.type.width, (codecs or {}).get(number))
            for number, column in enumerate(schema.columns)
            if column.is_hidden
        }
        self._keywords = {number: KeywordSpool() for number in schema.indexed_columns}
        self._rowids = self._column(ROWID, "rowid", ColumnType(Kind.INTEGER), keyed=True)
        self._created = self._column(CREATED, "created", ColumnType(Kind.INTEGER), keyed=False)
        self._ended = self._column(ENDED, "ended", ColumnType(Kind.INTEGER), keyed=False)
        self._keys = [
            CombinedHashes(places, [schema.columns[place] for place in places])
            for places in schema.combined_keys
        ]
        self._versioned = False
        self._any_ended = False
        self._pool: ThreadPoolExecutor | None = None
        self._running: deque[tuple[ColumnWriter, Stratum, Future[EncodedBlock]]] = deque()
        self._dictionaries: dict[int, Extent] = {}
        self._temporary: str | None = None
        self._comments: dict[str, str] = {}
        self._tags = NO_TAGS

    def _column(self, number: int, name: str, column_type: ColumnType, *, keyed: bool) -> ColumnWriter:
        return ColumnWriter(
            name,
            column_type,
            number=number,
            level=self.options.level,
            block_bytes=self.options.block_bytes,
            keyed=keyed,
        )

    # -- rows in --------------------------------------------------------------------------------------------------

    def add(
        self,
        rowids: I64Array,
        columns: Sequence[pa.Array],
        created: I64Array | None = None,
        ended: I64Array | None = None,
    ) -> None:
        """Append rows: rowids, int64 (n,), ascending and above all before, and one array a column of the schema.

        created, ended: of a segment with several commits, the version that made each row and the one that deleted it
        (NEVER for none), int64 (n,); given with every call or with none. A rowid may then be there several times.
        """
        if not len(rowids):
            return
        if created is not None and ended is not None:
            self._add_versions(created, ended)
        for key in self._keys:
            key.add(columns)
        if not self.rows:
            self._first = int(rowids[0])
        following = self._first + self.rows
        if self._contiguous and (int(rowids[0]) != following or (np.diff(rowids) != 1).any()):
            self._contiguous = False
            for start in range(self._first, following, 1 << 20):
                earlier = np.arange(start, min(start + (1 << 20), following), dtype=np.int64)
                self._emit(self._rowids, self._rowids.add(integer_array(earlier)))
        if not self._contiguous:
            self._emit(self._rowids, self._rowids.add(integer_array(rowids)))
        self.rows += len(rowids)
        self._last = int(rowids[-1])
        for number, spool in self._vectors.items():
            spool.add(columns[number])
        for number, words in self._keywords.items():
            words.add(columns[number])
        for stratum, start, stop in self._strata(columns):
            blocks = {number: columns[number].slice(start, stop - start) for number in self._columns}
            if self._held is None:
                self._add_columns(stratum, blocks)
                continue
            self._held.append((stratum, blocks))
            self._held_bytes += sum(int(array.nbytes) for array in blocks.values())
            if self._held_bytes >= self.options.sample_bytes:
                self._release()

    def _strata(self, columns: Sequence[pa.Array]) -> Iterable[tuple[Stratum, int, int]]:
        """(stratum, first row, row behind the last) of rows that matter alike."""
        if self._importance is None:
            return [(Stratum.ORDINARY, 0, len(columns[0]))]
        kept = [columns[number] for number in self._columns]
        return stretches(columns[self._importance], kept, self.options.block_bytes // 8)

    def _add_versions(self, created: I64Array, ended: I64Array) -> None:
        self._versioned = True
        self._emit(self._created, self._created.add(integer_array(created)))
        gone = ended != NEVER
        self._any_ended = self._any_ended or bool(gone.any())
        self._emit(self._ended, self._ended.add(integer_array(ended, gone)))

    def _release(self) -> None:
        """Choose dictionaries from the rows held back, then let them go."""
        held, self._held = self._held or [], None
        self._collect_all()  # so that places do not depend on the number of threads
        for number, writer in self._columns.items():
            if writer.type.kind in STRING_KINDS:
                dictionary = choose_dictionary([columns[number] for _, columns in held])
                if dictionary is not None:
                    writer.use_dictionary(dictionary)
                    self._dictionaries[number] = self._store(dictionary, Labelled.DICTIONARY, number)
        held.reverse()
        while held:
            self._add_columns(*held.pop())

    def _add_columns(self, stratum: Stratum, columns: Mapping[int, pa.Array]) -> None:
        if stratum != self._stratum:
            for writer in self._columns.values():
                self._emit(writer, writer.flush())
            self._stratum = stratum
        for number, writer in self._columns.items():
            self._emit(writer, writer.add(columns[number]))

    # -- blocks out -----------------------------------------------------------------------------------------------

    def _emit(self, writer: ColumnWriter, blocks: list[pa.Array]) -> None:
        stratum = self._stratum if writer.number >= 0 else Stratum.STRUCTURE
        for array in blocks:
            if self.options.threads < 2 or self.rows < 256:
                self._keep(writer, stratum, writer.encode(array))
                continue
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.options.threads, thread_name_prefix="audiomem-write")
            self._running.append((writer, stratum, self._pool.submit(writer.encode, array)))
            while len(self._running) > 4 * self.options.threads:
                self._collect()

    def _collect(self) -> None:
        writer, stratum, future = self._running.popleft()
        self._keep(writer, stratum, future.result())

    def _collect_all(self) -> None:
        while self._running:
            self._collect()

    def _keep(self, writer: ColumnWriter, stratum: Stratum, block: EncodedBlock) -> None:
        place = self._spool.place(stratum)
        if self._labels is not None:
            block = self._labelled(writer, place, block)
        writer.place(place, block)
        self._append(block.stored, stratum)

    def _labelled(self, writer: ColumnWriter, place: int, block: EncodedBlock) -> EncodedBlock:
        """``block``, which will be at ``place``, with its label behind it.

        Whether the column of ended rows will be stored at all is not known while it has NULLs only. So labels of its blocks
        of NULLs, which have no bytes, wait, and stand behind another block's.
        """
        assert self._labels is not None
        what = Labelled.BLOCK_WITH_DICTIONARY if writer.number in self._dictionaries else Labelled.BLOCK
        label = Label(
            what,
            writer.number,
            place,
            len(block.stored),
            block.raw,
            writer.rows_placed,
            block.rows,
            block.zone[0],
            block.encoding,
        )
        if writer is self._ended and not block.stored:
            self._waiting.append(label)
            return block
        stored = block.stored + self._labels.behind(label)
        while self._any_ended and self._waiting:
            late = replace(self._waiting.popleft(), place=place + len(stored))
            stored += self._labels.behind(late)
        return replace(block, stored=stored)

    def _append(self, data: bytes, stratum: Stratum) -> None:
        try:
            self._spool.append(data, stratum)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _store(
        self,
        data: bytes,
        what: Labelled | None = None,
        column: int = 0,
        number: int = 0,
        stratum: Stratum = Stratum.STRUCTURE,
    ) -> Extent:
        """Compress ``data``, and put it behind what was stored; what: with a label that says so."""
        if len(data) > MAX_EXTENT_BYTES:
            raise LimitError(
                f"a list of {len(data):,} bytes is over the limit of {MAX_EXTENT_BYTES:,}",
                file=self.path,
                remedy="Divide it into several transactions.",
            )
        place = self._spool.place(stratum)
        stored = Compressor(max(self.options.level, MIN_EXTENT_LEVEL)).compress(data)
        if what is not None and self._labels is not None:
            stored += self._labels.behind(Label(what, column, place, len(stored), len(data), number))
        self._append(stored, stratum)
        return Extent(place, len(stored), len(data))

    def _store_vectors(self, column: int) -> Callable[[bytes], Extent]:
        """A function that stores the header, then list after list, of the index of ``column``."""
        numbers = count()

        def store(data: bytes) -> Extent:
            number = next(numbers)
            what = Labelled.VECTOR_LIST if number else Labelled.VECTOR_HEADER
            return self._store(data, what, column, max(0, number - 1), Stratum.DERIVED)

        return store

    def _store_words(self, data: bytes) -> Extent:
        return self._store(data, stratum=Stratum.DERIVED)

    def _put(self, data: bytes) -> Extent:
        extent = Extent(self._spool.place(Stratum.DERIVED), len(data), len(data))
        self._append(data, Stratum.DERIVED)
        return extent

    # -- the file -------------------------------------------------------------------------------------------------

    def finish(
        self,
        versions: Sequence[Version],
        *,
        tombstones: I64Array | None = None,
        tombstone_versions: I64Array | None = None,
        sources: bytes | None = None,
        tags: dict[str, int] | None = None,
        history: SchemaHistory = NO_HISTORY,
        progress: Progress | None = None,
    ) -> None:
        """Lay out the file at a temporary name beside ``path``, and fsync it. Tags and pictures of a file at ``path`` are kept.

        versions: the commits in this segment. tombstones: rowids that they delete from earlier segments, ascending;
        tombstone_versions: the version that deletes each, for a segment with several commits. sources: the packed list
        of ingested sources. tags: names of versions. history: how the columns changed
        from one of ``versions`` to another. progress: called with bytes done and
        bytes in all.
        """
        self._versioned = self._versioned or tombstone_versions is not None
        if self._held is not None:
            self._release()
        writers = [*self._columns.values(), self._rowids, self._created]
        writers.insert(len(writers) if self._labels is None else 0, self._ended)  # labels of it may wait
        last = max(self._columns, default=None)
        for writer in writers:
            blocks = writer.flush()
            if writer.number == last and self._labels is not None:
                self._collect_all()
                self._labels.want_signpost()
            self._emit(writer, blocks)
        self._collect_all()
        vectors = {
            number: spool.finish(self._store_vectors(number)) for number, spool in self._vectors.items()
        }
        keywords = {
            number: words.finish(self._store_words, self._put) for number, words in self._keywords.items()
        }
        before = read_tags(self.path)
        self._comments = own_comments(self.path, self.rows, before)
        self._tags = carried(before, self._comments)
        catalog = Catalog(
            table_id=self._table_id,
            segment_id=self._segment_id,
            schema=self.schema,
            rows=self.rows,
            versions=tuple(versions),
            entries=tuple(
                self._entry(self._columns[number], self._dictionaries.get(number))
                if number in self._columns
                else None
                for number in range(len(self.schema.columns))
            ),
            first_rowid=self._first if self._contiguous else None,
            rowids=None if self._contiguous else self._entry(self._rowids, None),
            low_rowid=self._first,
            high_rowid=self._last,
            created=self._entry(self._created, None) if self._versioned else None,
            ended=self._entry(self._ended, None) if self._any_ended else None,
            key_blooms=tuple(self._store_filter(key.bloom()) for key in self._keys),
            tombstones=self._tombstones(tombstones, tombstone_versions),
            tags=tags or {},
            sources=None if sources is None else self._store(sources),
            data_bytes=self._spool.length,
            options=self._table_options,
            history=history,
            vectors=vectors,
            keywords=keywords,
            comments={} if self.options.protection.share is None else self._comments,
        )
        catalog = self._settled(catalog)
        if self._labels is not None:
            self._labels.finish(self._facts(catalog))
        self._lay_out(catalog, progress)

    def _settled(self, catalog: Catalog) -> Catalog:
        """``catalog`` with the places that things have in the stream, now that all of them are there."""
        if not self._spool.divided:
            return catalog

        def moved(extent: Extent) -> Extent:
            return replace(extent, offset=self._spool.final(extent.offset))

        def listed(entry: ColumnEntry | None) -> ColumnEntry | None:
            if entry is None:
                return None
            return replace(
                entry, blocks=replace(entry.blocks, offsets=self._spool.finals(entry.blocks.offsets))
            )

        return replace(
            catalog,
            entries=tuple(map(listed, catalog.entries)),
            vectors={
                place: VectorExtents(moved(index.header), tuple(map(moved, index.lists)))
                for place, index in catalog.vectors.items()
            },
            keywords={
                place: KeywordExtents(moved(index.header), moved(index.pieces))
                for place, index in catalog.keywords.items()
            },
        )

    def _facts(self, catalog: Catalog) -> Facts:
        return Facts(
            rows=self.rows,
            shown=len(catalog.schemas[-1][1]),
            first_version=catalog.first_version,
            last_version=catalog.last_version,
            time=catalog.versions[-1].time,
            first_rowid=catalog.first_rowid,
            versioned=catalog.created is not None,
            ended=catalog.ended is not None,
            deleting=catalog.tombstones is not None,
        )

    def _entry(self, writer: ColumnWriter, dictionary: Extent | None) -> ColumnEntry:
        return ColumnEntry(writer.directory(), dictionary, self._store_filter(writer.bloom()))

    def _store_filter(self, bloom: BloomFilter | None) -> Extent | None:
        return None if bloom is None else self._store(bloom.bits.tobytes())

    def _tombstones(self, rowids: I64Array | None, versions: I64Array | None) -> Extent | None:
        if rowids is None or not len(rowids):
            return None
        if len(rowids) > MAX_TOMBSTONES:
            raise LimitError(
                f"one commit deletes {len(rowids):,} rows, the limit is {MAX_TOMBSTONES:,}",
                file=self.path,
                remedy="Divide it into several transactions.",
            )
        listed = TOMBSTONES_HEADER.pack(len(rowids)) + encode_integers(rowids)
        return self._store(
            listed + (b"" if versions is None else encode_integers(versions)), Labelled.TOMBSTONES
        )

    def _lay_out(self, catalog: Catalog, progress: Progress | None) -> None:
        blob = pack_catalog(catalog)
        try:
            handle, self._temporary = temporary_file(self.path)
            with os.fdopen(handle, "w+b") as sink:
                os.chmod(self._temporary, 0o666 & ~_umask())
                options = self.options
                file = FileSpec(
                    options.profile,
                    options.protection,
                    self._segment_id,
                    self._comments,
                    self._tags,
                    options.mode,
                    options.by_bands,
                )
                length, budget = self._spool.length, options.parity_bytes
                lay_out(sink, file, blob, self._spool, length, progress, budget)
                sink.flush()
                flush(sink.fileno())
        except OSError as error:
            self.abandon()
            raise storage_error(error, self.path) from error
        except StorageError as error:
            self.abandon()
            error.at(file=self.path)
            raise
        self._close()

    @property
    def temporary(self) -> str:
        """The name of the finished file until ``publish``."""
        if self._temporary is None:
            raise StorageError("there is nothing to publish", file=self.path)
        return self._temporary

    def publish(self, *, replace: bool = True) -> None:
        """Give the finished file its name, durably; StorageError if ``replace`` is False and the name is taken."""
        if replace:
            replace_durably(self.temporary, self.path)
        else:
            link_durably(self.temporary, self.path)
        self._temporary = None

    def abandon(self) -> None:
        """Drop everything; a file already at ``path`` stays as it was."""
        self._close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):  # what stays is removed by the next writer
                os.unlink(self._temporary)
            self._temporary = None

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._spool.close()
        for vectors in self._vectors.values():
            vectors.close()
        for words in self._keywords.values():
            words.close()


def _umask() -> int:
    """The process's umask; the only way to read it is to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
