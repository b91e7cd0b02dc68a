"""Connections to SQLite files that are sources: nothing is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote as quote_url

from audiomem_sql.errors import DamagedFileError, DataTypeError

if TYPE_CHECKING:
    import apsw


@contextlib.contextmanager
def open_read_only(path: str) -> Iterator[apsw.Connection]:
    """A connection that cannot write. Errors of SQLite become ours."""
    import apsw

    # without a log nobody writes, and SQLite then makes no files of its own beside it
    logged = os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal") > 0
    mode = "mode=ro" if logged else "mode=ro&immutable=1"
    uri = f"file:{quote_url(os.path.abspath(path))}?{mode}"
    try:
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    except apsw.Error as error:
        raise _ours(error, path) from error
    try:
        yield connection
    except apsw.Error as error:
        raise _ours(error, path) from error
    except UnicodeDecodeError as error:
        raise DataTypeError(
            "a text is not UTF-8", file=path, remedy="Correct it in the source: CAST it to BLOB."
        ) from error
    finally:
        connection.close()


def ask(
    connection: apsw.Connection, statement: str, parameters: Sequence[Any] = ()
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement."""
    return cast("Iterator[tuple[Any, ...]]", connection.execute(statement, parameters))


def _ours(error: Exception, path: str) -> DamagedFileError:
    return DamagedFileError(
        f"SQLite says: {error}",
        file=path,
        remedy="Close the program that writes to it, and check it with sqlite3: PRAGMA integrity_check.",
    )
