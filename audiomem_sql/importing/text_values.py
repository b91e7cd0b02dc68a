"""Which texts are numbers, dates and times, without a digit lost; in Python, and as patterns of RE2."""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Context, Decimal, InvalidOperation

INTEGER = r"-?(0|[1-9][0-9]*)"
_INFINITE = r"-?(inf|Inf|INF|infinity|Infinity)|nan|NaN|NAN"
NUMBER = rf"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|{_INFINITE}"
PLAIN = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"
DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
TIMESTAMP = rf"{DATE}[ T]{TIME}"
ZONED = rf"{TIMESTAMP} ?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"
#: Significant digits that every double keeps.
SAFE_DIGITS = 15
#: Digits of the widest decimal that is made.
DECIMAL_DIGITS = 38

_DATE, _TIMESTAMP, _ZONED = re.compile(DATE), re.compile(TIMESTAMP), re.compile(ZONED)
_WORDS = frozenset(("inf", "infinity", "nan"))


def is_exact(text: str, number: float) -> bool:
    """Whether no digit of a number is lost in ``number``, the double that is nearest.

    So it is if the double, written with as many digits, is the same number: ``0.1`` and
    ``0.10000000000000001``, but not ``0.12345678901234567890``.
    """
    plain = text.strip()
    if plain.lstrip("+-").lower() in _WORDS:
        return True
    try:
        exact = Decimal(plain)
    except InvalidOperation:
        return False
    if not math.isfinite(number):
        return False
    digits = max(1, len(exact.as_tuple().digits))
    return exact == 0 or Context(prec=digits).create_decimal(Decimal(number)) == exact


def moment(text: str) -> str | None:
    """``date``, ``timestamp`` or ``zoned``, if a text is one of the years 1 to 9999; else None."""
    if len(text) < 10 or text[4] != "-":
        return None
    if _DATE.fullmatch(text):
        kind = "date"
    elif _TIMESTAMP.fullmatch(text):
        kind = "timestamp"
    elif _ZONED.fullmatch(text):
        kind = "zoned"
    else:
        return None
    try:
        datetime.fromisoformat(text.replace(" +", "+").replace(" Z", "Z"))
    except ValueError:
        return None
    return kind


def decimal_size(text: str) -> tuple[int, int] | None:
    """Digits before and behind the point of a number; None for one with an exponent, or no digits."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return None
    _, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int):
        return None
    return max(len(digits) + exponent, 0), max(-exponent, 0)
