"""Writes a segment: rows in, one FLAC file out.

Blocks are compressed on several threads as rows arrive and go to a spool; when the last row is in, the
catalog is known, and the file is laid out in order: catalog, data, catalog. Memory is bounded by the rows
held back to choose dictionaries from and the spool's threshold, not by the table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.audio import read_tags
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import LimitError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.segment.block_writer import BlockWriter
from audiomem_sql.storage.segment.catalog import NO_HISTORY, Catalog, Extent, SchemaHistory, Version
from audiomem_sql.storage.segment.catalog_places import facts_of, settled
from audiomem_sql.storage.segment.columns_writer import DataColumns, HiddenColumnWriters
from audiomem_sql.storage.segment.data_spool import DataSpool
from audiomem_sql.storage.segment.directory_levels import in_two_levels
from audiomem_sql.storage.segment.encoded import write_encoded
from audiomem_sql.storage.segment.index_writer import IndexWriter
from audiomem_sql.storage.segment.label_writer import LabelWriter
from audiomem_sql.storage.segment.labels import MAX_LABELLED_COLUMNS, Labelled
from audiomem_sql.storage.segment.new_file import Placement
from audiomem_sql.storage.segment.placing import PlacedSegment
from audiomem_sql.storage.segment.seal import FIRST_SEAL, Seal
from audiomem_sql.storage.segment.stream_writer import StreamWriter
from audiomem_sql.storage.segment.tombstones import pack_tombstones
from audiomem_sql.storage.segment.vorbis_comments import own_comments
from audiomem_sql.storage.segment.write_options import WriteOptions

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorCodec


class SegmentWriter(PlacedSegment):
    """Collects rows for one segment; ``finish`` makes the file, ``publish`` gives it its name."""

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
        like: str | None = None,
        seal: Seal = FIRST_SEAL,
        placement: Placement | None = None,
    ) -> None:
        """Begin a segment without rows.

        codecs: of columns of vectors that come from other segments, by column number. table_options: kept in
        the catalog. labels: put them into the data stream (see :mod:`audiomem_sql.storage.segment.labels`);
        False for files as they were before. like: the file whose mode and owner it gets, by default the one
        at ``path``. seal: what the segment continues; the digest of its data is added. placement: where it is
        written; by default a file at ``path`` with no other segment.
        """
        super().__init__(
            path, options, segment_id or os.urandom(8), like=like, seal=seal, placement=placement
        )
        self.schema = schema
        self._table_id = table_id
        self._table_options = dict(table_options or {})
        spool = DataSpool(options.spool_bytes, divided=options.by_strata)
        label_writer = None
        if labels and len(schema) <= MAX_LABELLED_COLUMNS:
            try:
                label_writer = LabelWriter(spool, table_id, self._segment_id, schema, self._table_options)
            except LimitError as error:
                spool.close()
                error.at(file=path)
                raise
        self._stream = StreamWriter(path, spool, label_writer, options.level)
        self._blocks = BlockWriter(self._stream, options.threads)
        self._columns = DataColumns(schema, options, self._stream, self._blocks)
        self._hidden = HiddenColumnWriters(options, self._stream, self._blocks)
        self._indexes = IndexWriter(
            schema, codecs, self._stream, options.vector_codes, remote=options.remote, parts=options.parts
        )

    def follow(self, tokenizers: Mapping[int, str]) -> None:
        """Make the words of columns as other segments did, by column number; before the first row."""
        self._indexes.follow(tokenizers)

    def add(
        self,
        rowids: I64Array,
        columns: Sequence[pa.Array],
        created: I64Array | None = None,
        ended: I64Array | None = None,
    ) -> None:
        """Append rows: rowids, int64 (n,), ascending and above all before, and one array for each column.

        created, ended: of a segment with several commits, the version that made each row and the one that
        deleted it (NEVER for none), int64 (n,); given with every call or with none. A rowid may then be there
        several times.
        """
        if not len(rowids):
            return
        self._hidden.add(rowids, created, ended)
        self.rows += len(rowids)
        self._blocks.expect_rows(self.rows)
        self._indexes.add(columns)
        self._columns.add(columns)

    def finish(
        self,
        versions: Sequence[Version],
        *,
        tombstones: I64Array | None = None,
        tombstone_versions: I64Array | None = None,
        sources: bytes | None = None,
        tags: dict[str, int] | None = None,
        history: SchemaHistory = NO_HISTORY,
        given_rowid: int = 0,
        progress: Progress | None = None,
    ) -> None:
        """Lay out the file at a temporary name beside ``path``, and fsync it.

        Comments and pictures of a file at ``path`` are kept.

        versions: the commits in this segment. tombstones: rowids that they delete from earlier segments,
        ascending; tombstone_versions: the version that deletes each, for a segment with several commits.
        sources: the packed list of ingested sources. tags: names of versions. history: how the columns
        changed from one of ``versions`` to another. given_rowid: see Catalog. progress: called with
        bytes done and bytes in all.
        """
        if tombstone_versions is not None:
            self._hidden.versioned = True
        self._flush()
        earlier = read_tags(self.path)
        comments = own_comments(self.path, earlier)
        catalog = replace(
            self._collected(versions, may_have_levels=True),
            tombstones=self._store_tombstones(tombstones, tombstone_versions),
            tags=tags or {},
            sources=None if sources is None else self._stream.store(sources),
            history=history,
            given_rowid=given_rowid,
            comments={} if self.options.protection.share is None else comments,
        )
        spool = self._stream.spool
        catalog = settled(replace(catalog, data_bytes=spool.length), spool)
        if self._stream.labels is not None:
            self._stream.labels.finish(facts_of(catalog))
        self._place(catalog, spool, comments, earlier, progress)
        self._close()

    def encode(self, file: BinaryIO, extra: bytes) -> None:
        """Write what was added to ``file``, to be placed later, see ``EncodedSegment``.

        extra: what whoever places it wants to know. OSErrors are the caller's.
        """
        self._flush()
        spool = self._stream.spool
        collected = self._collected([Version(1, 1, self.rows, 0)], may_have_levels=False)
        catalog = settled(replace(collected, data_bytes=spool.length), spool)
        signposts: list[int] = []
        if self._stream.labels is not None:
            signposts = self._stream.labels.finish(facts_of(catalog))
        write_encoded(file, catalog, spool, signposts, extra)
        self._close()

    def _collected(self, versions: Sequence[Version], *, may_have_levels: bool) -> Catalog:
        """The catalog of what was added; places are those in the strata."""
        vectors, keywords = self._indexes.store_vectors(), self._indexes.store_keywords()
        entries = self._columns.entries()
        if may_have_levels:
            entries = in_two_levels(entries, self.schema, self._stream, self.options)
        return Catalog(
            table_id=self._table_id,
            segment_id=self._segment_id,
            schema=self.schema,
            rows=self.rows,
            versions=tuple(versions),
            entries=entries,
            first_rowid=self._hidden.first_rowid,
            rowids=self._hidden.rowids_entry(),
            low_rowid=self._hidden.low_rowid,
            high_rowid=self._hidden.high_rowid,
            created=self._hidden.created_entry(),
            ended=self._hidden.ended_entry(),
            key_blooms=self._indexes.store_key_filters(),
            data_bytes=0,
            options=self._table_options,
            vectors=vectors,
            keywords=keywords,
        )

    def _flush(self) -> None:
        """Store all blocks. Those of ended versions come first where their labels may wait for others."""
        self._columns.release()
        labelled = self._stream.labels is not None
        if labelled:
            self._hidden.flush_ended()
        self._columns.flush()
        self._hidden.flush()
        if not labelled:
            self._hidden.flush_ended()
        self._blocks.wait()

    def _store_tombstones(self, rowids: I64Array | None, versions: I64Array | None) -> Extent | None:
        if rowids is None or not len(rowids):
            return None
        return self._stream.store(pack_tombstones(rowids, versions, self.path), Labelled.TOMBSTONES)

    @property
    def rowid_range(self) -> tuple[int, int]:
        """The lowest and the highest rowid so far."""
        return self._hidden.low_rowid, self._hidden.high_rowid

    def _close(self) -> None:
        self._blocks.close()
        self._stream.spool.close()
        self._indexes.close()
