"""Which result code of SQLite an error of ours is, and how its message reads there.

Numbers are those of sqlite3.h; they never change.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from audiomem_sql.errors import (
    AudioMemError,
    BusyError,
    ConstraintError,
    DamagedFileError,
    DataTypeError,
    InterruptError,
    LimitError,
    NotAudioMemoryError,
    SchemaError,
)
from audiomem_sql.observe import hooks

ERROR, BUSY, NOMEM, READONLY, INTERRUPT = 1, 5, 7, 8, 9
CORRUPT, FULL, SCHEMA, TOOBIG, CONSTRAINT, MISMATCH, NOTADB = 11, 13, 17, 18, 19, 20, 26
#: The kinds of constraints by the first words of their messages.
CONSTRAINTS = {
    "UNIQUE": CONSTRAINT | 8 << 8,
    "NOT NULL": CONSTRAINT | 5 << 8,
    "CHECK": CONSTRAINT | 1 << 8,
}
_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (BusyError, BUSY),
    (ConstraintError, CONSTRAINT),
    (DataTypeError, MISMATCH),  # not a constraint: OR IGNORE would drop the row without a word
    (LimitError, TOOBIG),
    (NotAudioMemoryError, NOTADB),
    (DamagedFileError, CORRUPT),
    (MemoryError, NOMEM),
    (InterruptError, INTERRUPT),
    (KeyboardInterrupt, INTERRUPT),
)
_ERRNOS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READONLY,
    errno.EACCES: READONLY,
    errno.EPERM: READONLY,
}


#: A statement that asks the connection whether it is to end: SQLite looks for sqlite3_interrupt(), and calls
#: a progress handler that wants to be called every 150,000 steps of its machine or more often.
ASK = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 8000) SELECT max(i) FROM n"


class SchemaChangedError(SchemaError):
    """The columns changed while a statement knew the old ones."""


def constraint(error: ConstraintError, table: str) -> tuple[int, str] | None:
    """(extended code, message as SQLite words it) of a violated constraint; None if SQLite has none such."""
    for kind, code in CONSTRAINTS.items():
        prefix = f"{kind} constraint failed: "
        if error.what.startswith(prefix):
            columns = error.what.removeprefix(prefix)
            if kind != "CHECK":
                columns = ", ".join(f"{table}.{column}" for column in columns.split(", "))
            return code, prefix + columns
    return None


def explained(error: BaseException, table: str | None = None) -> tuple[int, str]:
    """(result code, message) of any exception; ``table`` is the one that it concerns."""
    if hooks.observer is not None:
        hooks.observer.failed(error)
    if isinstance(error, ConstraintError) and table is not None:
        violated = constraint(error, table)
        if violated is not None:
            return violated
    message = str(error) if isinstance(error, AudioMemError) else f"{type(error).__name__}: {error}"
    message = message.encode(errors="backslashreplace").decode()  # a path may be any bytes
    if isinstance(error, SchemaChangedError):
        return SCHEMA, message
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, message
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _ERRNOS:
            return _ERRNOS[cause.errno], message
    return ERROR, message


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
