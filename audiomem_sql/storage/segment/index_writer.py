"""The indexes of a new segment: of vectors, of words, and the filters of keys of several columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.text_vectors import holds_passages
from audiomem_sql.columns.vector_index import COMPACT
from audiomem_sql.indexes.keys.combined import CombinedHashes
from audiomem_sql.storage.segment.catalog import Extent, KeywordExtents, VectorExtents
from audiomem_sql.storage.segment.data_spool import Stratum
from audiomem_sql.storage.segment.keyword_extents import KeywordSpool
from audiomem_sql.storage.segment.labels import Labelled
from audiomem_sql.storage.segment.passage_extents import PassageSpool
from audiomem_sql.storage.segment.stream_writer import StreamWriter
from audiomem_sql.storage.segment.vector_extents import VectorSpool

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorCodec


class IndexWriter:
    """Collects what is indexed as rows arrive; the indexes are made when the last row is in.

    codecs: of columns of vectors that come from other segments, by column number. vector_codes: how vectors
    of texts are stored that have no such codec.
    """

    def __init__(
        self,
        schema: Schema,
        codecs: Mapping[int, VectorCodec] | None,
        stream: StreamWriter,
        vector_codes: str = COMPACT,
        *,
        remote: bool = False,
        parts: int = 1,
    ) -> None:
        """remote: put the headers of indexes in front of the data stream. parts: as of WriteOptions."""
        self._stream = stream
        self._headers = Stratum.HEAD if remote else Stratum.DERIVED
        self._words_headers = Stratum.FRONT if remote else Stratum.DERIVED
        self._vectors = {
            number: VectorSpool(
                column.type.width, (codecs or {}).get(number), codes=vector_codes, parts=parts
            )
            for number, column in enumerate(schema.columns)
            if column.is_hidden and not holds_passages(column)
        }
        self._vectors |= {
            number: VectorSpool(schema.columns[number].type.width, options=options, parts=parts)
            for number, options in schema.vector_indexes.items()
        }
        self._passages = {
            number: PassageSpool(
                schema.columns[vectors].type.width,
                self._vectors[vectors],
                (codecs or {}).get(number),
                vector_codes,
                parts,
            )
            for vectors, number in schema.passages.items()
        }
        self._keywords = {
            number: KeywordSpool(schema.columns[number].tokenize) for number in schema.indexed_columns
        }
        self._keys = [
            CombinedHashes(columns, [schema.columns[column] for column in columns])
            for columns in schema.combined_keys
        ]

    def follow(self, tokenizers: Mapping[int, str]) -> None:
        """Make the words of columns as other segments did, by column number; before the first row."""
        for number, tokenize in tokenizers.items():
            self._keywords[number].close()
            self._keywords[number] = KeywordSpool(tokenize)

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Take rows, one array a column of the schema."""
        for key in self._keys:
            key.add(columns)
        for number, vectors in self._vectors.items():
            vectors.add(columns[number])
        for number, passages in self._passages.items():
            passages.add(columns[number])
        for number, words in self._keywords.items():
            words.add(columns[number])

    def store_vectors(self) -> dict[int, VectorExtents]:
        """Make and store the indexes of vectors."""
        spools: dict[int, VectorSpool | PassageSpool] = {**self._vectors}
        spools |= self._passages  # which have the codecs of the former
        finished = {number: spool.finish(self._store_parts(number)) for number, spool in spools.items()}
        return {number: extents for number, extents in finished.items() if extents is not None}

    def store_keywords(self) -> dict[int, KeywordExtents]:
        """Make and store the keyword indexes."""
        stream = self._stream
        return {
            number: spool.finish(self._store_header, stream.put_derived)
            for number, spool in self._keywords.items()
        }

    def store_key_filters(self) -> tuple[Extent | None, ...]:
        """Store the Bloom filters of keys of several columns."""
        return tuple(self._stream.store_filter(key.bloom()) for key in self._keys)

    def close(self) -> None:
        """Let go of the files."""
        for vectors in self._vectors.values():
            vectors.close()
        for passages in self._passages.values():
            passages.close()
        for words in self._keywords.values():
            words.close()

    def _store_header(self, data: bytes) -> Extent:
        return self._stream.store(data, stratum=self._words_headers)

    def _store_parts(self, column: int) -> Callable[[bytes], Extent]:
        """A function that stores the header, then list after list, of the index of ``column``."""
        numbers = count()

        def store(data: bytes) -> Extent:
            number = next(numbers)
            if not number:
                return self._stream.store(data, Labelled.VECTOR_HEADER, column, 0, self._headers)
            return self._stream.store(data, Labelled.VECTOR_LIST, column, number - 1, Stratum.DERIVED)

        return store
