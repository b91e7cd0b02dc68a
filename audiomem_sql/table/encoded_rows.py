"""The commit of rows that others encoded: their keys are checked, they get rowids and a place in a shard."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.checks import checks_of
from audiomem_sql.machine.limits import DEFAULT
from audiomem_sql.storage.segment import EncodedWriter, TableOptions, Version
from audiomem_sql.table.encoded_part import EncodedPart
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.shard_encoder import key_places, state_of
from audiomem_sql.table.sharded_session import ShardedSession
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.appending import (
    as_batches,
    check_keys,
    check_rowids,
    number_rows,
)
from audiomem_sql.writing.commit import Commit, now
from audiomem_sql.writing.group_commit import Append


def commit_parts(session: ShardedSession, append: Append, parts: Sequence[EncodedPart]) -> int | None:
    """Commit the parts with the rows of ``append``; None, and nothing is done, if they do not fit."""
    opened = session.opened
    with session.writing():
        snapshot = session.snapshot
        append.check_schema(snapshot)
        state = state_of(snapshot)
        if any(part.state != state for part in parts):
            return None
        deleted = append.deleted(snapshot)
        parts = numbered(parts, snapshot)
        rowids, table = number_rows(append.table, snapshot, max(part.high_rowid for part in parts))
        checks = checks_of(snapshot.schema)
        if checks is not None:
            checks.check_table(rowids, table)  # those of the parts were checked
        check_parts(parts, rowids, table, snapshot, opened.path, deleted)
        content = Commit(as_batches(rowids, table), None, deleted, append.message, append.sources)
        return session.commit_parts(content, parts)


def numbered(parts: Sequence[EncodedPart], snapshot: Snapshot) -> list[EncodedPart]:
    """The parts with the rowids that follow those of ``snapshot``."""
    following, made = max(snapshot.high_rowid, 0) + 1, []
    for part in parts:
        made.append(part.numbered(following))
        following += part.rows
    return made


def check_parts(
    parts: Sequence[EncodedPart],
    rowids: I64Array,
    rows: pa.Table,
    snapshot: Snapshot,
    path: str,
    deleted: I64Array,
) -> None:
    """ConstraintError if a key of the parts, or of ``rows`` with ``rowids``, is taken, or there twice.

    deleted: rowids that the same commit deletes, int64 (n,); their keys are free.
    """
    schema = snapshot.schema
    given = [part.rowids for part in parts if part.rowids is not None]
    check_rowids(np.sort(np.concatenate([rowids, *given])), snapshot, path, deleted)
    places = key_places(schema)
    if not places:
        return
    tables = [rows.select(places), *(part.keys for part in parts)]
    keys = pa.concat_tables([table.cast(tables[0].schema) for table in tables])
    unread = pa.nulls(keys.num_rows)
    columns = [keys.column(places.index(n)) if n in places else unread for n in range(len(schema))]
    check_keys(pa.Table.from_arrays(columns, list(schema.names)), snapshot, path, deleted)


def rows_of(part: EncodedPart) -> pa.Table:
    """The rows of a segment that does not fit the table any more, in the columns that users see."""
    segment = part.segment
    target = segment.path + ".flac"
    options = replace(TableOptions(profile=DEFAULT), compression_level=1)
    writer = EncodedWriter(target, segment, options.write_options(), 1)
    try:
        writer.finish([Version(1, now(), part.rows, 0)])
        writer.publish()
    except BaseException:
        writer.abandon()
        raise
    try:
        with TableReader(target) as table:
            return table.to_arrow()
    finally:
        os.unlink(target)
