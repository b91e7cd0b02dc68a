"""Points in time, in the spellings that data files use."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime

_EPOCH = datetime(1970, 1, 1)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_EPOCH_UNITS = ((1e11, 1), (1e14, 10**3), (1e17, 10**6), (1e20, 10**9))
"""Numbers below the first count units of which the second make a second: s, ms, µs, ns."""


def parse_time(value: object) -> datetime | None:
    """`value` in UTC without a zone, to the microsecond; None for what is not clearly a time.

    Understood are datetimes and dates; ISO 8601, a year, and RFC 2822 ("Fri, 21 Nov 2008 14:05:00 +0100") as
    text; and numbers from 1973 on as seconds, milliseconds, microseconds or nanoseconds since 1970. Text
    without a zone is UTC.
    """
    try:
        if isinstance(value, datetime):
            return _utc(value)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day)
        if isinstance(value, str):
            return _from_text(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _from_number(value)
    except (ValueError, OverflowError):
        pass
    return None


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment.replace(fold=0)


def _from_text(text: str) -> datetime | None:
    if not text:
        return None
    if _NUMBER.fullmatch(text):
        if len(text) == 8 and text.isdigit():  # 20261101
            return datetime.fromisoformat(text)
        return _from_number(float(text) if "." in text else int(text))
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        return _utc(parsedate_to_datetime(text))


def _from_number(number: int | float) -> datetime | None:
    if isinstance(number, float):
        if not math.isfinite(number):
            return None
        number = int(number) if number.is_integer() else number
    if isinstance(number, int) and 1000 <= number <= 9999:
        return datetime(number, 1, 1)
    if abs(number) < 1e8:
        return None
    for limit, per_second in _EPOCH_UNITS:
        if abs(number) < limit:
            if isinstance(number, int):
                return _EPOCH + timedelta(microseconds=number * 10**6 // per_second)
            return _EPOCH + timedelta(seconds=number / per_second)
    return None
