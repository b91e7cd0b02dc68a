"""The one table of a FLAC file: dropped with the file, and created again in its place.

The schema is in the memory of the connection, so the file decides whether there is a table. A table that is
dropped and created in one transaction, as ``to_sql(if_exists="replace")`` does, is written beside the old
one and takes its place at COMMIT. Until then, and after any error, the old one is as it was.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from audiomem_sql.columns.column import quote
from audiomem_sql.columns.table_names import path_literal
from audiomem_sql.dbapi import Connection, translated
from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import link_durably
from audiomem_sql.machine.file_names import is_there, resolved
from audiomem_sql.machine.urls import is_url
from audiomem_sql.orm import table_files
from audiomem_sql.table import dropping
from audiomem_sql.table.existence import table_is_there


@dataclass
class FlacFile:
    """A file, and what its table is called in SQL; the connections of an engine share it.

    may_be_missing: the table was dropped, or is to be created. Otherwise a missing file is an error.
    """

    path: str
    table: str
    may_be_missing: bool = False


class FileOfEngine:
    """What one connection does to the table of a FLAC file."""

    def __init__(self, connection: Connection, file: FlacFile) -> None:
        self._connection = connection
        self._file = file
        self._path = file.path
        self._name = file.table
        self._is_dropped = False
        self._made: str | None = None
        connection.files = self

    def follow(self) -> None:
        """Take up what other connections of the engine did: the table goes and comes with the file."""
        if self._connection.apsw.in_transaction:
            return
        has_table = self._has_table()
        if is_url(self._path):  # a store is asked once
            there = has_table or (self._file.may_be_missing and table_is_there(self._path))
        else:
            there = is_there(self._path)
        if has_table == there:
            return
        with translated():
            if not has_table:
                self._attach()
            elif self._file.may_be_missing:
                self._forget()

    def create(self, statement: str, path: str) -> None:
        """Run CREATE VIRTUAL TABLE, whose file is ``path``, or another beside it until COMMIT."""
        apsw = self._connection.apsw
        if not self._is_dropped or not is_there(path):
            if not is_url(path):  # a store says it itself
                table_files.check_free(path)
            apsw.execute(statement)
            self._made = path if apsw.in_transaction else None
            self._file.may_be_missing = False
            return
        folder, name = os.path.split(resolved(path))
        beside = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.flac")
        apsw.execute(statement.replace(path_literal(path), path_literal(beside), 1))
        self._made = beside

    def drop(self, statement: str, table: str, database: str | None) -> None:
        """Run DROP TABLE; of another table than that of the file, alone."""
        apsw = self._connection.apsw
        if not self._has_table() or table_files.file_of(apsw.execute, table, database) is None:
            apsw.execute(statement)
            return
        with translated():
            resolved(self._path)  # objects in stores are not deleted
        alone = not apsw.in_transaction
        if alone:
            apsw.execute("BEGIN")
        self._is_dropped = True
        apsw.execute(statement)
        if alone and self._connection.autocommit:
            self._connection.commit()

    def before_commit(self) -> None:
        """Keep the old table if a statement failed since: pandas commits behind a ``to_sql`` that failed."""
        if self._is_dropped and self._made is not None and self._connection.failed:
            self._connection.rollback()
            raise StorageError(
                "a statement failed while the table was being replaced; the old one is as it was",
                file=self._path,
                remedy="Begin again. In such a transaction nothing may fail, not in a savepoint either.",
            )

    def ended(self, *, committed: bool) -> None:
        """Put the new table in the place of the old one, or delete the new one."""
        is_dropped, made = self._is_dropped, self._made
        self._is_dropped, self._made = False, None
        with translated():
            if committed and is_dropped:
                self._finish(made)
            elif not committed and made is not None:
                self._file.may_be_missing = self._file.may_be_missing or made == self._path
                dropping.drop(made)

    def _finish(self, beside: str | None) -> None:
        """Replace or delete the old table; after an error it is there as before."""
        if self._has_table():
            self._forget()
        try:
            if beside is None:
                table_files.delete_unused(self._connection.apsw.execute, self._path)
                self._file.may_be_missing = True
            elif is_there(self._path):
                dropping.replace(self._path, beside)
            else:
                link_durably(beside, self._path)
        except BaseException:
            if beside is not None and is_there(beside):
                dropping.drop(beside)
            raise
        finally:
            if is_there(self._path):
                self._attach()

    def _has_table(self) -> bool:
        query = "SELECT count(*) FROM sqlite_master WHERE name = ? COLLATE NOCASE"
        return bool(self._connection.apsw.execute(query, (self._name,)).get)

    def _attach(self) -> None:
        self._connection.apsw.execute(
            f"CREATE VIRTUAL TABLE {quote(self._name)} USING audiomem({path_literal(self._path)})"
        )

    def _forget(self) -> None:
        self._connection.apsw.execute(f"DROP TABLE {quote(self._name)}")
