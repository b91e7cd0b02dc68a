"""What SQLite asks in xBestIndex, and what it gets for an answer, for every way of reaching SQLite.

Numbers of operators and of conflict modes are those of sqlite3.h; they never change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audiomem_sql.predicates import Op

MATCH, LIMIT, OFFSET = 64, 73, 74
EQ, IS = 2, 72
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
    IS: Op.IS,
}
#: The columns that an UPDATE needs.
ALL_COLUMNS = (1 << 64) - 1
ROLLBACK, IGNORE, FAIL, ABORT, REPLACE = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class IndexConstraint:
    """``column op value``.

    value: None unless it is a constant. in_list: it is an IN whose values can be had at once.
    """

    column: int
    op: int
    usable: bool
    collation: str = "BINARY"
    value: Any = None
    in_list: bool = False


#: An IndexQuery as plain values: (column, op, usable, collation, value, in_list) of each constraint, order
#: and the columns that are used.
Question = tuple[tuple[tuple[int, int, bool, str, Any, bool], ...], tuple[tuple[int, bool], ...], int]


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """What a statement asks of a table.

    order: the order wanted, as (column, descending). used: the columns needed, a bit each (the 64th: all
    others).
    """

    constraints: Sequence[IndexConstraint]
    order: Sequence[tuple[int, bool]]
    used: int

    @classmethod
    def of(cls, question: Question) -> IndexQuery:
        """The query of a question."""
        constraints, order, used = question
        return cls([IndexConstraint(*each) for each in constraints], order, used)

    def uses(self, column: int) -> bool:
        """Whether a column is needed."""
        return bool(self.used >> min(column, 63) & 1)


@dataclass(slots=True)
class IndexPlan:
    """The answer: a plan, and what SQLite has to know of it.

    arguments: for each constraint the number of its argument, 0 for none; omitted, lists: the constraints
    that SQLite need not check again, and those whose values it gives at once.
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
    def empty(cls, count: int) -> IndexPlan:
        """No constraint is used yet."""
        return cls([0] * count, [False] * count, [False] * count)

    def use(self, constraint: int, argument: int, *, omit: bool = True) -> None:
        """A constraint is an argument of the plan."""
        self.arguments[constraint], self.omitted[constraint] = argument, omit
