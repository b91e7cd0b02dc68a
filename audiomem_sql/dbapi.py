"""Python's Database API 2.0 (PEP 249) over apsw, as far as SQLAlchemy and its users need it.

apsw shows SQLite as it is and has an interface of its own. Here a transaction begins by itself before the
first statement that writes, and ends with ``commit`` or ``rollback``; with ``autocommit`` there is none, as
the commands of a table (vacuum, tag, …) want it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any, Protocol

import apsw

from audiomem_sql import connections, errors
from audiomem_sql.connections import Parameters, bindable
from audiomem_sql.machine.file_access import open_regular
from audiomem_sql.shards import is_sharded
from audiomem_sql.table.existence import table_is_there

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"
sqlite_version_info = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
version_info = tuple(int(part) for part in apsw.apsw_version().split("."))

#: Statements that change something and are no part of a transaction that begins by itself.
_ALONE = frozenset(
    (
        "ALTER",
        "ANALYZE",
        "ATTACH",
        "BEGIN",
        "COMMIT",
        "CREATE",
        "DETACH",
        "DROP",
        "END",
        "PRAGMA",
        "REINDEX",
        "RELEASE",
        "ROLLBACK",
        "VACUUM",
    )
)
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/|;)*(\w*)", re.DOTALL)
_MAGIC = b"SQLite format 3\0"
_DATABASES = (".db", ".sqlite", ".sqlite3")

# How PEP 249 builds values that fit a column: here times are text, as SQLite's own functions write them.
Binary = bytes


def Date(year: int, month: int, day: int) -> str:
    """A day."""
    return date(year, month, day).isoformat()


def Time(hour: int, minute: int, second: int) -> str:
    """A time of day."""
    return time(hour, minute, second).isoformat()


def Timestamp(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    """A moment."""
    return datetime(year, month, day, hour, minute, second).isoformat(" ")


def DateFromTicks(ticks: float) -> str:
    """The day, UTC, that is ``ticks`` seconds after the beginning of 1970."""
    return datetime.fromtimestamp(ticks, UTC).date().isoformat()


def TimeFromTicks(ticks: float) -> str:
    """The time of day, UTC, that is ``ticks`` seconds after the beginning of 1970."""
    return datetime.fromtimestamp(ticks, UTC).time().isoformat()


def TimestampFromTicks(ticks: float) -> str:
    """The moment, UTC, that is ``ticks`` seconds after the beginning of 1970."""
    return datetime.fromtimestamp(ticks, UTC).replace(tzinfo=None).isoformat(" ")


# The names that PEP 249 gives to errors. They belong to our tree, and tell file, place and remedy like the
# rest of it.
class Error(errors.AudioMemError):
    """Every error of this module."""


class InterfaceError(Error):
    """The interface was used as it cannot be."""


class DatabaseError(Error):
    """Every error that comes from the database."""


class DataError(DatabaseError):
    """A value that does not fit its column."""


class OperationalError(DatabaseError):
    """What nobody is to blame for who wrote the query: a lock, a disk, damage."""


class IntegrityError(DatabaseError):
    """A constraint would be violated."""


class InternalError(DatabaseError):
    """SQLite found itself in a state that it should not be in."""


class ProgrammingError(DatabaseError):
    """A query that cannot be understood."""


class NotSupportedError(DatabaseError):
    """A part of SQL that is not there."""


class Warning(UserWarning):
    """The base of warnings."""


_KINDS: tuple[tuple[tuple[type[Exception], ...], type[Error]], ...] = (
    ((apsw.ConstraintError, errors.ConstraintError), IntegrityError),
    ((apsw.MismatchError, apsw.TooBigError, errors.DataTypeError, errors.LimitError), DataError),
    ((errors.UnsupportedError,), NotSupportedError),
    ((apsw.InternalError,), InternalError),
    ((apsw.ConnectionClosedError, apsw.CursorClosedError, apsw.ThreadingViolationError), ProgrammingError),
    ((apsw.SQLError, apsw.BindingsError, apsw.RangeError), ProgrammingError),
    ((errors.QueryError, errors.SchemaError, errors.OptionError), ProgrammingError),
    ((apsw.Error, errors.AudioMemError), OperationalError),
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors of apsw and ours under the names that they have here."""
    try:
        yield
    except Error:
        raise
    except (apsw.Error, errors.AudioMemError) as error:
        kind = next(kind for known, kind in _KINDS if isinstance(error, known))
        if isinstance(error, errors.AudioMemError):
            raise kind(error.what, file=error.file, place=error.place, remedy=error.remedy) from error
        raise kind(str(error)) from error


