"""Rows that are encoded before their commit: segments for the shards of a table, each in a file of its own.

Many processes encode; one commits what they made (:mod:`audiomem_sql.table.encoded_rows`). A segment is right
for one state of the table: its columns, options and shards, and which of these has which rows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import msgpack
import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.checks import checks_of
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.columns.views import integers, valid
from audiomem_sql.indexes.vectors import VectorCodec
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.search import table_embedder, with_vectors
from audiomem_sql.shards import Placement, ShardedSnapshot, ShardZones
from audiomem_sql.storage.segment import SegmentWriter, TableOptions
from audiomem_sql.upkeep.new_segment import codecs_of
from audiomem_sql.versions import decided_tokenizers
from audiomem_sql.writing.appending import as_batches, check_rowids_differ, check_sizes

#: Fewer rows, or bytes of values, of one shard are left to the commit: many small segments are slow to read.
LEAST_ROWS = 1 << 10
LEAST_BYTES = 256 << 10
#: What the files of encoded segments end in.
EXTENSION = ".segment"
#: Where samples are made of bands, what matters most is put into the best ones: the commit knows which.
_MODULATION = "pcm"


@dataclass(frozen=True, slots=True)
class ShardEncoder:
    """Encodes rows for the table at ``path`` in one state. It can be sent to other processes.

    state: tells this state from others. shard_ids: the table id of each shard. zones: the columns with zone
    maps. tokenizers: of columns with ``tokenize='auto'``. codecs: of the vectors of texts.
    """

    path: str
    state: bytes
    schema: Schema
    options: TableOptions
    placement: Placement
    shard_ids: tuple[bytes, ...]
    zones: tuple[int, ...]
    tokenizers: Mapping[int, str]
    codecs: Mapping[int, VectorCodec]

    @classmethod
    def of(cls, snapshot: ShardedSnapshot, path: str) -> Self | None:
        """What encodes for a table; None where only a commit can do it.

        That is where the rowid places a row or stands in a CHECK, and no column holds it; where the samples
        are not the bytes; and where texts have vectors, but none is stored, so that no codec is known.
        """
        manifest = snapshot.manifest
        schema = manifest.schema
        options = replace(TableOptions.from_catalog(manifest.options), parts=manifest.filled)
        checks = checks_of(schema)
        needs_rowid = not manifest.key or (checks is not None and checks.by_rowid)
        if options.modulation != _MODULATION or (needs_rowid and schema.rowid_column is None):
            return None
        codecs = codecs_of(snapshot, schema) if schema.vectors and snapshot.rows else {}
        if any(column not in codecs for column in (*schema.vectors.values(), *schema.passages.values())):
            return None
        return cls(
            path,
            state_of(snapshot),
            schema,
            options,
            snapshot.placement,
            tuple(shard.table_id for shard in manifest.shards),
            tuple(manifest.zones.columns),
            decided_tokenizers(snapshot.segments, schema) if schema.indexed_columns else {},
            codecs,
        )

    def encode(self, rows: pa.Table, folder: str) -> tuple[list[str], pa.Table]:
        """The files of ``folder`` with the segments of the rows that are many in their shard; the other rows.

        rows: of the visible columns, as an append converts them. ConstraintError for a CHECK that fails, or a
        key that is there twice.
        """
        check_sizes(rows, self.path)
        rows = rows.combine_chunks()
        rowids, rows, unnumbered = self._numbered(rows)
        if rows.num_rows < LEAST_ROWS or rows.nbytes < LEAST_BYTES:
            return [], pa.concat_tables([unnumbered, rows])
        shards = self.placement.of_rows(rowids, [column.combine_chunks() for column in rows.columns])
        order = np.lexsort((rowids, shards))
        if (np.diff(order) != 1).any():  # all shards at once: each row is copied once
            rowids, shards, rows = rowids[order], shards[order], rows.take(integer_array(order))
        files, left = [], [unnumbered]
        starts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist()]
        for start, stop in pairwise([*starts, len(shards)]):
            part = rows.slice(start, stop - start)
            if part.num_rows < LEAST_ROWS or part.nbytes < LEAST_BYTES:
                left.append(part)
            else:
                files.append(self._encode(int(shards[start]), rowids[start:stop], part, folder))
        return files, pa.concat_tables(left)

    def _numbered(self, rows: pa.Table) -> tuple[I64Array, pa.Table, pa.Table]:
        """Rowids, and their rows; then the rows that the commit numbers by itself."""
        place = self.schema.rowid_column
        if place is None:
            return np.arange(1, rows.num_rows + 1), rows, rows.slice(0, 0)
        present = valid(rows.column(place).combine_chunks())
        unnumbered = rows.slice(0, 0)
        if not present.all():
            unnumbered, rows = rows.filter(pa.array(~present)), rows.filter(pa.array(present))
        rowids = integers(rows.column(place).combine_chunks())
        check_rowids_differ(np.sort(rowids), self.schema, self.path)
        return rowids, rows, unnumbered

    def _encode(self, shard: int, rowids: I64Array, rows: pa.Table, folder: str) -> str:
        """One segment; its file."""
        schema = self.schema
        checks = checks_of(schema)
        if checks is not None:
            checks.check_table(rowids, rows)
        if schema.vectors:
            embedder = table_embedder(self.options, schema, self.path)
            rows = with_vectors(rows, schema, embedder, None, self.options.passages)
        if schema.rowid_column is None:
            rowids = np.arange(1, len(rowids) + 1)
        path = os.path.join(folder, os.urandom(8).hex() + EXTENSION)
        writer = SegmentWriter(
            path,
            schema,
            replace(self.options.write_options(), threads=1),  # tasks have the other cores
            table_id=self.shard_ids[shard],
            codecs=self.codecs,
            table_options=self.options.to_catalog(),
        )
        try:
            writer.follow(self.tokenizers)
            zones = ShardZones.empty(schema, self.zones, 1)
            for batch in as_batches(rowids, rows):
                writer.add(batch.rowids, batch.arrays)
                zones = zones.grown(0, schema, batch.arrays)
            with open(path + ".part", "wb") as file:
                writer.encode(file, self._facts(shard, rowids, rows, zones))
            os.rename(path + ".part", path)
        except BaseException as error:
            writer.abandon()
            if isinstance(error, OSError):
                raise storage_error(error, path) from error
            raise
        return path

    def _facts(self, shard: int, rowids: I64Array, rows: pa.Table, zones: ShardZones) -> bytes:
        """What the commit wants to know of a segment: above all the keys of its rows."""
        keys = rows.select(key_places(self.schema))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, keys.schema) as writer:
            writer.write_table(keys)
        has_rowids = self.schema.rowid_column is not None
        packed: bytes = msgpack.packb(
            {
                "state": self.state,
                "shard": shard,
                "rowids": np.asarray(rowids, "<i8").tobytes() if has_rowids else None,
                "zones": zones.pack(),
                "keys": sink.getvalue().to_pybytes(),
            }
        )
        return packed


def key_places(schema: Schema) -> list[int]:
    """The places of the columns of unique keys, without the rowid."""
    return sorted({*schema.key_columns, *(place for key in schema.combined_keys for place in key)})


def state_of(snapshot: ShardedSnapshot) -> bytes:
    """Tells the state of a table for which rows are encoded from others."""
    manifest = snapshot.manifest
    known: list[Any] = [
        manifest.table_id,
        manifest.schema.sql(),
        list(manifest.schema.ids),
        sorted((name, str(value)) for name, value in manifest.options.items()),
        list(manifest.key),
        list(snapshot.placement.shard_of_bucket),
        [shard.table_id for shard in manifest.shards],
        list(manifest.zones.columns),
    ]
    digest: bytes = blake2b(msgpack.packb(known), digest_size=16).digest()
    return digest
