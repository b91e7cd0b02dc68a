"""Writes a commit to one shard of a sharded table, durably, so that it can still be taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.columns.batch import Batch, Row
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import stored_rows
from audiomem_sql.errors import AudioMemError, SchemaError
from audiomem_sql.machine.interrupts import result_of
from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.shards import Pin, ShardedSnapshot, ShardFile
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.session import Session
from audiomem_sql.table.transactions import Transactions
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing import log_limits
from audiomem_sql.writing.appended_commits import append_commits
from audiomem_sql.writing.commit import (
    Commit,
    EncodedRows,
    LoggedCommit,
    PreparedCommit,
    commit_time,
)

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorCodec

#: Shards that are written to at once.
_AT_ONCE = 8
_NO_ROWIDS: I64Array = np.empty(0, np.int64)


@dataclass(slots=True)
class ShardChange:
    """What a commit changes in one shard: rows, in ascending order of rowids, and rowids that are deleted.

    codecs: those of all shards, for a commit that is a segment in each of them. schema: the columns from
    then on; change says how they changed. encoded: rows that are segments already, which come before the
    others.
    """

    batches: list[Batch] = field(default_factory=list)
    deleted: I64Array = field(default_factory=lambda: _NO_ROWIDS)
    codecs: Mapping[int, VectorCodec] | None = None
    schema: Schema | None = None
    change: str = ""
    encoded: list[EncodedRows] = field(default_factory=list)

    @property
    def is_small(self) -> bool:
        """Whether it goes into the log."""
        rows = sum(map(len, self.batches))
        size = sum(batch.nbytes for batch in self.batches) + 9 * len(self.deleted)
        if self.schema is not None or self.encoded or (self.codecs is not None and rows):
            return False
        return rows <= log_limits.LOGGED_ROWS and size <= log_limits.logged_part_bytes()

    def record(self, snapshot: Snapshot) -> LogRecord:
        """It as a record of the log of the shard, whose rows are ``snapshot``."""
        time = commit_time(snapshot)
        return LogRecord(snapshot.newest + 1, time, self._inserted(snapshot.schema), self.deleted.tolist())

    def packed(self, schema: Schema) -> bytes:
        """It as a record that a manifest numbers."""
        return LogRecord(0, 0, self._inserted(schema), self.deleted.tolist()).pack()

    def _inserted(self, schema: Schema) -> list[tuple[int, Row]]:
        return [
            (rowid, row)
            for batch in self.batches
            for rowid, row in zip(
                batch.rowids.tolist(),
                stored_rows(pa.Table.from_arrays(list(batch.arrays), list(schema.names)), schema),
                strict=True,
            )
        ]

    def content(self) -> Commit:
        """It as the content of a segment."""
        return Commit(
            self.batches,
            sum(map(len, self.batches)),
            self.deleted,
            schema=self.schema,
            change=self.change,
            codecs=self.codecs,
        )

    def contents(self) -> Iterator[Commit]:
        """It as the contents of segments: deletions are in the first."""
        deleted = self.deleted
        for rows in self.encoded:
            yield Commit([], rows.segment.catalog.rows, deleted, encoded=rows)
            deleted = _NO_ROWIDS
        if self.batches or len(deleted) or not self.encoded:
            yield replace(self.content(), deleted=deleted)


class ShardSession(Session):
    """The session of a shard, which belongs to that of its sharded table."""

    def check_no_shard(self) -> None:
        """Its table is the one that writes."""

    def append_segments(self, contents: Sequence[Commit]) -> PreparedCommit | None:
        """Write commits as segments behind those of the file, durably; None if they cannot be appended."""
        opened = self.opened
        self.lock.check_in_place()
        return append_commits(opened.files, opened.snapshot, opened.options, contents)


class ShardWriter:
    """The writing side of a shard: :meth:`begin`, :meth:`write`, then one of the two ends."""

    def __init__(self, file: ShardFile, busy_timeout: float) -> None:
        self.file = file
        self.session = ShardSession(OpenTable(file.files.base, known=file.shown_whole), busy_timeout)
        self._pending: list[PreparedCommit] = []
        self._began = False

    @property
    def snapshot(self) -> Snapshot:
        """The newest rows."""
        return self.session.opened.snapshot

    def begin(self, pin: Pin, options: TableOptions) -> None:
        """Become the writer. Commits behind ``pin``, of a writer that died, are undone by another commit."""
        session = self.session
        session.refresh()
        self.file.check(self.snapshot, pin)
        if self.snapshot.newest > pin.version:
            self._undo(pin)
        session.enter()
        session.turn.lend()
        session.opened.options = options
        self._began = True

    def _undo(self, pin: Pin) -> None:
        """Make columns and rows what they were at ``pin``, by commits."""
        before = self.snapshot.schema_at(pin.version)
        if not self.snapshot.schema_at(self.snapshot.newest).is_same(before):
            self.take_columns_back(pin, before)
        Transactions(self.session).restore(pin.version)

    def take_columns_back(self, pin: Pin, schema: Schema) -> None:
        """Have the columns of ``pin`` again."""
        change = f"back to the columns of version {pin.version}"
        with self.session.writing():
            self.session.empty_log()
            self.session.commit_segment(Commit((), 0, message=change, schema=schema, change=change))

    def write(self, change: ShardChange, progress: Progress | None = None) -> Pin:
        """Write a commit, durably; its place among the shard's.

        Each segment is a commit of the shard, the last of which is the place.
        """
        session = self.session
        if change.is_small:
            record = change.record(self.snapshot)
            self._pending.append(session.append_to_log(record))
            return Pin(record.version, record.time)
        session.empty_log()
        first, *others = change.contents()
        self._write_segment(first, progress)
        appended = session.append_segments(others) if others else None
        if appended is not None:
            self._pending.append(appended)
            session.opened.reload()
        else:
            for content in others:
                self._write_segment(content, progress)
        return Pin(self.snapshot.newest, self.snapshot.newest_time)

    def _write_segment(self, content: Commit, progress: Progress | None) -> None:
        self._pending.append(self.session.write_segment(content, progress=progress))
        self.session.opened.reload()

    def accept(self) -> None:
        """The commit stands."""
        session, parts = self.session, self._pending
        self._pending, self._began = [], False
        with session.leaving():
            for pending in parts:
                pending.accept()
                if isinstance(pending, LoggedCommit):
                    session.opened.snapshot = self.snapshot.after(pending.after)
            session.upkeep.after_commit()

    def take_back(self) -> None:
        """Undo what was begun or written. What fails of it is undone by the next writer."""
        session, parts = self.session, self._pending
        self._pending = []
        if not self._began:
            return
        self._began = False
        with contextlib.suppress(AudioMemError), session.leaving():
            for pending in reversed(parts):
                pending.take_back()
            if parts:
                session.opened.reload()

    def close(self) -> None:
        """Fold the log of the shard, and close its files."""
        self.session.close()


def write_encoded(
    writers: Mapping[int, ShardWriter], changes: Mapping[int, ShardChange], profile: str
) -> dict[int, Pin]:
    """Write changes with encoded rows, durably, several shards at a time; their places.

    profile: that of the table says whether there is memory for several. A flush takes the disk about as long
    for several files as for one. When this ends, however it ends, no shard is written to any more.
    """
    at_once = 1 if LIMITS[profile].sparing else min(len(changes), _AT_ONCE)
    with ThreadPool(at_once, thread_name_prefix="audiomem-shard") as pool:
        started = {number: pool.submit(writers[number].write, change) for number, change in changes.items()}
        try:
            return {number: result_of(future) for number, future in started.items()}
        except BaseException:
            for future in started.values():
                future.cancel()
            raise


def split_rows(batches: Sequence[Batch], shards: Sequence[I64Array], changes: dict[int, ShardChange]) -> None:
    """Give each row of ``batches`` to the change of its shard. shards: those of the rows of each batch."""
    for batch, numbers in zip(batches, shards, strict=True):
        for number in distinct(numbers).tolist():
            rows = np.flatnonzero(numbers == number)
            part = batch
            if len(rows) < len(batch):
                indices = pa.array(rows)
                part = Batch(batch.rowids[rows], tuple(array.take(indices) for array in batch.arrays))
            changes.setdefault(number, ShardChange()).batches.append(part)


def check_key(snapshot: ShardedSnapshot, schema: Schema) -> None:
    """SchemaError if a column that places rows in shards is not in ``schema``."""
    for number in snapshot.placement.columns:
        column = snapshot.schema.columns[number]
        if column.id not in schema.ids:
            raise SchemaError(
                "it places rows in the shards, so it cannot be dropped", place=f"column {column.name}"
            )
