"""What SQLite asks in xBestIndex, and what it is told, in plain Python: the same for every way of reaching SQLite.

Numbers of operators and of conflict modes are those of sqlite3.h; they never change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from audiomem_sql.predicates import Op

MATCH, LIMIT, OFFSET = 64, 73, 74
EQ = 2
OPERATORS = {
    EQ: Op.EQ,
    4: Op.GT,
    8: Op.LE,
    16: Op.LT,
    32: Op.GE,
    65: Op.LIKE,
    66: Op.GLOB,
    68: Op.NE,
    69: Op.IS_NOT,
    70: Op.NOT_NULL,
    71: Op.IS_NULL,
    72: Op.IS,
}
ROLLBACK, IGNORE, FAIL, ABORT, REPLACE = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Asked:
    """``column op value``. value: None unless it is a constant. in_list: it is an IN whose values can be had at once."""

    column: int
    op: int
    usable: bool
    collation: str = "BINARY"
    value: Any = None
    in_list: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """Conditions; the order wanted, as (column, descending); and the columns needed, a bit each (the 64th: all others)."""

    conditions: Sequence[Asked]
    order: Sequence[tuple[int, bool]]
    used: int

    def uses(self, column: int) -> bool:
        """Whether a column is needed."""
        return bool(self.used >> min(column, 63) & 1)


@dataclass(slots=True)
class Answer:
    """A plan as SQLite is told of it.

    arguments: for each condition the number of its argument, 0 for none; omitted, lists: the conditions that SQLite need not
    check again, and those whose values it gives at once.
    """

    arguments: list[int]
    omitted: list[bool]
    lists: list[bool]
    text: str = ""
    number: int = 0
    cost: float = 0.0
    rows: int = 0
    ordered: bool = False
    unique: bool = False

    @classmethod
    def empty(cls, count: int) -> Answer:
        """No condition is used yet."""
        return cls([0] * count, [False] * count, [False] * count)

    def use(self, condition: int, argument: int, *, omit: bool = True) -> None:
        """A condition is an argument of the plan."""
        self.arguments[condition], self.omitted[condition] = argument, omit


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

    def vtab_on_conflict(self) -> int:
        """The conflict mode of the statement that calls xUpdate."""


@dataclass(slots=True)
class Part:
    """Some rows of an answer: rowids, and for each column of the plan an Arrow array, or a list of values as SQL sees them.

    ranks, distances: of a search.
    """

    rowids: Any
    columns: Sequence[Any] = field(default_factory=tuple)
    ranks: Sequence[float | None] | None = None
    distances: Sequence[float | None] | None = None
