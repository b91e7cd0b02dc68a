"""A transaction: rows inserted and deleted, kept in memory until commit writes them as one delta segment.

It reads its own writes, enforces the keys, and keeps a journal, so that any savepoint can be returned to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from typing import Any

import numpy as np

from audiomem_sql.columns.affinity import StoredValue, not_null_failed
from audiomem_sql.columns.batch import Batch, Row, batch_of
from audiomem_sql.columns.checks import check_failed, checks_of
from audiomem_sql.errors import ConstraintError, LimitError
from audiomem_sql.indexes.keys.index import FEW_ROWS, KeyIndex, indexed_rowids
from audiomem_sql.scan import Filter, Readable
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.versions import SegmentView, Snapshot
from audiomem_sql.writing.commit import Commit
from audiomem_sql.writing.narrowed import narrowed_transaction, without_rows
from audiomem_sql.writing.on_conflict import OnConflict, rule_of
from audiomem_sql.writing.row_vectors import Embed, rows_with_vectors
from audiomem_sql.writing.unique_keys import Folded, KeyColumns, UniqueKeys

MAX_ROWID = 2**63 - 1
#: The largest row, in bytes of text and blobs.
MAX_ROW_BYTES = 1 << 30
#: Rows turned into arrays at once when a commit is written.
_CHUNK_ROWS = 1 << 14


class Transaction:
    """Changes on top of ``snapshot``.

    It is a :class:`~audiomem_sql.scan.Readable`: the table as the transaction sees it. Table.begin makes
    one and holds the writer's lock for it.
    """

    def __init__(self, path: str, snapshot: Snapshot) -> None:
        self.path = path
        self.snapshot = snapshot
        self.schema = snapshot.schema
        self._inserted: dict[int, Row] = {}
        self._deleted: set[int] = set()
        self.keys = UniqueKeys(snapshot, self._deleted)
        #: What, rowid, the row taken, the greatest rowid then.
        self._journal: list[tuple[str, int, Row | None, int]] = []
        self._marks: dict[int, int] = {}
        self._high = snapshot.high_rowid
        self._views: Sequence[SegmentView] | None = None
        self._pending: Batch | None = None
        self._indexes: dict[tuple[int, str], KeyIndex] = {}
        self._stale = False
        #: Rowids whose rows the statement that updates now has deleted, as they were in the way of others.
        self.replaced: set[int] = set()
        #: Rowids that it chose, and that nobody can have been told yet.
        self.untold: set[int] = set()
        self.last_rowid: int | None = None  # of the new rows, where the manifest numbered them

    # -- reading ---------------------------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._inserted or self._deleted)

    @property
    def rows(self) -> int:
        """Rows, with the changes."""
        return self.snapshot.rows - len(self._deleted) + len(self._inserted)

    @property
    def version(self) -> int:
        """The version that the transaction is made on."""
        return self.snapshot.version

    @property
    def views(self) -> Sequence[SegmentView]:
        """The segments without the rows that this transaction deleted."""
        if self._views is None:
            self._views = without_rows(self.snapshot.views, self._deleted)
        return self._views

    def narrowed(self, filters: Sequence[Filter]) -> Readable:
        """What has all rows that pass ``filters``, of as few files as can be told."""
        return narrowed_transaction(self, self.snapshot, filters, self._inserted, self._deleted)

    @property
    def pending(self) -> Batch | None:
        """The rows outside the segments, by rowid: those of the log, with the changes."""
        if not self._inserted and not self._deleted:
            return self.snapshot.pending
        if self._stale:
            own = self.snapshot.own_rows.items()
            rows = [each for each in own if each[0] not in self._deleted] + list(self._inserted.items())
            self._pending = batch_of(sorted(rows), self.schema) if rows else None
            self._indexes = {}
            self._stale = False
        return self._pending

    @property
    def ordered(self) -> bool:
        """Whether segments, then pending rows, are in rowid order."""
        return self.snapshot.ordered and (
            not self._inserted or min(self._inserted) > self.snapshot.high_rowid
        )

    def own_row(self, rowid: int) -> Row | None:
        """A row outside the segments, or None."""
        own = self._inserted.get(rowid)
        if own is None and rowid not in self._deleted:
            return self.snapshot.own_row(rowid)
        return own

    def stored_row(self, rowid: int) -> Row | None:
        """The row ``rowid`` as stored values, or None."""
        own = self._inserted.get(rowid)
        if own is None and rowid not in self._deleted:
            return self.snapshot.stored_row(rowid)
        return own

    @property
    def has_own_rows(self) -> bool:
        """Whether there may be rows outside the segments."""
        return bool(self._inserted) or self.snapshot.has_own_rows

    def own_rowids(self) -> Sequence[int]:
        """The rowids outside the segments."""
        logged = [rowid for rowid in self.snapshot.own_rowids() if rowid not in self._deleted]
        return [*logged, *self._inserted]

    def own_rowids_by_key(self, column: int, collation: str, keys: Sequence[Any]) -> Sequence[int]:
        """Of these, at least those whose column ``place`` has one of ``keys``, see Bound.lookup."""
        own = self.snapshot.own_rowids_by_key(column, collation, keys)
        logged = [rowid for rowid in own if rowid not in self._deleted]
        if len(self._inserted) <= FEW_ROWS:
            return [*logged, *self._inserted]
        unique = self.keys.own((column,))
        if unique is not None and self.schema.columns[column].collation == collation == "BINARY":
            return [*logged, *{unique[key,]: None for key in keys if (key,) in unique}]
        pending = self.pending  # the rows of the log are among them
        assert pending is not None
        return indexed_rowids(pending, self.schema, self._indexes, column, collation, keys)

    def contains(self, rowid: int) -> bool:
        """Whether a row has ``rowid``."""
        if rowid in self._inserted:
            return True
        return (
            rowid not in self._deleted and rowid <= self.snapshot.high_rowid and self.snapshot.contains(rowid)
        )

    # -- writing ---------------------------------------------------------------------------------------------

    def insert(
        self,
        rowid: int | None,
        row: Sequence[StoredValue],
        on_conflict: OnConflict = OnConflict.RAISE,
        *,
        replaced: set[int] | None = None,
    ) -> int | None:
        """Add a row of stored values, one a column of the schema; its rowid, or None if it was ignored.

        rowid: None for the INTEGER PRIMARY KEY's value, or else the next free one. replaced: takes the rowids
        of the rows that were in the way. ConstraintError names the columns.
        """
        values = [*row, *[None] * (len(self.schema) - len(row))]  # vectors are made when it ends
        alias = self.schema.rowid_column
        if rowid is None and alias is not None:
            rowid = values[alias]  # type: ignore[assignment]
        if rowid is None:
            rowid = self.next_rowid()
        if alias is not None:
            values[alias] = rowid
        for column, value in zip(self.schema.columns, values, strict=True):
            if value is None and column.not_null and not column.is_rowid:
                if rule_of(column.null_conflict, on_conflict) is OnConflict.IGNORE:
                    return None
                raise not_null_failed(column)
        checks = checks_of(self.schema)
        failed = None if checks is None else checks.failed(rowid, values)
        if failed is not None:
            if on_conflict is OnConflict.IGNORE:
                return None
            raise check_failed(failed)
        conflicts = self._conflicts(rowid, values)
        if conflicts and self._is_dropped(rowid, values, conflicts, on_conflict):
            return None
        _check_size(values)
        for other in sorted({other for _, other in conflicts}):
            self.delete(other)
            if replaced is not None:
                replaced.add(other)
        self._journal.append(("insert", rowid, None, self._high))
        self._put(rowid, tuple(values))
        return rowid

    def update(
        self, old: int, new: int, row: Sequence[StoredValue], on_conflict: OnConflict = OnConflict.RAISE
    ) -> int | None:
        """Replace the row ``old`` by ``row`` with the rowid ``new``; None if the row was ignored.

        SQLite chooses the rows of a statement before it changes the first. One that is no longer there, as
        one before took its place, stays away, also where another has its rowid by now.
        """
        mark = self.steps
        if old in self.replaced or not self.delete(old):
            return new
        try:
            done = self.insert(new, row, on_conflict, replaced=self.replaced)
        except BaseException:
            self.undo(mark)
            raise
        if done is None:
            self.undo(mark)
        return done

    def delete(self, rowid: int) -> bool:
        """Remove the row ``rowid``; False if there is none."""
        own = self._inserted.get(rowid)
        if own is not None:
            self._take(rowid, own)
            self._journal.append(("take", rowid, own, self._high))
        elif rowid not in self._deleted and self.snapshot.contains(rowid):
            self._deleted.add(rowid)
            self._views, self._stale = None, True
            self._journal.append(("delete", rowid, None, self._high))
        else:
            return False
        return True

    def next_rowid(self) -> int:
        """One more than the greatest so far; behind the last a free one, or LimitError with AUTOINCREMENT."""
        if self._high < MAX_ROWID:
            return max(self._high, 0) + 1
        alias = self.schema.rowid_column
        if alias is not None and self.schema.columns[alias].autoincrement:
            raise LimitError("the greatest rowid there can be is taken", file=self.path)
        for _ in range(100):
            rowid = max(1, int.from_bytes(os.urandom(8)) >> 1)
            if not self.contains(rowid):
                return rowid
        raise LimitError("no free rowid was found", file=self.path)

    def _put(self, rowid: int, row: Row) -> None:
        self._inserted[rowid] = row
        self._high = max(self._high, rowid)
        self._stale = True
        self.keys.put(rowid, row)

    def _take(self, rowid: int, row: Row) -> None:
        del self._inserted[rowid]
        self.untold.discard(rowid)
        self._stale = True
        self.keys.take(row)

    # -- keys ------------------------------------------------------------------------------------------------

    def _conflicts(self, rowid: int, row: Sequence[StoredValue]) -> list[tuple[KeyColumns, int]]:
        """The keys that a new row shares with others, and the rowids of those; () stands for the rowid."""
        if not self.contains(rowid):
            return list(self.keys.conflicts(row))
        conflicts: list[tuple[KeyColumns, int]] = [((), rowid), *self.keys.conflicts(row)]
        if self.schema.rowid_keys:
            conflicts += [(key, rowid) for key in self.keys.with_rowid(row, self.stored_row(rowid))]
            conflicts.sort(key=lambda each: list(self.schema.key_conflicts).index(each[0]))  # as declared
        return conflicts

    def _is_dropped(
        self,
        rowid: int,
        row: Sequence[StoredValue],
        conflicts: list[tuple[KeyColumns, int]],
        on_conflict: OnConflict,
    ) -> bool:
        """Whether a row with conflicts is dropped, and does not replace others. Raises ConstraintError.

        SQLite asks the rowid first, then the key that was declared last, and last the keys that replace.
        """
        clauses = self.schema.key_conflicts
        keys = [conflict for conflict in reversed(conflicts) if conflict[0]]
        keys.sort(key=lambda conflict: clauses[conflict[0]] == "REPLACE")
        for conflict in (*(each for each in conflicts if not each[0]), *keys):
            rule = rule_of(clauses[conflict[0]], on_conflict)
            if rule is OnConflict.IGNORE:
                return True
            if rule is OnConflict.RAISE:
                raise self._violated(rowid, row, [conflict])
        return False

    def _violated(
        self, rowid: int, row: Sequence[StoredValue], conflicts: list[tuple[KeyColumns, int]]
    ) -> ConstraintError:
        key_columns, _ = conflicts[0]
        alias = self.schema.rowid_column
        own = "rowid" if alias is None else self.schema.columns[alias].name
        names = self.keys.names(key_columns) or own
        return ConstraintError(
            f"UNIQUE constraint failed: {names}",
            file=self.path,
            place=f"{self.keys.key_text(key_columns, row)}, row {rowid}" if key_columns else f"key {rowid}",
            remedy="Use INSERT OR REPLACE or INSERT OR IGNORE, or another key.",
        )

    # -- savepoints ------------------------------------------------------------------------------------------

    def savepoint(self, number: int, *, keep: bool = False) -> None:
        """This moment is ``number`` (keep: unless that is known), and each below that is not known."""
        known = self._marks if keep else {each: self._marks[each] for each in self._marks if each < number}
        self._marks = dict.fromkeys(range(number + 1), self.steps) | known

    def release(self, number: int) -> None:
        """Forget savepoint ``number`` and those after it."""
        self._marks = {mark: steps for mark, steps in self._marks.items() if mark < number}

    def rollback_to(self, number: int) -> None:
        """Return to savepoint ``number`` (to the beginning if it was set before the first change)."""
        self.undo(self._marks.get(number, 0))
        self._marks = {mark: steps for mark, steps in self._marks.items() if mark <= number}

    @property
    def steps(self) -> int:
        """How many changes were made."""
        return len(self._journal)

    def undo(self, steps: int) -> None:
        """Take back all changes but the first ``steps``."""
        while len(self._journal) > steps:
            change, rowid, row, high = self._journal.pop()
            if change == "insert":
                self._take(rowid, self._inserted[rowid])
            elif change == "delete":
                self._deleted.discard(rowid)
                self._views, self._stale = None, True
                self.replaced.discard(rowid)
            elif row is not None:
                self._put(rowid, row)
                self.replaced.discard(rowid)
            self._high = high

    # -- commit ----------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[Batch]:
        """The inserted rows by rowid, a bounded number at a time."""
        rows = sorted(self._inserted.items())
        for start in range(0, len(rows), _CHUNK_ROWS):
            yield batch_of(rows[start : start + _CHUNK_ROWS], self.schema)

    def embed(self, embed: Embed) -> None:
        """Give the new rows the vectors that they lack; see ``row_vectors``."""

        def before(rowid: int) -> Row | None:
            return self.snapshot.stored_row(rowid) if rowid in self._deleted else None

        for rowid, row in rows_with_vectors(self.schema, self._inserted, before, embed):
            self._inserted[rowid] = row
            self._stale = True

    def logged_size(self) -> int:
        """About the bytes that the changes take in the log."""
        texts = sum(
            len(value) for row in self._inserted.values() for value in row if isinstance(value, (str, bytes))
        )
        return texts + 9 * (len(self._inserted) * (len(self.schema) + 1) + len(self._deleted))

    def record(self, version: int, time: int, message: str | None, sources: bytes | None) -> LogRecord:
        """The changes as a record of the log."""
        return LogRecord(
            version, time, sorted(self._inserted.items()), sorted(self._deleted), message, sources
        )

    def written(self) -> tuple[set[int], int, set[tuple[KeyColumns, Folded]]]:
        """The rowids of all changes, the greatest of a new row (0 for none), and the keys of the new rows."""
        keys = {(columns, key) for columns in self.keys.all for key in self.keys.own(columns) or ()}
        return self._deleted | self._inserted.keys(), max(self._inserted, default=0), keys

    def added_and_deleted(self) -> tuple[Set[int], Set[int]]:
        """The rowids of new rows, and those of rows of the snapshot that it deletes."""
        return self._inserted.keys(), self._deleted

    def commit_content(self, message: str | None = None, sources: bytes | None = None) -> Commit:
        """What is to be written."""
        deleted = np.array(sorted(self._deleted), np.int64)
        return Commit(self.batches(), len(self._inserted), deleted, message, sources)


def _check_size(row: Sequence[StoredValue]) -> None:
    texts = [value for value in row if isinstance(value, (str, bytes))]
    size = sum(map(len, texts))
    if size > MAX_ROW_BYTES // 4:  # text may take up to four bytes a character
        size = sum(len(value.encode() if isinstance(value, str) else value) for value in texts)
    if size > MAX_ROW_BYTES:
        raise LimitError(
            f"a row of {size:,} bytes is over the limit of {MAX_ROW_BYTES:,}",
            remedy="Divide it into several rows.",
        )
