"""Group commit: appends of several threads that wait at the same time share one write and one fdatasync.

A commit costs a flush. So a thread that appends a few rows to a table that other threads share asks
for the writer's turn with its rows (:mod:`audiomem_sql.writing.writer_turn`). The one whose turn
it is, the leader, takes the rows of all who wait and commits them with its own:

    threads   convert their rows, errors in them are their own
    leader    lock, look for commits of others, take what waits
              for each: a transaction on the snapshot so far → keys checked, rowids given → version n, n+1, …
              one log record with all of them, one fdatasync; the newest snapshot is theirs together
              wake the others, checkpoint if the log is large, end the turn

Every append is a version of its own. What is wrong with one (a key that is there already) is raised in its
thread, and the others are committed without it; a flush that fails is raised in all of them, and none is
there. The record is one unit with one CRC, because pieces of a write may reach the disk in any order: of a
group that a crash tore nothing is left, so that a whole record behind a torn one still means damage, never a
crash (:func:`audiomem_sql.storage.log.reader.commits_behind`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import stored_rows
from audiomem_sql.errors import AudioMemError, SchemaError, StorageError
from audiomem_sql.storage.log import LogContent, LogRecord
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.appending import NO_ROWIDS, check_rows, number_rows
from audiomem_sql.writing.commit import LogAppender, commit_time
from audiomem_sql.writing.commit_limits import check_history
from audiomem_sql.writing.transaction import Transaction
from audiomem_sql.writing.writer_turn import Ticket, WriterTurn

#: Rows that are checked one by one: so many cost less than what is done once for a column.
_FEW_ROWS = 64


@dataclass(slots=True, eq=False)
class Append:
    """Rows to add and rows to delete in one commit, and, once it is ``decided``, what became of it.

    table: of the types of ``schema``. deleted: given the snapshot that the commit is made on, the rowids to
    delete from it, int64 (n,), ascending. sources: packed. too_large: for the log; nothing was done.
    """

    table: pa.Table
    schema: Schema
    deleted: Callable[[Snapshot], I64Array]
    sources: bytes | None = None
    message: str | None = None
    version: int | None = None
    error: BaseException | None = None
    too_large: bool = False

    @property
    def decided(self) -> bool:
        """Whether there is a version, an error, or the word that it is too large."""
        return self.version is not None or self.error is not None or self.too_large

    def outcome(self) -> int | None:
        """The version, or the error raised; None if it is too large."""
        if self.error is not None:
            raise self.error
        return self.version

    def check_schema(self, snapshot: Snapshot) -> None:
        """SchemaError if the table got other columns since the rows were converted to those that it had."""
        if not self.schema.is_same(snapshot.schema.visible):
            raise SchemaError(
                f"the columns of the table were changed meanwhile, they are {snapshot.schema.visible.sql()}",
                file=snapshot.path,
                remedy="Append the rows again.",
            )

    def record(self, path: str, snapshot: Snapshot, limit: int) -> LogRecord | None:
        """The commit on top of ``snapshot``.

        None if there is none to make: nothing changes, or it exceeds ``limit``.
        """
        self.check_schema(snapshot)
        deleted = self.deleted(snapshot)
        if self.table.nbytes + 9 * len(deleted) > limit:
            self.too_large = True
            return None
        whole = self.table.num_columns == len(snapshot.schema)
        if whole and self.table.num_rows > _FEW_ROWS and not len(deleted):
            return self._record_of_rows(path, snapshot)
        transaction = Transaction(path, snapshot)
        for rowid in deleted.tolist():
            transaction.delete(rowid)
        rowids, table = number_rows(self.table, snapshot)
        for rowid, row in zip(rowids.tolist(), stored_rows(table, snapshot.schema), strict=True):
            transaction.insert(rowid, row)
        if transaction.logged_size() > limit:
            self.too_large = True
        elif transaction.changed or self.sources is not None:
            check_history(snapshot, self.message)
            return transaction.record(snapshot.newest + 1, commit_time(snapshot), self.message, self.sources)
        else:
            self.version = snapshot.newest
        return None

    def _record_of_rows(self, path: str, snapshot: Snapshot) -> LogRecord:
        """The commit of many rows, which are checked a column at a time, and deletes none."""
        rowids, table = number_rows(self.table, snapshot)
        check_rows(rowids, table, snapshot, path, NO_ROWIDS)
        check_history(snapshot, self.message)
        rows = list(zip(rowids.tolist(), stored_rows(table, snapshot.schema), strict=True))
        version, time = snapshot.newest + 1, commit_time(snapshot)
        return LogRecord(version, time, rows, [], self.message, self.sources)


class Group:
    """Commits on top of ``snapshot`` that become durable together. The writer's lock must be held.

    limit: bytes that one commit may have in the log.
    """

    def __init__(self, path: str, snapshot: Snapshot, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._before = self._after = snapshot
        self._content = snapshot.log or LogContent(after=snapshot.newest)
        self._records: list[LogRecord] = []
        self._appends: list[Append] = []
        self._taken: list[Ticket[Append]] = []

    def add(self, append: Append) -> None:
        """Check one more append on top of those before, and keep its record; or the error that it makes."""
        try:
            record = append.record(self._path, self._after, self._limit)
            if record is None:
                return
            record.pack()
        except Exception as error:
            append.error = error
            return
        # Where the record will end is not known yet. Nobody asks: until the flush this snapshot is here
        # alone.
        self._content = self._content.grown([record], b"", self._content.end)
        self._after = self._after.after(self._content)
        self._records.append(record)
        self._appends.append(append)

    def collect(self, turn: WriterTurn[Append], room: int) -> None:
        """Add what other threads wait with, of ``room`` bytes at most.

        What comes while those are checked is added, too.
        """
        while more := turn.take(room):
            self._taken += more
            for ticket in more:
                assert ticket.item is not None
                self.add(ticket.item)
                room -= ticket.size

    def answer(self, turn: WriterTurn[Append]) -> None:
        """Wake the threads whose appends were collected.

        Those about which nothing was decided get an error.
        """
        for ticket in self._taken:
            assert ticket.item is not None
            if not ticket.item.decided:
                ticket.item.error = StorageError(
                    "the thread that wrote these rows with its own was interrupted",
                    file=self._path,
                    remedy="Look whether they are there before you append them again.",
                )
        turn.answer(self._taken)

    def flush(self, prepare: Callable[[], tuple[LogAppender, Snapshot]]) -> Snapshot:
        """Make all of it durable; the snapshot after. What fails here failed for every one of them.

        prepare: sees to it that there is a log; what appends to it, and the snapshot with it.
        """
        if not self._records:
            return self._before
        try:
            log, before = prepare()
            assert before.log is not None
            content = log.append_group(before.log, self._records)
            log.mark(content)
        except AudioMemError as error:
            for append in self._appends:  # an exception belongs to one thread
                append.error = copy.copy(error)
                append.error.__cause__ = error.__cause__
            return self._before
        self._after.log = self._after.found_log = content
        self._after.table_file = before.table_file
        for append, record in zip(self._appends, self._records, strict=True):
            append.version = record.version
        return self._after
