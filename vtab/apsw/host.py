"""An apsw connection as the host of tables."""

from __future__ import annotations

from typing import Any, cast

import apsw

from audiomem_sql.vtab.apsw.statements import WritingStatements
from audiomem_sql.vtab.interface import WritingHost


class ApswHost(WritingHost):
    """The connection ``apsw``, and its statements."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.apsw = connection
        self.statements = WritingStatements(connection)

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

    def set_last_insert_rowid(self, rowid: int, /) -> None:
        """Let that be another one from now on."""
        self.apsw.set_last_insert_rowid(rowid)

    def vtab_on_conflict(self) -> int:
        """The conflict mode of the statement that calls xUpdate."""
        return self.apsw.vtab_on_conflict()

    def total_changes(self) -> int:
        """Rows changed by the statements that have ended."""
        return self.apsw.total_changes()

    def finds(self, sql: str, /) -> bool | None:
        """Whether a SELECT has a row; None if it cannot be run."""
        try:
            return self.apsw.execute(sql).fetchone() is not None
        except apsw.Error:
            return None

    def writing(self) -> tuple[str, ...]:
        """The beginning of the statement that writes now; () if it is not known."""
        last = self.statements.last
        return () if last is None else last.told

    def returning(self) -> tuple[str, ...]:
        """What may be the text of the statement that writes now, and has a RETURNING clause."""
        last = self.statements.last
        return () if last is None else last.returning
