"""Intervals as months, days and nanoseconds, from what a user writes."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np

_DURATION = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?) ?([a-zA-Zµ]+)")
_CLOCK = re.compile(r"([+-]?)([0-9]+):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?")
_NANOS = 10**9
_UNITS = {
    **dict.fromkeys(("year", "years", "y", "yr", "yrs"), ("months", 12)),
    **dict.fromkeys(("month", "months", "mon", "mons"), ("months", 1)),
    **dict.fromkeys(("week", "weeks", "w"), ("days", 7)),
    **dict.fromkeys(("day", "days", "d"), ("days", 1)),
    **dict.fromkeys(("hour", "hours", "h", "hr", "hrs"), ("nanos", 3600 * _NANOS)),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), ("nanos", 60 * _NANOS)),
    **dict.fromkeys(("second", "seconds", "s", "sec", "secs"), ("nanos", _NANOS)),
    **dict.fromkeys(("millisecond", "milliseconds", "ms", "msec"), ("nanos", 10**6)),
    **dict.fromkeys(("microsecond", "microseconds", "us", "usec", "µs"), ("nanos", 10**3)),
    **dict.fromkeys(("nanosecond", "nanoseconds", "ns", "nsec"), ("nanos", 1)),
}


def interval_parts(value: Any) -> tuple[int, int, int]:
    """Months, days and nanoseconds."""
    if isinstance(value, np.timedelta64):
        made = value.astype("timedelta64[ns]")
        if made != value:
            raise ValueError("it is out of the range of the type")
        return 0, 0, int(made.astype(np.int64))
    if isinstance(value, timedelta):
        nanos = (value.seconds * 10**6 + value.microseconds) * 1000 + getattr(value, "nanoseconds", 0)
        return 0, value.days, nanos
    if isinstance(value, tuple) and len(value) == 3:
        return int(value[0]), int(value[1]), int(value[2])
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is no interval")
    parts = {"months": 0, "days": 0, "nanos": 0}
    text, at = value.strip(), 0
    if not text:
        raise ValueError("it is no interval: write '1 year 2 days 03:04:05'")
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif found := _CLOCK.match(text, at):
            whole = int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4] or 0)
            nanos = whole * _NANOS + int((found[5] or "").ljust(9, "0") or 0)
            parts["nanos"] += -nanos if found[1] == "-" else nanos
            at = found.end()
        elif (found := _DURATION.match(text, at)) and (unit := _UNITS.get(found[2].lower())):
            name, many = unit
            amount = Decimal(found[1]) * many
            if amount != int(amount):
                raise ValueError(f"a part of {found[2]} has no fixed length")
            parts[name] += int(amount)
            at = found.end()
        else:
            raise ValueError("it is no interval: write '1 year 2 days 03:04:05'")
    return parts["months"], parts["days"], parts["nanos"]
