"""Exact arithmetic on numbers of SQL, by the names of SQLite's own extension: decimal_add and others.

SQLite's ``+`` goes through doubles. Here a number is an integer, a real by its shortest text, or a text of
digits, and the result is a text. NULL gives NULL; DataTypeError for what is no number.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from typing import Any

from audiomem_sql.columns.logical.exact_numbers import exact_number
from audiomem_sql.errors import DataTypeError

#: Digits of a number, before and behind the point: what is longer is refused.
MOST_DIGITS = 100_000
#: Arithmetic that never rounds.
EXACT = Context(prec=3 * MOST_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])


def number_of(value: Any) -> Decimal:
    """The number that a value of SQL is. DataTypeError for what is none."""
    try:
        number = exact_number(value)
    except ValueError as error:
        raise DataTypeError(f"{value!r:.80} in decimal arithmetic: {error}") from None
    if abs(number.adjusted()) > MOST_DIGITS:
        raise DataTypeError(f"{value!r:.80} has more than {MOST_DIGITS:,} digits")
    return number


def shown(number: Decimal) -> str:
    """All its digits; zero has no sign."""
    return f"{number if number else abs(number):f}"


def decimal_add(left: Any, right: Any) -> str | None:
    """The sum of two numbers."""
    if left is None or right is None:
        return None
    return shown(EXACT.add(number_of(left), number_of(right)))


def decimal_sub(left: Any, right: Any) -> str | None:
    """The difference of two numbers."""
    if left is None or right is None:
        return None
    return shown(EXACT.subtract(number_of(left), number_of(right)))


def decimal_mul(left: Any, right: Any) -> str | None:
    """The product of two numbers, with the digits behind the point that both have."""
    if left is None or right is None:
        return None
    return shown(EXACT.multiply(number_of(left), number_of(right)))


def decimal_cmp(left: Any, right: Any) -> int | None:
    """-1, 0 or 1: the order of two numbers."""
    if left is None or right is None:
        return None
    one, other = number_of(left), number_of(right)
    return (one > other) - (one < other)


#: The scalar functions, each of two arguments.
SCALARS: tuple[Callable[..., Any], ...] = (decimal_add, decimal_sub, decimal_mul, decimal_cmp)
