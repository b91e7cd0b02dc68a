"""A scalar function of SQL, whichever database calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from audiomem_sql.errors import DataTypeError
from audiomem_sql.search import FoundRow

Result = TypeVar("Result")

#: What an argument or a result is. SQLite has a vector as a blob of float32, DuckDB as ``FLOAT[]``.
TEXT, VECTOR, REAL, INTEGER = "text", "vector", "real", "integer"


#: SQLite's flags: never called from a schema (views, triggers, CHECK, generated columns), because it loads a
#: model; or so harmless that a schema that is not trusted may call it, because only its arguments count.
DIRECT_ONLY, INNOCUOUS, DETERMINISTIC = 0x80000, 0x200000, 0x800


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one row.

    call: takes None, int, float, str and bytes, and returns one of them; the same for the same arguments.
    takes: what its arguments are, as many of them as it can have. returns: what its result is. counts: the
    numbers of arguments that it can be called with. many: the same for many rows at once, of a list for each
    argument, where that is faster. flags: who may call it in SQLite,
    ``DIRECT_ONLY``, ``INNOCUOUS`` or neither.
    """

    call: Callable[..., Any]
    takes: tuple[str, ...]
    returns: str
    counts: tuple[int, ...]
    many: Callable[..., list[Any]] | None = None
    flags: int = 0

    @property
    def name(self) -> str:
        """Its name in SQL."""
        return self.call.__name__


def null_for_table(call: Callable[..., Result]) -> Callable[..., Result]:
    """Let a function take the hidden column that is called like its table for NULL, which it is to SQL."""

    @wraps(call)
    def called(*arguments: Any) -> Result:
        try:
            return call(*arguments)
        except DataTypeError:  # of a row, too; asked only now, as most calls have none
            if not any(isinstance(argument, FoundRow) for argument in arguments):
                raise
        return call(*(None if isinstance(argument, FoundRow) else argument for argument in arguments))

    return called
