"""Exact arithmetic on decimals, by the names of SQLite's own extension: decimal_sum, decimal_add and others.

SQLite's ``sum`` and ``+`` go through doubles. Here a number is an integer, a real by its shortest text, or a
text of digits, and the result is a text. NULL gives NULL; DataTypeError for what is no number.
"""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from typing import Any

from audiomem_sql.columns.logical.exact_numbers import exact_number
from audiomem_sql.errors import DataTypeError
from audiomem_sql.udfs.function import INNOCUOUS, INTEGER, TEXT, Function

#: Digits of a number, before and behind the point: what is longer is refused.
MOST_DIGITS = 100_000
_EXACT = Context(prec=3 * MOST_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])


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
    return shown(_EXACT.add(number_of(left), number_of(right)))


def decimal_sub(left: Any, right: Any) -> str | None:
    """The difference of two numbers."""
    if left is None or right is None:
        return None
    return shown(_EXACT.subtract(number_of(left), number_of(right)))


def decimal_mul(left: Any, right: Any) -> str | None:
    """The product of two numbers, with the digits behind the point that both have."""
    if left is None or right is None:
        return None
    return shown(_EXACT.multiply(number_of(left), number_of(right)))


def decimal_cmp(left: Any, right: Any) -> int | None:
    """-1, 0 or 1: the order of two numbers."""
    if left is None or right is None:
        return None
    one, other = number_of(left), number_of(right)
    return (one > other) - (one < other)


class DecimalSum:
    """``decimal_sum(x)``, an aggregate and a window function; NULLs are passed over, and of none it is NULL.

    The digits behind the point are the most that any of the numbers has.
    """

    def __init__(self) -> None:
        self._sum = 0  # in units of the last digit
        self._count = 0
        self._scales: dict[int, int] = {}
        self._scale = 0

    def add(self, value: Any) -> None:
        """Take one more number."""
        self._take(value, 1)

    def remove(self, value: Any) -> None:
        """Forget a number that leaves the window."""
        self._take(value, -1)

    def _take(self, value: Any, sign: int) -> None:
        if value is None:
            return
        mark, digits, exponent = number_of(value).as_tuple()
        scale = max(-int(exponent), 0)
        if scale > self._scale:
            self._sum *= 10 ** (scale - self._scale)
            self._scale = scale
        unscaled = int("".join(map(str, digits))) * 10 ** (self._scale + int(exponent))
        self._sum += -sign * unscaled if mark else sign * unscaled
        self._count += sign
        self._scales[scale] = self._scales.get(scale, 0) + sign

    def result(self) -> str | None:
        """The sum of the numbers that are there."""
        if not self._count:
            return None
        digits = max(scale for scale, count in self._scales.items() if count)
        return shown(_EXACT.scaleb(Decimal(self._sum // 10 ** (self._scale - digits)), -digits))


FUNCTIONS = (
    Function(decimal_add, (TEXT, TEXT), TEXT, (2,), flags=INNOCUOUS),
    Function(decimal_sub, (TEXT, TEXT), TEXT, (2,), flags=INNOCUOUS),
    Function(decimal_mul, (TEXT, TEXT), TEXT, (2,), flags=INNOCUOUS),
    Function(decimal_cmp, (TEXT, TEXT), INTEGER, (2,), flags=INNOCUOUS),
)
#: Aggregates of one argument, each with what makes its state.
AGGREGATES = (("decimal_sum", DecimalSum),)
