"""The right-hand side of a comparison: SQL values, their text, and the interval of numbers they bound."""

from __future__ import annotations

import math
from typing import Any, Self, TypeAlias

from audiomem_sql.columns.numeric_text import real_text
from audiomem_sql.errors import QueryError
from audiomem_sql.predicates.predicate import Op

SqlValue: TypeAlias = int | float | str | bytes

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
#: An interval that holds nothing.
EMPTY = (1, 0)


class Numeral(float):
    """A double of SQLite, and the digits that spell it: columns of exact numbers are compared with these."""

    text: str

    def __new__(cls, value: float, text: str = "") -> Self:
        """The double ``value`` that ``text`` spells."""
        made = super().__new__(cls, value)
        made.text = text
        return made


class Wide(int):
    """A parameter beyond 64 bits, called ``place``: only columns of exact numbers are compared with it."""

    place: str

    def __new__(cls, value: int, place: str = "") -> Self:
        """The integer ``value``, which is given as ``place``."""
        made = super().__new__(cls, value)
        made.place = place
        return made

    def refused(self) -> QueryError:
        """The error of a comparison with anything else."""
        return QueryError("this number is beyond 64 bits", place=self.place)


def clean(value: Any) -> SqlValue | None:
    """A Python value as one of SQLite's five classes: True is 1, NaN is NULL.

    QueryError for anything else, and for integers that are ``Wide``.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if value is None or isinstance(value, int | str | bytes):
        if isinstance(value, Wide):
            raise value.refused()
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise QueryError(
        f"a value of type {type(value).__name__} cannot be compared",
        remedy="Use None, int, float, str or bytes",
    )


def text_of(value: int | float) -> str:
    """A number in the text that SQLite gives it."""
    return str(value) if isinstance(value, int) else real_text(value)


def integer_interval(op: Op, value: int | float) -> tuple[int, int]:
    """The int64 numbers n with ``n OP value``, inclusive; EMPTY if there are none. NE is that of EQ."""
    if op in (Op.EQ, Op.NE):
        if isinstance(value, float) and not value.is_integer():
            return EMPTY
        low = high = int(value)
    elif isinstance(value, float) and math.isinf(value):
        return (INT64_MIN, INT64_MAX) if (value > 0) == (op in (Op.LT, Op.LE)) else EMPTY
    else:
        low, high = INT64_MIN, INT64_MAX
        if op is Op.LT:
            high = math.ceil(value) - 1
        elif op is Op.LE:
            high = math.floor(value)
        elif op is Op.GT:
            low = math.floor(value) + 1
        else:
            low = math.ceil(value)
    low, high = max(low, INT64_MIN), min(high, INT64_MAX)
    return (low, high) if low <= high else EMPTY


def real_interval(op: Op, value: int | float) -> tuple[float, float]:
    """The doubles x with ``x OP value``, inclusive, by exact arithmetic; EMPTY if there are none.

    NE is that of EQ.
    """
    below, above = _neighbours(value)
    if op in (Op.EQ, Op.NE):
        return (below, above) if below == above else EMPTY
    if op is Op.LE:
        return -math.inf, below
    if op is Op.GE:
        return above, math.inf
    if op is Op.LT:
        if above == -math.inf:
            return EMPTY
        return -math.inf, below if below < above else math.nextafter(below, -math.inf)
    if below == math.inf:
        return EMPTY
    return above if below < above else math.nextafter(above, math.inf), math.inf


def _neighbours(value: int | float) -> tuple[float, float]:
    """The greatest double <= value and the least double >= value."""
    try:
        nearest = float(value)
    except OverflowError:
        nearest = math.copysign(math.inf, value)
    if nearest == value:
        return nearest, nearest
    if nearest < value:
        return nearest, math.nextafter(nearest, math.inf)
    return math.nextafter(nearest, -math.inf), nearest
