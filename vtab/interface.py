"""The contract of a virtual table of SQLite: what every way of reaching SQLite implements, or is handed.

``apsw/`` reaches it through apsw, and ``extension.py`` through the C extension. Both make a :class:`Table`
for each CREATE VIRTUAL TABLE, open a :class:`Cursor` for each scan, and translate what SQLite calls into
these methods; nothing else of SQLite gets further in. Errors are those of :mod:`audiomem_sql.errors`;
``codes`` says which result code each is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from audiomem_sql.table.table import Table as EngineTable
from audiomem_sql.vtab.index_query import IndexPlan, Question


class Host(Protocol):
    """What a table asks of the connection that it belongs to. An ``apsw.Connection`` is one."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun by hand."""

    def execute(self, sql: str, /) -> Any:
        """Run statements."""

    def db_filename(self, database: str, /) -> str | None:
        """The file of an attached database."""

    def last_insert_rowid(self) -> int:
        """The rowid of the last INSERT."""

    def set_last_insert_rowid(self, rowid: int, /) -> None:
        """Let ``last_insert_rowid`` be another one from now on."""

    def vtab_on_conflict(self) -> int:
        """The conflict mode of the statement that calls xUpdate."""

    def total_changes(self) -> int:
        """Rows changed since the connection was opened, by the statements that have ended."""


class WritingHost(Host, Protocol):
    """What a table that is written to asks of its connection, too."""

    def finds(self, sql: str, /) -> bool | None:
        """Whether a SELECT has a row; None if it cannot be run."""

    def writing(self) -> Sequence[str | None]:
        """The texts, or the beginnings, of the statements that are in the middle of writing.

        More than one where one is run inside another, and it is not known which of them writes now; None in
        the place of one that is not known, or none at all.
        """

    def returning(self) -> Sequence[str | None]:
        """The whole texts of those that have a RETURNING clause."""


@dataclass(slots=True)
class Part:
    """Some rows of an answer.

    columns: for each column of the plan an Arrow array, or a list of values as SQL sees them. ranks,
    distances: of a search.
    """

    rowids: Any
    columns: Sequence[Any] = field(default_factory=tuple)
    ranks: Sequence[float | None] | None = None
    distances: Sequence[float | None] | None = None


class Table(Protocol):
    """One audiomem table of one connection, for the C functions of sqlite3_module."""

    #: Its name in SQL.
    name: str
    #: The database and the arguments that it was connected with; empty without a table of the engine.
    key: tuple[str, ...]
    #: The table of the engine.
    table: EngineTable
    #: How many statements read it now.
    open_cursors: int

    def best_index(self, question: Question) -> IndexPlan | None:
        """xBestIndex; None: not in this order of SQLite's loops."""

    def opened(self) -> None:
        """xOpen: a cursor is opened."""

    def disconnect(self) -> None:
        """xDisconnect, and the end of xDestroy."""

    def dropped(self) -> str:
        """The beginning of xDestroy, DROP TABLE; what SQLite's log says of it."""

    def rename(self, name: str) -> None:
        """xRename."""

    def faults(self) -> str | None:
        """xIntegrity."""

    def interrupted(self) -> bool:
        """Whether the statement that runs is to end."""

    def insert(self, rowid: int | None, fields: Sequence[Any]) -> int | None:
        """xUpdate with a row that is new; its rowid, or None if OR IGNORE dropped it."""

    def change(self, rowid: int, new: Any, fields: Sequence[Any]) -> int | None:
        """xUpdate with a row that is there; its rowid, or None if OR IGNORE left it as it was.

        fields: NaN where the row has NaN or -0.0 and the statement leaves it so; SQL itself has no NaN.
        """

    def delete(self, rowid: int) -> None:
        """xUpdate without a row."""

    def begin(self) -> None:
        """xBegin."""

    def sync(self) -> None:
        """xSync."""

    def commit(self) -> None:
        """xCommit."""

    def rollback(self) -> None:
        """xRollback."""

    def savepoint(self, level: int) -> None:
        """xSavepoint."""

    def release(self, level: int) -> None:
        """xRelease."""

    def rollback_to(self, level: int) -> None:
        """xRollbackTo."""


class Cursor(Protocol):
    """The rows of one plan, part by part."""

    __slots__ = ()

    def begin(self, text: str, arguments: Sequence[Any]) -> Part | None:
        """xFilter: the first rows of the plan with this text, None if there are none."""

    def next(self) -> Part | None:
        """The next rows, when xNext has gone through those before; None at the end."""

    def other(self, number: int, rowid: int) -> Any:
        """xColumn of a column that the plan did not name."""

    def close(self) -> None:
        """xClose."""
