"""A FLAC file as a database of datasette: connections in memory that have its table."""

from __future__ import annotations

import os
from typing import Any

from datasette.database import Database
from datasette.utils.sqlite import sqlite3

from audiomem_sql.columns.column import quote
from audiomem_sql.columns.table_names import path_literal, table_name
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import AudioMemError, StorageError

FLAC = b"fLaC"


def is_table_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is FLAC, which no SQLite database is."""
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == FLAC
    except OSError:
        return False


class AudioMemDatabase(Database):
    """The table of one file.

    ``table``: its name. ``row_key``: the INTEGER PRIMARY KEY, or ``rowid``. ``modes``: the ways in which the
    search page can look: words, meaning, hybrid. ``searched``: the columns of texts that a search looks in.
    ``columns``: all of them.
    """

    def __init__(self, ds: Any, path: str, is_mutable: bool = True) -> None:
        super().__init__(ds, path, is_mutable=is_mutable)
        self.table = table_name(path, remedy="Rename the file: SQL has no such name.")
        self.row_key = "rowid"
        self.columns: list[str] = []
        self.searched: list[str] = []
        self.modes: list[str] = []

    async def look(self) -> None:
        """Learn the columns. Errors of this package where the file is no table, or cannot be opened here."""
        import audiomem_sql

        with audiomem_sql.open(self.path) as table:
            schema = table.schema
        if schema.rowid_column is not None:
            self.row_key = schema.columns[schema.rowid_column].name
        by_words = [each.name for each in schema.columns if each.indexed and each.type.kind is Kind.TEXT]
        by_meaning = [each.name for each in schema.columns if each.semantic]
        self.columns = list(schema.names)
        self.searched = [name for name in schema.names if name in {*by_meaning, *by_words}]
        self.modes = ["words"] * bool(by_words) + ["meaning"] * bool(by_meaning)
        self.modes = ["hybrid", *self.modes] if len(self.modes) == 2 else self.modes
        self.connect().close()

    def connect(self, write: bool = False) -> Any:
        """A connection in memory whose only table is in the file; it writes only if ``write`` is true."""
        import audiomem_sql

        connection = sqlite3.connect(":memory:", uri=True, check_same_thread=False)
        try:
            audiomem_sql.load(connection)
            connection.execute(
                f"CREATE VIRTUAL TABLE {quote(self.table)} USING "
                f"audiomem({path_literal(os.path.abspath(self.path))})"
            )
            if not write or not self.is_mutable:
                connection.execute("PRAGMA query_only=1")
        except AudioMemError:
            connection.close()
            raise
        except sqlite3.Error as error:
            connection.close()
            raise StorageError(str(error), file=self.path) from error
        self._all_file_connections.append(connection)
        return connection

    async def table_columns(self, table: str) -> list[str]:
        """The columns without the hidden ones."""
        found: list[str] = await super().table_columns(table)
        return [name for name in found if name in self.columns] if table == self.table else found

    async def table_column_details(self, table: str) -> list[Any]:
        """The same, with types."""
        found: list[Any] = await super().table_column_details(table)
        return [each for each in found if each.name in self.columns] if table == self.table else found
