"""Which statement of an apsw connection is running, as SQLite's trace tells where there are triggers."""

from __future__ import annotations

import itertools
import weakref
from dataclasses import dataclass
from typing import Any

import apsw


@dataclass(slots=True)
class Statement:
    """One run of a statement. in_trigger: whether a trigger of it has begun."""

    number: int
    in_trigger: bool = False


class WritingStatements:
    """The statement of one connection that started last, or that went on in a trigger.

    The trace costs microseconds a statement, so it begins when a statement writes and there are triggers.
    Other traces of the connection stay: apsw tells all of them.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._now = Statement(0)
        self._numbers = itertools.count(1)
        self._running: dict[int, Statement] = {}
        self._connection = weakref.ref(connection)
        self._traces = False
        self._joined: Statement | None = None  # one whose beginning was not traced

    @property
    def number(self) -> int:
        """Another one for each statement."""
        if self._traces:
            return self._now.number
        connection = self._connection()
        assert connection is not None
        return -1 - connection.total_changes()  # without triggers it counts whole statements

    @property
    def in_trigger(self) -> bool:
        """Whether a trigger of the statement has begun."""
        return self._now.in_trigger

    def may_begin(self) -> None:
        """A statement may have begun that writes in several places: see whether triggers are among them."""
        connection = self._connection()
        if self._traces or connection is None or not _has_triggers(connection):
            return
        self._traces = True
        self._now = self._joined = Statement(next(self._numbers))
        connection.trace_v2(apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_PROFILE, self._traced, id=self)

    def _traced(self, event: dict[str, Any]) -> None:
        number = event["id"]
        if event["code"] == apsw.SQLITE_TRACE_PROFILE:
            self._running.pop(number, None)
            around = next(reversed(self._running.values()), self._joined)
            self._now = around or self._now
            return
        # What begins with a comment is called a trigger, too, and so is what a virtual table asks.
        is_trigger = event["trigger"] and event["sql"].startswith("TRIGGER ")
        if not event["trigger"]:
            self._joined = None
        if event["trigger"] and number in self._running:
            self._now = self._running[number]
        elif is_trigger and self._joined is not None:
            self._now, self._joined = self._running.setdefault(number, self._joined), None
        else:
            self._now = self._running[number] = Statement(next(self._numbers))
        self._now.in_trigger = self._now.in_trigger or is_trigger


def _has_triggers(connection: apsw.Connection) -> bool:
    tables = [f'"{name.replace(chr(34), chr(34) * 2)}".sqlite_master' for name in connection.db_names()]
    found = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE type = 'trigger')" for table in tables)
    try:
        return bool(connection.execute(f"SELECT {found}").get)
    except apsw.Error:  # one of them cannot be read now
        return True
