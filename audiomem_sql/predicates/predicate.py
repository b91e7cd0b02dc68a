"""Conditions on the columns of a table, as every parser states them: predicates, AND, OR and NOT."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

#: The column number that stands for the rowid.
ROWID: Final = -1
#: The column number of what is said of no single column.
NO_COLUMN: Final = -2


class Op(Enum):
    """The operators of a predicate; the value is how SQL spells it. BETWEEN is GE and LE."""

    EQ = "="
    NE = "<>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "IN"
    IS_NULL = "IS NULL"
    NOT_NULL = "IS NOT NULL"
    IS = "IS"
    IS_NOT = "IS NOT"
    LIKE = "LIKE"
    GLOB = "GLOB"
    IS_NAN = "IS NAN"  # of reals, where NaN is a value; no operator of SQL
    STARTS_WITH = "STARTS WITH"  # of texts, byte by byte; no operator of SQL
    PATTERN = "PATTERN"  # of texts, as a Pattern says; no operator of SQL
    TRUE = "TRUE"  # the column itself as a condition; takes no value


class Comparison(NamedTuple):
    """One of the six operators that compare two values.

    sql: its spellings in SQL. mirrored: the operator for exchanged sides, ``a < b`` is ``b > a``. arrow:
    Arrow's compute function. polars: its names in polars' expressions. compare: the same for Python values
    and for numpy arrays.
    """

    op: Op
    sql: tuple[str, ...]
    mirrored: Op
    arrow: str
    polars: tuple[str, ...]
    compare: Callable[[Any, Any], Any]


COMPARISONS = (
    Comparison(Op.EQ, ("=", "=="), Op.EQ, "equal", ("Eq", "EqValidity"), operator.eq),
    Comparison(Op.NE, ("<>", "!="), Op.NE, "not_equal", ("NotEq",), operator.ne),
    Comparison(Op.LT, ("<",), Op.GT, "less", ("Lt",), operator.lt),
    Comparison(Op.LE, ("<=",), Op.GE, "less_equal", ("LtEq",), operator.le),
    Comparison(Op.GT, (">",), Op.LT, "greater", ("Gt",), operator.gt),
    Comparison(Op.GE, (">=",), Op.LE, "greater_equal", ("GtEq",), operator.ge),
)
COMPARISON_BY_OP = {comparison.op: comparison for comparison in COMPARISONS}


@dataclass(frozen=True, slots=True)
class Stored:
    """The value of a predicate on a column of a logical type, in its stored form."""

    value: Any


@dataclass(frozen=True, slots=True)
class Predicate:
    """``column OP value``.

    column: the number of the column in the schema, or ROWID; value: None, int, float, str or bytes, for IN a
    collection of these, for PATTERN a ``Pattern``, for IS_NULL, NOT_NULL and TRUE nothing. A column of a
    logical type may be compared with ``Stored``.
    """

    column: int
    op: Op
    value: Any = None

    @property
    def cost(self) -> int:
        """Rank; of two predicates the one with the lower rank is tried first."""
        return 1 if self.op in (Op.LIKE, Op.GLOB, Op.PATTERN) else 0


@dataclass(frozen=True, slots=True)
class SqlPredicate(Predicate):
    """An expression of SQL that is true, false or NULL for a row; SQLite decides it.

    text: the expression, which may name any columns, with ``?`` for each of ``parameters``. start: where it
    begins in the filter that it is part of.
    """

    text: str = ""
    parameters: tuple[Any, ...] = ()
    start: int = 0

    @classmethod
    def of(cls, text: str, parameters: tuple[Any, ...] = (), start: int = 0) -> SqlPredicate:
        """The predicate that ``text`` states."""
        return cls(NO_COLUMN, Op.TRUE, None, text, parameters, start)

    @property
    def cost(self) -> int:
        """It is tried last."""
        return 3


@dataclass(frozen=True, slots=True)
class And:
    """All of the children."""

    children: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of the children."""

    children: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of the child; NULL stays NULL."""

    child: Condition


Condition: TypeAlias = Predicate | And | Or | Not


def conjuncts(condition: Condition) -> list[Condition]:
    """The conditions that its outermost AND joins: it is true where all of them are."""
    if isinstance(condition, And):
        return [part for child in condition.children for part in conjuncts(child)]
    return [condition]


def predicates_of(condition: Condition) -> list[Predicate]:
    """The predicates, from left to right."""
    if isinstance(condition, Predicate):
        return [condition]
    children = (condition.child,) if isinstance(condition, Not) else condition.children
    return [predicate for child in children for predicate in predicates_of(child)]
