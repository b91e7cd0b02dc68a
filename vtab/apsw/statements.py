"""Which statement of an apsw connection writes now, as SQLite's trace tells; and undoing one that failed."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

import apsw

from audiomem_sql.vtab.statement_text import HEAD, has_returning, inserts_twice, read_writing

_MARK = "-- "  # apsw takes it off


class Undone(Protocol):
    """A table that a statement writes to."""

    def undo(self, steps: int) -> None:
        """Take back all changes of the transaction but the first ``steps``."""


class Statement:
    """A statement that writes, from its beginning on.

    texts: the possible ones: as it is, and behind a comment. changes: those of the connection when it began,
    and of statements that it ran. steps: for each table where its transaction stood before the statement,
    until SQLite itself has kept or undone what came then.
    """

    #: The statement that may run it.
    around: Statement | None = None
    #: Whether it has not ended for as long as it is taken for the last one.
    is_last = True
    in_trigger = False
    #: Of its own savepoint, or that of the connection when a table joined.
    level: int | None = None
    _told: tuple[str, ...] | None = None
    _returning: tuple[str, ...] | None = None

    def __init__(self, number: int, changes: int, *texts: str) -> None:
        self.number = number
        self.changes = changes
        self.texts = texts
        self.steps: dict[Undone, int] = {}

    @property
    def told(self) -> tuple[str, ...]:
        """The beginning of its text, if that is known."""
        if self._told is None:
            one_text = len(self.texts) == 1
            self._told = (self.texts[0][:HEAD],) if one_text else tuple(self._known(*self.texts))
        return self._told

    def _known(self, inside: str, behind: str) -> Iterator[str]:
        """Which of two texts it is, inside another statement or behind a comment, if that is known."""
        inside, behind = inside[:HEAD], behind[:HEAD]
        if not _begins_trigger(inside):
            writing, other = read_writing(inside), read_writing(behind)
            if other is not None and (writing is None or inserts_twice(inside)):
                yield behind
            elif writing is not None and other in (None, writing) and self.is_last:
                yield inside

    @property
    def returning(self) -> tuple[str, ...]:
        """Those of its texts that have a RETURNING clause."""
        if self._returning is None:
            self._returning = tuple(filter(has_returning, self.texts))
        return self._returning


class WritingStatements:
    """The statements of one connection that write now: the last one is run inside the others.

    apsw gives no list of the statements that run, and what was not told when a statement began cannot be had
    later. So each is traced from the first table of the connection on, which costs a microsecond. The ends,
    which cost two, count where a function runs a statement inside another one. They are traced where a
    statement may change several rows, and always once there was such a function.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = weakref.ref(connection)
        #: The statement that writes now; None if none is known.
        self.last: Statement | None = None
        self._traces_ends = False
        self._ends_of: Statement | None = None  # the last one that asked for ends
        self._is_nested = False  # whether one was ever run inside another
        connection.trace_v2(apsw.SQLITE_TRACE_STMT, self._traced, id=self)

    # -- what the trace tells

    def _traced(self, event: dict[str, Any]) -> None:
        if event["code"] == apsw.SQLITE_TRACE_PROFILE:
            if self._running(event["id"]) is not None:
                self._end(event["id"], event["total_changes"])
        elif event["trigger"]:
            self._traced_inside(event["id"], event["sql"], event["total_changes"], event["readonly"])
        else:  # not inside another one: none of those before runs any more
            if self.last is not None:
                self._end(None, event["total_changes"])
            if not event["readonly"]:
                self.last = Statement(event["id"], event["total_changes"], event["sql"])

    def _traced_inside(self, number: int, sql: str, changes: int, readonly: bool) -> None:
        """A trigger begins, a step of one, or a statement inside another one.

        What begins with a comment looks alike.
        """
        known = self._running(number)
        if known is not None and (known.texts[0] != sql if _begins_trigger(sql) else known.in_trigger):
            while self.last is not None and self.last is not known:  # what was run inside it has ended
                self._end(self.last.number, changes)
            known.in_trigger = True
        elif not readonly:
            if known is not None:
                self._end(number, changes)
            inside = Statement(number, changes, sql, _MARK + sql)
            inside.around, inside.is_last = self.last, self._traces_ends or self.last is None
            self._is_nested = self._is_nested or self.last is not None
            self.last = inside

    def _running(self, number: int) -> Statement | None:
        each = self.last
        while each is not None and each.number != number:
            each = each.around
        return each

    def _end(self, number: int | None, changes: int) -> None:
        """A statement has ended, and those inside it; None: all. Undo what those did that failed.

        SQLite calls RollbackTo for that, or Release if it succeeded, but apsw leaves the calls out while an
        exception is on its way. Without triggers only a statement that succeeded has changes; one with
        triggers always has a savepoint of its own, or commits.
        """
        while self.last is not None:
            ended = self.last
            self.last = around = ended.around
            if ended.steps and (ended.in_trigger or changes == ended.changes):
                for table, steps in ended.steps.items():
                    table.undo(steps)
            if around is not None:
                around.changes += changes - ended.changes
            if ended.number == number:
                return

    # -- what SQLite calls

    def touches(self, table: Undone, steps: int) -> None:
        """The statement that writes now is to change a table, whose transaction stands at ``steps``."""
        last = self.last
        if last is None:
            return
        if table not in last.steps:
            last.steps[table] = steps
        if self._traces_ends is not (self._is_nested or last is self._ends_of):
            self._trace(ends=not self._traces_ends)

    def begins(self) -> None:
        """The statement begins to write in a transaction, perhaps several rows."""
        self._ends_of = self.last

    def savepoint(self, level: int) -> None:
        """SQLite sets a savepoint, where there is such a statement for it."""
        self._ends_of = self.last
        if self.last is not None:
            self.last.level = level

    def settled(self, level: int) -> None:
        """SQLite keeps, or has undone, what statements did behind a savepoint."""
        each = self.last
        while each is not None:
            if each.level is not None and each.level >= level:
                each.steps.clear()
            each = each.around

    def keeps(self) -> None:
        """The statement that writes now fails, and keeps what it did."""
        if self.last is not None:
            self.last.steps.clear()

    def ends(self) -> None:
        """The transaction ends."""
        each = self.last
        while each is not None:
            each.steps.clear()
            each = each.around
        if not self._is_nested:
            self._trace(ends=False)

    def _trace(self, *, ends: bool) -> None:
        connection = self._connection()
        if connection is not None and ends is not self._traces_ends:
            self._traces_ends = ends
            mask = apsw.SQLITE_TRACE_STMT | (apsw.SQLITE_TRACE_PROFILE if ends else 0)
            with suppress(apsw.ConnectionClosedError):  # closing it ends its transaction
                connection.trace_v2(mask, self._traced, id=self)


def _begins_trigger(sql: str) -> bool:
    return sql.removeprefix(_MARK).startswith("TRIGGER ")
