"""New tables: empty ones, and those that take what can be read of a damaged one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audiomem_sql import search
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.creation import check_definitions
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.selection import taken
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.file_names import readable_name
from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.machine.malloc import spare
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.scan import in_rowid_order, scan
from audiomem_sql.shards import ShardedSnapshot, check_no_shard
from audiomem_sql.storage import segment as storing
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.session import Session
from audiomem_sql.versions import TableFiles
from audiomem_sql.writing.commit import Commit, now


def create_file(
    path: str | os.PathLike[str],
    columns: Schema | Sequence[str],
    options: Mapping[str, Any],
    like: str | None = None,
) -> None:
    """Write the file of an empty table to ``path``, which must be free.

    The arguments are those of ``Table.create``. like: the file whose mode and owner it gets.
    """
    schema = columns if isinstance(columns, Schema) else parse_columns(columns)
    check_definitions(schema)
    if is_url(path):
        from audiomem_sql.table.stored_creation import create_stored

        url = os.fspath(path)
        create_stored(url, *completed(schema, storing.TableOptions.parse(options), shown(url)))
        return
    files = TableFiles.at(path)
    _check_free(files)
    chosen = storing.TableOptions.parse(options, os.path.dirname(files.base))
    schema, chosen = completed(schema, chosen, files.base)
    writer = storing.SegmentWriter(
        files.base,
        schema,
        chosen.write_options(),
        table_id=os.urandom(16),
        table_options=chosen.to_catalog(),
        like=like,
    )
    try:
        writer.finish([storing.Version(1, now(), 0, 0)])
        writer.publish(replace=False)
    except BaseException:
        writer.abandon()
        raise


def completed(schema: Schema, chosen: storing.TableOptions, path: str) -> tuple[Schema, storing.TableOptions]:
    """Columns with those of vectors, and options that say how these are made."""
    if LIMITS[chosen.profile].sparing:
        spare()
    if len(schema.vectors) < len(schema.semantic_columns):
        width = search.dimensions_of(chosen.model, chosen.model_backend, path)
        cuts = storing.cuts_texts(chosen.passages, chosen.model)
        if cuts and chosen.passages == storing.AUTO:
            chosen = replace(chosen, passages=storing.ON)
        schema = schema.with_vectors(width, passages=cuts)
    return schema, chosen


def _check_free(files: TableFiles) -> None:
    """StorageError unless the table's files can be created."""
    if files.exists():
        raise StorageError(
            "the file exists already", file=files.base, remedy="Open it, or choose another name."
        )
    check_no_shard(files.base, files.base)
    folder = os.path.dirname(files.base)
    if not os.path.isdir(folder):
        raise StorageError(
            "there is no such folder", file=folder, remedy="Create it first, or choose another path."
        )
    if files.deltas():
        raise StorageError(
            "deltas of another table are in the way", file=files.folder, remedy="Move that folder away."
        )
    if os.path.lexists(files.log):
        raise StorageError("the log of another table is in the way", file=files.log, remedy="Move it away.")


def salvaged_columns(broken: TableReader) -> Schema:
    """The columns of a table that takes the rows of ``broken``.

    They are nullable where values are lost and NULL stands for them.
    """
    schema = broken.snapshot.schema
    if broken.on_damage != "null":
        return schema
    columns = range(len(schema))
    lost = {
        column
        for batch in scan(broken.snapshot, columns)
        for column in columns
        if batch.arrays[column].null_count
    }
    return schema.nullable(lost)


def write_salvaged(session: Session, broken: TableReader, model_digest: str) -> None:
    """Write the rows that can be read of ``broken`` into the empty table of ``session``, as one commit.

    DamagedFileError if there are rows, and not one of them can be read.
    """
    snapshot = broken.snapshot
    columns = range(len(snapshot.schema))
    with session.writing():
        sharded = isinstance(snapshot, ShardedSnapshot)
        count: int | None = sum(len(batch) for batch in scan(snapshot, columns))
        if not count and len(broken):
            raise DamagedFileError(
                f"not one of {len(broken):,} rows can be read as a whole",
                file=broken.files.base,
                remedy="`audiomem salvage --partial` saves what is left of them, with NULL for the rest."
                if broken.on_damage != "null"
                else "Restore the file from a copy.",
            )
        rows = scan(snapshot, columns)
        ordered = rows if snapshot.ordered else in_rowid_order(rows)
        if sharded:  # a row that was being moved may be in two shards
            ordered, count = _once(ordered), None
        content = Commit(ordered, count, message=f"salvaged from {readable_name(broken.path)}")
        session.commit_segment(content, replace(session.opened.options, model_digest=model_digest))


def _once(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches by rowid, with one row of each."""
    last = None
    for batch in batches:
        if not len(batch):
            continue
        new = np.append(last is None or batch.rowids[0] > last, batch.rowids[1:] > batch.rowids[:-1])
        last = int(batch.rowids[-1])
        rows = np.flatnonzero(new)
        yield batch if new.all() else Batch(batch.rowids[rows], tuple(taken(a, rows) for a in batch.arrays))
