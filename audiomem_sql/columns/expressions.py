"""SQL expressions of a schema, evaluated by an empty SQLite in memory that may only compute.

The text may come with a file from anywhere. ``syntax`` has seen to it that it is one expression; the
authorizer sees to it that SQLite refuses everything beyond the functions that it brings itself and that
depend on their arguments only. A connection belongs to one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from audiomem_sql.columns.exact_order import compare_numbers
from audiomem_sql.columns.time_order import compare
from audiomem_sql.columns.types import NUMBER_COLLATION, TIME_COLLATION
from audiomem_sql.errors import SchemaError

if TYPE_CHECKING:
    import apsw

#: What a value may be as SQL sees it.
SqlValue = int | float | str | bytes | None
#: Functions of the time. They depend on their arguments only if none of those is 'now' or 'localtime'.
DATE_FUNCTIONS = frozenset(
    ["date", "time", "datetime", "julianday", "strftime", "unixepoch", "timediff"]
)  # fmt: skip
#: Functions that give something else each time, and that a DEFAULT may use.
_VARIABLE = frozenset(["random", "randomblob", "current_time", "current_date", "current_timestamp"])
_DETERMINISTIC = 0x800  # SQLITE_DETERMINISTIC
_threads = threading.local()


def private_connection() -> apsw.Connection:
    """This thread's connection to an empty database in memory."""
    connection: apsw.Connection | None = getattr(_threads, "connection", None)
    if connection is None:
        connection = _threads.connection = empty_database()
    return connection


def empty_database() -> apsw.Connection:
    """A new connection to a database in memory, in which "text" in double quotes is never a string.

    It knows the collating sequence of TIMESTAMP.
    """
    import apsw

    connection = apsw.Connection(":memory:")
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
    connection.create_collation(TIME_COLLATION, compare)
    connection.create_collation(NUMBER_COLLATION, compare_numbers)
    return connection


@cache
def deterministic_functions() -> frozenset[str]:
    """The functions of SQLite whose result depends on their arguments only."""
    flags = private_connection().execute(
        "SELECT name FROM pragma_function_list WHERE flags & ?", (_DETERMINISTIC,)
    )
    return frozenset(str(name).lower() for (name,) in flags)


@contextmanager
def watched(
    connection: apsw.Connection, allow: Callable[[int, str | None, str | None], bool]
) -> Iterator[None]:
    """Let ``allow(action, first, second)`` decide what the statements prepared meanwhile may do."""
    import apsw

    def authorize(action: int, first: str | None, second: str | None, *_: Any) -> int:
        return apsw.SQLITE_OK if allow(action, first, second) else apsw.SQLITE_DENY

    connection.authorizer = authorize
    try:
        yield
    finally:
        connection.authorizer = None


def functions_of(expression: str) -> frozenset[str]:
    """The functions that an expression without columns calls, in small letters.

    Raises SchemaError for a sub-select, a parameter, an aggregate, and for functions that SQLite does not
    bring or whose result depends on the connection.
    """
    import apsw

    called: set[str] = set()
    selects = 0

    def allow(action: int, first: str | None, second: str | None) -> bool:
        nonlocal selects
        if action == apsw.SQLITE_FUNCTION and second is not None:
            called.add(second.lower())
            return True
        selects += action == apsw.SQLITE_SELECT
        return action == apsw.SQLITE_SELECT and selects == 1

    connection = private_connection()
    with watched(connection, allow):
        try:
            # an aggregate has no place in a WHERE
            connection.execute(f"SELECT 1 WHERE {expression} LIMIT 0", can_cache=False)
        except apsw.BindingsError:
            raise SchemaError("a parameter has no value here") from None
        except apsw.Error as error:
            raise SchemaError("a sub-select has no place here" if selects > 1 else str(error)) from None
    strange = called - deterministic_functions() - DATE_FUNCTIONS - _VARIABLE
    if strange:
        raise SchemaError(f"{min(strange)}() has no place here")
    return frozenset(called)


def evaluate(expression: str, count: int = 1) -> list[SqlValue]:
    """The values of an expression that :func:`functions_of` accepts, evaluated ``count`` times.

    SchemaError if it fails.
    """
    import apsw

    counted = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    sql, bindings = (
        (f"SELECT {expression}", ()) if count == 1 else (f"{counted} SELECT {expression} FROM n", (count,))
    )
    try:
        return [value for (value,) in private_connection().execute(sql, bindings)] if count else []
    except apsw.Error as error:
        raise SchemaError(str(error)) from None
