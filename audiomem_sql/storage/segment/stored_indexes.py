"""What a segment stores beside its blocks to find rows by value: Bloom filters, vector and keyword indexes.

Each is read at the first call that needs it, and kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.bloom import BloomFilter
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.text_vectors import holds_passages
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes import vectors
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry, Extent, VectorExtents
from audiomem_sql.storage.segment.column_numbers import type_of_column
from audiomem_sql.storage.segment.data_stream import DataStream
from audiomem_sql.storage.segment.keyword_extents import open_keywords
from audiomem_sql.storage.segment.vector_extents import ExtentsAhead, ListReader, array_of_vectors

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorIndex
    from audiomem_sql.indexes.words import KeywordIndex

_Opened = TypeVar("_Opened", bound="vectors.OpenedIndex")


class StoredIndexes:
    """The filters and indexes of one segment. Safe to use from several threads."""

    def __init__(self, stream: DataStream, catalog: Catalog) -> None:
        self._stream = stream
        self._catalog = catalog
        self._blooms: dict[int, BloomFilter | None] = {}
        self._key_blooms: dict[int, BloomFilter | None] = {}
        self._vector_indexes: dict[int, VectorIndex] = {}
        self._keyword_indexes: dict[int, KeywordIndex] = {}
        self._lock = threading.Lock()

    def bloom(self, column: int, entry: ColumnEntry | None) -> BloomFilter | None:
        """The Bloom filter of ``column``, whose catalog entry is ``entry``."""
        if column not in self._blooms:
            self._blooms[column] = None if entry is None else self._filter(entry.bloom)
        return self._blooms[column]

    def key_bloom(self, number: int) -> BloomFilter | None:
        """The Bloom filter of a key of several columns, by its index in ``schema.combined_keys``."""
        if number not in self._key_blooms:
            self._key_blooms[number] = self._filter(self._catalog.key_blooms[number])
        return self._key_blooms[number]

    def _filter(self, extent: Extent | None) -> BloomFilter | None:
        if extent is None:
            return None
        try:
            return BloomFilter(np.frombuffer(self._stream.extent(extent), np.uint8))
        except DamagedFileError as error:
            self._stream.locate(error, extent)
            raise

    def vector_index(self, column: int) -> VectorIndex | None:
        """The index of vectors of ``column``; None if it has none."""
        extents = self._catalog.vectors.get(column)
        if extents is None:
            return None
        index = self._vector_indexes.get(column)
        if index is None:
            with self._lock:
                index = self._vector_indexes.get(column)
                if index is None:
                    try:
                        index = self._opened(column, extents)
                    except DamagedFileError as error:
                        self._stream.locate(error, extents.header)
                        raise
                    self._vector_indexes[column] = index
        return index

    def _opened(self, column: int, extents: VectorExtents) -> VectorIndex:
        rows, schema = self._catalog.rows, self._catalog.schema
        lists, far = ListReader(extents.lists, self._stream.extent), self._far(extents)
        if not holds_passages(schema.columns[column]):
            opened = self._known(extents, lambda header: vectors.OpenedIndex(header, rows))
            return vectors.VectorIndex(b"", rows, lists, far=far, opened=opened)
        owner = next(place for place, passages in schema.passages.items() if passages == column)
        shared = self._vector_indexes.get(owner)
        if shared is None and owner in self._catalog.vectors:
            shared = self._vector_indexes[owner] = self._opened(owner, self._catalog.vectors[owner])
        codec = None if shared is None else shared.codec
        passages = self._known(extents, lambda header: vectors.OpenedPassages(header, rows, lambda _: codec))
        return vectors.PassageIndex(b"", rows, lists, far=far, opened=passages)

    def _known(self, extents: VectorExtents, open_header: Callable[[bytes], _Opened]) -> _Opened:
        """What ``open_header`` makes of the header, or has made of the same bytes in this process."""
        identity = self._stream.lasting_identity
        if identity is None:
            return open_header(self._stream.extent(extents.header))
        key = identity, extents.header
        known = vectors.KNOWN_INDEXES.get(key) or vectors.KNOWN_INDEXES.keep(
            key, open_header(self._stream.extent(extents.header))
        )
        return cast(_Opened, known)

    def _far(self, extents: VectorExtents) -> ExtentsAhead | None:
        """How the lists of an index are read from far away; None for a file that is near."""
        ahead = self._stream.ahead
        if ahead is None:
            return None
        from audiomem_sql.remote import RemoteOptions

        return ExtentsAhead(extents.lists, ahead, self._stream.extents, RemoteOptions.of_environment().reach)

    def vectors(self, column: int, rows: I64Array) -> pa.Array:
        """The vectors of ``rows``, int64 (n,), as they were stored, or their passages."""
        index = self.vector_index(column)
        assert index is not None
        try:
            if isinstance(index, vectors.PassageIndex):
                return array_of(index.values(rows), type_of_column(self._catalog.schema, column))
            return array_of_vectors(index.vectors(rows), type_of_column(self._catalog.schema, column))
        except DamagedFileError as error:
            self._stream.locate(error, self._catalog.vectors[column].header)
            raise

    def keyword_index(self, column: int, texts: Callable[[I64Array], pa.Array]) -> KeywordIndex | None:
        """The keyword index of ``column``; None if it has none.

        texts: gives the texts of rows, int64 (n,).
        """
        extents = self._catalog.keywords.get(column)
        if extents is None:
            return None
        index = self._keyword_indexes.get(column)
        if index is None:
            try:
                index = open_keywords(
                    self._stream.extent(extents.header),
                    extents.pieces,
                    self._catalog.rows,
                    self._stream.read,
                    texts,
                    self._stream.ahead,
                )
            except DamagedFileError as error:
                self._stream.locate(error, extents.header)
                raise
            self._keyword_indexes[column] = index
        return index
