"""Exact numbers, from what a user writes: DECIMAL and integers of any size. ValueError says what is wrong."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from audiomem_sql.columns.logical.node import Node

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?")
#: The significant digits that a float keeps of any number, and up to where it is each integer.
_REAL_DIGITS, _EXACT_INTEGER = 15, 1 << 53


def exact_number(value: Any) -> Decimal:
    """A number as it was written; of a float its shortest text."""
    if isinstance(value, bool):
        raise ValueError("it is a truth value, and no number")
    if isinstance(value, Decimal):
        made = value
    elif isinstance(value, int | np.integer):
        return Decimal(int(value))
    elif isinstance(value, float | np.floating):
        made = Decimal(str(value) if isinstance(value, np.floating) else repr(value))
    elif isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text):
            raise ValueError("it is no number")
        made = Decimal(text)
    else:
        raise ValueError(f"a {type(value).__name__} is no number")
    if not made.is_finite():
        raise ValueError("it is no finite number")
    return made


def stored_number(value: Any) -> Decimal:
    """A number that is to be stored exactly, as it was written.

    ValueError for a float that may have lost digits on its way: SQLite reads a number of more than 15 digits
    as the nearest REAL, and says nothing.
    """
    number = exact_number(value)
    if isinstance(value, float | np.floating) and number:
        digits = len("".join(map(str, number.as_tuple().digits)).rstrip("0"))
        whole = number == number.to_integral_value()
        if abs(number) > _EXACT_INTEGER or (digits > _REAL_DIGITS and not whole):
            raise ValueError("a REAL holds 15 digits: write the number in quotes")
    return number


def decimal_unscaled(node: Node, value: Any) -> int:
    """The integer that a DECIMAL stores, before it becomes bytes."""
    precision, scale = node.numbers
    number = stored_number(value)
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if not any(digits):
        return 0
    shift = exponent + scale
    if shift > 2 * precision + len(digits):
        raise ValueError(f"it has more than {precision - scale} digits before the point")
    whole: int = int("".join(map(str, digits)))
    if shift >= 0:
        whole *= int(10**shift)
    else:
        if -shift > len(digits) + 1:
            raise ValueError(f"it has more than {scale} digits behind the point")
        whole, rest = divmod(whole, int(10**-shift))
        if rest:
            raise ValueError(f"it has more than {scale} digits behind the point")
    if whole >= 10**precision:
        raise ValueError(f"it has more than {precision - scale} digits before the point")
    return -whole if sign else whole


def whole_number(value: Any) -> int:
    """An integer of any size."""
    number = stored_number(value)
    if number.adjusted() > 100_000:
        raise ValueError("it has more than 100,000 digits")
    try:
        whole = int(number)
    except (InvalidOperation, OverflowError) as error:
        raise ValueError("it is no integer") from error
    if whole != number:
        raise ValueError("it is no integer")
    return whole
