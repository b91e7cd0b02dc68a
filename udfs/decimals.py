"""Exact sums, and the exact arithmetic of :mod:`audiomem_sql.columns.exact_decimals` as functions of SQL."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from audiomem_sql.columns.exact_decimals import (
    EXACT,
    decimal_add,
    decimal_cmp,
    decimal_mul,
    decimal_sub,
    number_of,
    shown,
)
from audiomem_sql.udfs.function import INNOCUOUS, INTEGER, TEXT, Function


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
        return shown(EXACT.scaleb(Decimal(self._sum // 10 ** (self._scale - digits)), -digits))


FUNCTIONS = (
    Function(decimal_add, (TEXT, TEXT), TEXT, (2,), flags=INNOCUOUS),
    Function(decimal_sub, (TEXT, TEXT), TEXT, (2,), flags=INNOCUOUS),
    Function(decimal_mul, (TEXT, TEXT), TEXT, (2,), flags=INNOCUOUS),
    Function(decimal_cmp, (TEXT, TEXT), INTEGER, (2,), flags=INNOCUOUS),
)
#: Aggregates of one argument, each with what makes its state.
AGGREGATES = (("decimal_sum", DecimalSum),)
