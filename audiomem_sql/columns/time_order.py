"""The order of dates and timestamps as texts: ``types.TIME_COLLATION``, which is ``times.c`` in C.

A time is a date of any year, also with ``(BC)`` behind it, and perhaps a time of day with a fraction and a
zone; all spellings of a moment are equal. In the years 0001 to 9999 ``YYYY-MM-DD HH:MM:SS.fff`` in UTC, less
the zeros at its end, stands for it, and is compared byte by byte: so ``'2024-05'`` has its place before the
first of May. Earlier and later moments are compared as numbers. Other texts are above all times if they begin
with what is above a digit, and below all if they are below ``'0001'``.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

_TEXT = re.compile(
    r"(-?)([0-9]{4,12})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?(Z|[+-][0-9]{2}(?::[0-9]{2})?)?)?( \(BC\))?",
    re.IGNORECASE | re.ASCII,
)
#: Characters of the longest spelling of a time.
MAX_LENGTH = 64
#: Days since 1970 of 0001-01-01 and 9999-12-31.
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
_SECONDS = len("YYYY-MM-DD HH:MM:SS")
_NANOS = len("YYYY-MM-DD HH:MM:SS.fffffffff")
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Moment(NamedTuple):
    """Days since 1970, seconds of the day, and the digits behind the point, less the zeros at their end."""

    days: int
    seconds: int
    fraction: str


class Key(NamedTuple):
    """What texts are ordered by.

    era: -3 for texts below all times, -2 for -infinity, -1 before the year 1, 0 for the years to 9999, 1
    behind them, 2 for infinity, 3 for texts above all times. In the eras -1 and 1 the moment decides,
    elsewhere the text.
    """

    era: int
    days: int = 0
    seconds: int = 0
    text: str = ""


def compare(left: str, right: str) -> int:
    """The order of two texts in the collating sequence of times: -1, 0 or 1."""
    one, other = key(left), key(right)
    return (one > other) - (one < other)  # code points are in the order of their bytes


def key(text: str) -> Key:
    """What the text is ordered by."""
    usual = len(text) == _SECONDS or (
        _SECONDS + 1 < len(text) <= _NANOS
        and text[_SECONDS] == "."
        and text[-1] in "123456789"
        and text[-3] not in "+-"
        and text[-6] not in "+-"
    )
    if usual and text[10] == " " and "0001" <= text < ":":  # canonical already, or no time
        return Key(0, text=text)
    return _key_of_odd(text)


@lru_cache(maxsize=4096)
def _key_of_odd(text: str) -> Key:
    if text.lower() in ("infinity", "-infinity"):
        return Key(-2 if text[0] == "-" else 2)
    moment = moment_of(text)
    if moment is None:
        return Key(-3 if text < "0001" else 0 if text < ":" else 3, text=text)
    days, seconds, fraction = moment
    if not FIRST_DAY <= days <= LAST_DAY:
        return Key(-1 if days < FIRST_DAY else 1, *moment)
    day = date.fromordinal(days + _EPOCH_ORDINAL)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return Key(0, text=f"{day} {clock}.{fraction}" if fraction else f"{day} {clock}")


def is_time(text: str) -> bool:
    """Whether the collating sequence knows the text as a time, or as one of the infinities."""
    return abs(key(text).era) == 2 or moment_of(text) is not None


def moment_of(text: str) -> Moment | None:
    """The moment that a text is, in a spelling that the collating sequence knows; None for any other text."""
    found = _TEXT.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None or (found[1] and found[10]):
        return None
    year = -int(found[2]) if found[1] else 1 - int(found[2]) if found[10] else int(found[2])
    cycles, inside = divmod(year - 1, 400)  # the calendar repeats itself after 146,097 days
    try:
        days = date(inside + 1, int(found[3]), int(found[4])).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        return None
    hours, minutes, seconds = (int(found[number] or 0) for number in (5, 6, 7))
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    zone = found[9]
    if zone and zone not in "Zz":
        away_hours, away_minutes = int(zone[1:3]), int(zone[4:6] or 0)
        if away_hours > 23 or away_minutes > 59:
            return None
        minutes -= (away_hours * 60 + away_minutes) * (1 if zone[0] == "+" else -1)
    more, clock = divmod((hours * 60 + minutes) * 60 + seconds, 86_400)
    return Moment(days + cycles * 146_097 + more, clock, (found[8] or "").rstrip("0"))
