"""Connections for statements of clients, and one such statement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apsw

from audiomem_sql.columns.column import quote
from audiomem_sql.columns.lexemes import end_of_space
from audiomem_sql.columns.table_names import path_literal
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.settings import Limits
from audiomem_sql.serve.sql_guard import SqlGuard, guard
from audiomem_sql.serve.work import Job

#: Steps of SQLite's machine between two looks at the time; a millisecond or so.
_STEPS = 10_000
#: Sets of tables that connections are kept for.
_MOST_SETS = 16


class GuardedConnection:
    """A connection to some tables, for one statement at a time."""

    def __init__(self, tables: Sequence[ServedTable], limits: Limits) -> None:
        self.names = frozenset(table.name for table in tables)
        self.connection = apsw.Connection(":memory:")
        try:
            if register not in apsw.connection_hooks:
                register(self.connection)
            for table in tables:
                self.connection.execute(
                    f"CREATE VIRTUAL TABLE {quote(table.name)} USING audiomem({path_literal(table.place)})"
                )
            self.guard: SqlGuard = guard(self.connection, self.names, limits)
        except BaseException:
            self.connection.close()
            raise


class SqlPool:
    """Connections that are not in use, by the tables that they have. most: that are lent at the same time."""

    def __init__(self, limits: Limits, most: int) -> None:
        self._limits = limits
        self._most = most
        self._lock = threading.Lock()
        self._idle: dict[frozenset[str], list[GuardedConnection]] = {}
        self._lent = 0

    def lend(self, tables: Sequence[ServedTable]) -> GuardedConnection:
        """A connection to ``tables``. Problem 503 where too many are lent."""
        names = frozenset(table.name for table in tables)
        with self._lock:
            if self._lent >= self._most:
                raise Problem(503, "too many statements are running; come again in a second")
            self._lent += 1
            idle = self._idle.get(names)
            if idle:
                return idle.pop()
        try:
            return GuardedConnection(tables, self._limits)
        except BaseException:
            with self._lock:
                self._lent -= 1
            raise

    def give_back(self, lent: GuardedConnection) -> None:
        """It is not in use any more."""
        extra: list[GuardedConnection] = []
        with self._lock:
            self._lent -= 1
            while len(self._idle) >= _MOST_SETS and lent.names not in self._idle:
                extra += self._idle.pop(next(iter(self._idle)))
            idle = self._idle.setdefault(lent.names, [])
            (extra if len(idle) >= self._limits.threads else idle).append(lent)
        for each in extra:
            each.connection.close()

    def drop(self, lent: GuardedConnection) -> None:
        """It is not in use any more, nor will it be again: what ended its statement failed."""
        with self._lock:
            self._lent -= 1
        lent.connection.close(True)

    def close(self) -> None:
        """Close those that are not in use."""
        with self._lock:
            idle, self._idle = [each for kept in self._idle.values() for each in kept], {}
        for each in idle:
            each.connection.close(True)


class Statement:
    """One statement of SQL on a lent connection; what is wrong with it is raised here, or by its rows.

    names, declared: of the columns of its result. Iterating gives the rows; ``close`` the connection back.
    """

    def __init__(
        self,
        pool: SqlPool,
        tables: Sequence[ServedTable],
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        job: Job,
        hide: Callable[[str], str],
    ) -> None:
        self._pool = pool
        self._job = job
        self._hide = hide
        self._lent: GuardedConnection | None = pool.lend(tables)
        self.names: list[str] = []
        self.declared: list[str | None] = []
        try:
            self._lent.guard.refused = None
            self._lent.connection.set_progress_handler(job.is_over, _STEPS)
            job.interrupted_by(self._lent.connection.interrupt)
            self._cursor = self._lent.connection.cursor()
            self._run(sql, parameters)
        except BaseException as error:
            told = self._told(error)
            self.close()
            if told is error:
                raise
            raise told from None

    def _run(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> None:
        if end_of_space(sql, 0) == len(sql):
            raise QueryError("there is no statement", remedy="Send one, such as SELECT 1.")
        cursor = self._cursor
        seen: list[str] = []

        def trace(at: apsw.Cursor, text: str, _: Any) -> bool:
            seen.append(text)
            if len(seen) > 1 or end_of_space(sql, len(text)) < len(sql):
                raise QueryError("these are several statements", remedy="Send one at a time.")
            if not at.is_readonly:
                raise Problem(403, "a statement may only read")
            for name, kind in at.get_description():
                self.names.append(name)
                self.declared.append(kind)
            return True

        cursor.exec_trace = trace
        cursor.execute(sql, parameters)
        if not self.names:
            raise QueryError("the statement has no result", remedy="Send a SELECT.")

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._cursor
        except GeneratorExit:
            raise
        except BaseException as error:
            told = self._told(error)
            if told is error:
                raise
            raise told from None
        finally:
            self.close()

    def close(self) -> None:
        """End the statement."""
        lent, self._lent = self._lent, None
        if lent is None:
            return
        try:
            self._job.interrupted_by(None)
            if hasattr(self, "_cursor"):
                self._cursor.close(True)
            lent.connection.set_progress_handler(None)
        except BaseException:
            self._pool.drop(lent)
            raise
        self._pool.give_back(lent)

    def _told(self, error: BaseException) -> BaseException:
        """The error as clients get it."""
        if isinstance(error, Problem):
            return error
        refused = None if self._lent is None else self._lent.guard.refused
        if self._job.is_over() and isinstance(error, apsw.InterruptError | AudioMemError):
            return self._job.ended()
        if isinstance(error, AudioMemError):
            return error
        if isinstance(error, apsw.AuthError) or (refused and "not authorized" in str(error)):
            return Problem(403, f"a statement may only read the tables it may see: {refused} is refused")
        if isinstance(error, apsw.NoMemError | apsw.TooBigError):
            return Problem(413, "the statement needs a value, or memory, beyond the limits of the server")
        if isinstance(error, apsw.BindingsError | KeyError):
            return QueryError("the parameters do not fit the statement", remedy="Give each one value.")
        if isinstance(error, apsw.Error | TypeError | OverflowError):
            return QueryError(f"SQL: {self._hide(str(error))}")
        return error