def connect(
    path: str | os.PathLike[str] = ":memory:",
    *,
    table: str | None = None,
    timeout: float = 5.0,
    create: bool = False,
) -> Connection:
    """A connection to the table in a FLAC file, or to a SQLite database with tables of ``audiomem``.

    path: a FLAC file, whose table is called ``table`` or else like the file; or a database, told by its first
    bytes, or, where there is none yet, by its extension. timeout: seconds to wait for a lock of a database.
    create: the FLAC file need not be there yet.
    """
    with translated():
        if is_database(path) or (create and not table_is_there(os.fspath(path))):
            connection = apsw.Connection(os.fspath(path) if is_database(path) else ":memory:")
            if connections.register not in apsw.connection_hooks:
                connections.register(connection)
        else:
            connection = connections.connect(path, table)
        connection.set_busy_timeout(round(timeout * 1000))
    return Connection(connection)


def is_database(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a database of SQLite, or the place for a new one, and not a FLAC file."""
    if os.fspath(path) in (":memory:", ""):
        return True
    if is_sharded(path):
        return False
    try:
        handle = open_regular(path, os.O_RDONLY, follow=True, remedy="Name a FLAC file or a database.")
        with os.fdopen(handle, "rb") as file:
            head = file.read(len(_MAGIC))
    except OSError:
        head = b""
    return head == _MAGIC or (not head and os.fspath(path).lower().endswith(_DATABASES))


class Files(Protocol):
    """Who looks after the files of the tables that a connection creates and drops."""

    def before_commit(self) -> None:
        """Called before each COMMIT, which an error prevents."""

    def ended(self, *, committed: bool) -> None:
        """Called behind each COMMIT and ROLLBACK."""


class Connection:
    """A connection; ``apsw`` is the one behind it, ``autocommit``: no transaction begins by itself.

    files: who looks after the files of tables that are created and dropped. failed: since the last rollback a
    statement failed.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.apsw = connection
        self.autocommit = False
        self.files: Files | None = None
        self.failed = False

    def cursor(self) -> Cursor:
        """A new cursor."""
        with translated():
            return Cursor(self)

    def execute(self, query: str, parameters: Parameters = ()) -> Cursor:
        """A cursor that has executed ``query``."""
        return self.cursor().execute(query, parameters)

    def commit(self) -> None:
        """End the transaction, if there is one."""
        with translated():
            if self.files is not None:
                self.files.before_commit()
            if self.apsw.in_transaction:
                self.apsw.execute("COMMIT")
            self.failed = False
            if self.files is not None:
                self.files.ended(committed=True)

    def rollback(self) -> None:
        """Take back what was not committed."""
        with translated():
            if self.apsw.in_transaction:
                self.apsw.execute("ROLLBACK")
            self.failed = False
            if self.files is not None:
                self.files.ended(committed=False)

    def close(self) -> None:
        """Close it; what was not committed is lost."""
        with translated():
            self.apsw.close()

    def create_function(
        self, name: str, arguments: int, function: Callable[..., Any], *, deterministic: bool = False
    ) -> None:
        """Make a Python function known to SQL."""
        with translated():
            self.apsw.create_scalar_function(name, function, arguments, deterministic=deterministic)


class Cursor:
    """One statement at a time, and its rows."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: tuple[tuple[Any, ...], ...] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._cursor = connection.apsw.cursor()
        self._cursor.exec_trace = self._begin
        self._rows: Iterator[Any] = iter(())
        self._begun = 0
        self._only_describes = False

    def _begin(self, cursor: apsw.Cursor, query: str, bindings: Any) -> bool:
        self._begun += 1
        columns = cursor.get_description()
        if columns:
            self.description = tuple((name, kind, None, None, None, None, None) for name, kind in columns)
        if self._only_describes:
            return False
        apart = self.connection.autocommit or self.connection.apsw.in_transaction
        first = _FIRST_WORD.match(query)
        word = first[1].upper() if first else ""
        if not apart and word not in _ALONE and (not cursor.is_readonly or word == "SAVEPOINT"):
            self.connection.apsw.execute("BEGIN")
        return True

    def execute(self, query: str, parameters: Parameters = ()) -> Cursor:
        """Run ``query``; its rows are fetched afterwards."""
        self._run(lambda: self._cursor.execute(query, bindable(parameters) or None))
        if self.description is not None and self._begun == 1:
            self._describe_again(query, parameters)
        return self

    def _describe_again(self, query: str, parameters: Parameters) -> None:
        """The columns as they are, where another connection has dropped and created a table meanwhile.

        SQLite learns of it when the statement begins, which is after it was first described. A statement
        without rows is at its end by then; prepared once more, it is described, and does not begin.
        """
        try:
            self.description = self._cursor.description  # get_description() remembers what it said
        except apsw.ExecutionCompleteError:
            self._only_describes, self._rows = True, iter(())
            with contextlib.suppress(apsw.ExecTraceAbort):
                self._cursor.execute(query, bindable(parameters) or None, can_cache=False)
            self._only_describes = False

    def executemany(self, query: str, parameters: Iterable[Parameters]) -> Cursor:
        """Run ``query`` with each of ``parameters``."""
        listed = list(parameters)
        return self._run(lambda: self._cursor.executemany(query, map(bindable, listed)))

    def _run(self, start: Callable[[], Iterator[Any]]) -> Cursor:
        try:
            with translated():
                try:
                    self._start(start)
                except (apsw.SQLError, apsw.SchemaChangeError) as error:
                    if not self._knew_other_columns(error):
                        raise
                    self.connection.apsw.execute("PRAGMA writable_schema=RESET")
                    self._start(start)
        except BaseException:
            self.connection.failed = True
            raise
        return self

    def _start(self, start: Callable[[], Iterator[Any]]) -> None:
        self.description, self.rowcount, self.lastrowid = None, -1, None
        self._begun = 0
        before = self.connection.apsw.total_changes()
        self._rows = iter(start())
        if self.description is None:
            for _ in self._rows:
                pass
            self._rows = iter(())
            self.rowcount = self.connection.apsw.total_changes() - before
            self.lastrowid = self.connection.apsw.last_insert_rowid()

    def _knew_other_columns(self, error: Exception) -> bool:
        """Whether a statement did nothing yet, and may succeed with the columns that a table has by now.

        SQLite learns by itself what another connection did to its tables, but not what it did to ours.
        """
        if isinstance(error, apsw.SQLError):
            return not self._begun and "column" in str(error)
        return self._begun == 1

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    def fetchone(self) -> Any:
        """The next row; None behind the last one."""
        with translated():
            return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next ``size`` rows, by default ``arraysize``."""
        with translated():
            return [row for _, row in zip(range(size or self.arraysize), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        with translated():
            return list(self._rows)

    def close(self) -> None:
        """Let go of the statement."""
        with translated():
            self._rows = iter(())
            self._cursor.close()

    def setinputsizes(self, sizes: Any) -> None:
        """Nothing, as PEP 249 permits."""

    def setoutputsize(self, size: Any, column: Any = None) -> None:
        """Nothing, as PEP 249 permits."""
