"""An apsw connection as the host of tables: what it tells, and which statement writes now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import apsw

from audiomem_sql.vtab.interface import WritingHost
from audiomem_sql.vtab.statement_text import HEAD, has_returning


class ApswHost(WritingHost):
    """The connection ``apsw``.

    apsw gives no list of the statements that run. It tells of each that begins, though, and of those that are
    run inside it, in triggers, functions and other virtual tables: the others. A statement that begins with
    a comment looks like one of these, so its text is not known either.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.apsw = connection
        self._text: str | None = None
        self._others = False
        self._asks = False
        self._returns: bool | None = None
        connection.trace_v2(apsw.SQLITE_TRACE_STMT, self._begins, id=self)

    def _begins(self, event: dict[str, Any]) -> None:
        if not event["trigger"]:
            self._text, self._others, self._returns = event["sql"], False, None
        elif not self._asks:
            self._others = True

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun by hand."""
        return self.apsw.in_transaction

    def execute(self, sql: str, /) -> Any:
        """Run statements."""
        return self.apsw.execute(sql)

    def db_filename(self, database: str, /) -> str | None:
        """The file of an attached database."""
        return cast("str | None", self.apsw.db_filename(database))

    def last_insert_rowid(self) -> int:
        """The rowid of the last INSERT."""
        return self.apsw.last_insert_rowid()

    def vtab_on_conflict(self) -> int:
        """The conflict mode of the statement that calls xUpdate."""
        return self.apsw.vtab_on_conflict()

    def total_changes(self) -> int:
        """Rows changed by the statements that have ended."""
        return self.apsw.total_changes()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Statements that are run meanwhile are questions of the table, and no other statements."""
        before, self._asks = self._asks, True
        try:
            yield
        finally:
            self._asks = before

    def finds(self, sql: str, /) -> bool | None:
        """Whether a SELECT has a row; None if it cannot be run."""
        try:
            with self.asking():
                return self.apsw.execute(sql).fetchone() is not None
        except apsw.Error:
            return None

    def running(self) -> str | None:
        """The beginning of the statement that writes now; None if others write inside it."""
        return None if self._others or self._text is None else self._text[:HEAD]

    def returning(self) -> bool:
        """Whether the statement that writes now has a RETURNING clause."""
        if self._returns is None:
            self._returns = self._text is not None and has_returning(self._text)
        return self._returns
