"""A table whose file is not where the database says: SQLite can still name it, and drop it.

SQLite connects to a virtual table before it drops it. Where that fails, the table could never be dropped. So
it is connected without its file, and each use of it raises the error instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from audiomem_sql.errors import AudioMemError
from audiomem_sql.table.table import Table
from audiomem_sql.vtab import interface
from audiomem_sql.vtab.codes import SchemaChangedError
from audiomem_sql.vtab.index_query import IndexPlan, Question
from audiomem_sql.vtab.tables import Tables


class MissingTable(interface.Table):
    """One audiomem table of one connection, without its file.

    find: opens the table, which raises what is wrong for as long as the file is missing.
    """

    def __init__(
        self, tables: Tables, connection: interface.Host, name: str, find: Callable[[], Table]
    ) -> None:
        self._tables = tables
        self.connection = connection
        self.name = name
        self.key: tuple[str, ...] = ()
        self.open_cursors = 0
        self._find = find

    @property
    def table(self) -> Table:  # type: ignore[override]
        """The table of the engine, which is not there."""
        self.refuse()

    def interrupted(self) -> bool:
        """Nothing of it takes long."""
        return False

    def check(self) -> str:
        """Raise what is wrong; the path of the file when it is there again."""
        found = self._find()
        path = found.path
        found.close()
        return path

    def refuse(self) -> NoReturn:
        """Raise what is wrong. When the file is there again, SQLite asks for it at the next statement."""
        path = self.check()
        self.connection.execute("PRAGMA writable_schema=RESET")
        raise SchemaChangedError(
            "the file of the table was missing, and is there again",
            file=path,
            remedy="It is known now: run the statement again.",
        )

    def best_index(self, question: Question) -> IndexPlan:
        """No plan; or one that never runs, as SQLite forgets a schema only while no statement is prepared."""
        self.check()
        return IndexPlan.empty(len(question[0]))

    def opened(self) -> None:
        """No cursor."""
        self.refuse()

    def disconnect(self) -> None:
        """The connection is done with the table."""
        self._tables.forget(self)

    def dropped(self) -> str:
        """What the log of SQLite says of DROP TABLE."""
        return f"audiomem: DROP TABLE {self.name}: there was no file"

    def rename(self, name: str) -> None:
        """Only its name in SQL changes."""
        self.name = name

    def faults(self) -> str | None:
        """What PRAGMA integrity_check prints of this table; it goes on to the next one."""
        try:
            self.refuse()
        except AudioMemError as error:
            return str(error)

    def insert(self, rowid: int | None, fields: Sequence[Any]) -> NoReturn:
        """No row."""
        self.refuse()

    def change(self, rowid: int, new: Any, fields: Sequence[Any]) -> None:
        """No row."""
        self.refuse()

    def delete(self, rowid: int) -> None:
        """No row."""
        self.refuse()

    def begin(self) -> None:
        """No transaction writes to it."""
        self.refuse()

    def sync(self) -> None:
        """Nothing was written."""

    def commit(self) -> None:
        """Nothing was written."""

    def rollback(self) -> None:
        """Nothing was written."""

    def savepoint(self, level: int) -> None:
        """Nothing was written."""

    def release(self, level: int) -> None:
        """Nothing was written."""

    def rollback_to(self, level: int) -> None:
        """Nothing was written."""
