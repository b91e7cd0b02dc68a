"""A segment whose catalogs are all lost, read by the labels in its data stream."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from audiomem_sql.bytes import ByteSource
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment.contract import ReadableSegment
from audiomem_sql.storage.segment.evolved import EvolvedSegments
from audiomem_sql.storage.segment.label_catalog import catalog_of_labels, contradiction
from audiomem_sql.storage.segment.label_search import FoundLabels, find_labels
from audiomem_sql.storage.segment.numbered import Numbering
from audiomem_sql.storage.segment.reader import Segment


class UnlistedSegment:
    """A ``ReadableSegment`` without a catalog of its own. Reading what is lost raises DamagedFileError.

    notes: sentences on what is not known of it.
    """

    def __init__(
        self,
        file: PagedFile,
        labels: FoundLabels,
        cache: BlockCache,
        identity: Hashable | None,
        numbering: Numbering | None = None,
    ) -> None:
        assembled = catalog_of_labels(file, labels)
        if numbering is not None:
            assembled = replace(assembled, catalog=numbering(assembled.catalog))
        self.notes = assembled.notes
        self._lost = assembled.lost
        self._segment = segment = Segment(
            file, assembled.catalog, labels.data_cell, cache, identity, lost=assembled.lost
        )
        self._evolved = EvolvedSegments()
        self.path, self.identity, self.file = segment.path, identity, file
        self.catalog, self.schema, self.rows = segment.catalog, segment.schema, segment.rows
        self.data_cell, self.limits, self.indexes = segment.data_cell, segment.limits, segment.indexes
        self.digest = b""
        # Everything is read as in a segment with the catalog that was put together.
        self.forget, self.close, self.read_once = segment.forget, segment.close, segment.read_once
        self.column_type, self.column_name = segment.column_type, segment.column_name
        self.is_derived, self.is_index_only = segment.is_derived, segment.is_index_only
        self.entry, self.directory = segment.entry, segment.directory
        self.block, self.slice, self.take, self.extent = (
            segment.block,
            segment.slice,
            segment.take,
            segment.extent,
        )
        self.prefetch = segment.prefetch
        self.rowids, self.rowid = segment.rowids, segment.rowid
        self.find, self.find_many = segment.find, segment.find_many
        self.created, self.ended, self.tombstones = segment.created, segment.ended, segment.tombstones
        self.may_contain, self.bloom, self.key_bloom = segment.may_contain, segment.bloom, segment.key_bloom
        self.vector_index, self.keyword_index = segment.vector_index, segment.keyword_index

    @classmethod
    def open(cls, path: str, cache: BlockCache = SHARED) -> UnlistedSegment:
        """Open ``path`` by its labels.

        DamagedFileError if they do not tell what is in the file, or contradict each other.
        """
        identity = file_identity(path)
        file = PagedFile.open(path)
        try:
            return cls(file, find_labels(file), cache, identity)
        except AudioMemError as error:
            file.close()
            if error.file is None:
                raise contradiction(path, error.what) from None
            raise
        except BaseException:
            file.close()
            raise

    @classmethod
    def of_source(
        cls, source: ByteSource, cache: BlockCache, numbering: Numbering | None = None
    ) -> UnlistedSegment:
        """That in ``source``, which is taken over. numbering: what a manifest says of it.

        DamagedFileError as of :meth:`open`.
        """
        name, identity = source.name, source.identity
        file = PagedFile.open(source)
        try:
            return cls(file, find_labels(file), cache, identity, numbering)
        except AudioMemError as error:
            file.close()
            if error.file is None:
                raise contradiction(name, error.what) from None
            raise
        except BaseException:
            file.close()
            raise

    @property
    def cache_bytes(self) -> int:
        """What the cache keeps that its blocks are in."""
        return self._segment.cache_bytes

    @property
    def skip_damage(self) -> bool:
        """Leave out rows that cannot be recovered, instead of raising an error."""
        return self._segment.skip_damage

    @skip_damage.setter
    def skip_damage(self, skip: bool) -> None:
        self._segment.skip_damage = skip

    @property
    def null_damage(self) -> bool:
        """Put NULL for values that cannot be recovered, in rows whose rowid can."""
        return self._segment.null_damage

    @null_damage.setter
    def null_damage(self, null: bool) -> None:
        self._segment.null_damage = null

    def with_schema(self, schema: Schema) -> ReadableSegment:
        """The segment with the columns of ``schema``; itself if those are its own."""
        return self._evolved.of(self, schema)

    @property
    def lost(self) -> list[tuple[str, int, int, str]]:
        """What cannot be read: column, first row, the row behind the last, why."""
        runs = []
        for column, reasons in self._lost.items():
            directory = self.directory(column)
            assert directory is not None
            for number, reason in reasons.items():
                start, stop = (int(row) for row in directory.starts[number : number + 2])
                runs.append((self.column_name(column), start, stop, reason))
        return runs
