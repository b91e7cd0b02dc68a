"""Tables of a database: created with their files, and dropped with them."""

from __future__ import annotations

from audiomem_sql.dbapi import Connection, translated
from audiomem_sql.orm import table_files


class FilesOfDatabase:
    """What one connection creates and drops in a database, until its transaction ends.

    Where none is open, a file is deleted with its table, or neither is. In a transaction the file stays
    until COMMIT, and a file that was made goes with ROLLBACK.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._created: list[str] = []
        self._dropped: list[str] = []
        connection.files = self

    def create(self, statement: str, path: str) -> None:
        """Run CREATE VIRTUAL TABLE, whose file is ``path``."""
        table_files.check_free(path)
        self._connection.apsw.execute(statement)
        if self._connection.apsw.in_transaction:
            self._created.append(path)

    def drop(self, statement: str, table: str, database: str | None) -> None:
        """Run DROP TABLE."""
        apsw = self._connection.apsw
        path = table_files.file_of(apsw.execute, table, database)
        if path is None or apsw.in_transaction:
            apsw.execute(statement)
            self._dropped += [path] if path is not None else []
            return
        with apsw:
            apsw.execute(statement)
            table_files.delete_unused(apsw.execute, path)

    def before_commit(self) -> None:
        """Nothing speaks against it."""

    def ended(self, *, committed: bool) -> None:
        """Delete what nothing names any more, when the transaction is at its end."""
        paths = self._dropped if committed else self._created
        self._created, self._dropped = [], []
        with translated():
            for path in paths:
                table_files.delete_unused(self._connection.apsw.execute, path)
