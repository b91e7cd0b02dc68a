"""Times in metadata, compared in SQL as points in time, exact to the microsecond.

Python compares a datetime without an offset with none that has one. As Haystack does, one without takes the
offset of the other, so that their clocks are compared. SQLite's own functions know milliseconds, so seconds
and their fraction are read apart.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_ONE = timedelta(microseconds=1)
_ISO = re.compile(r"\d{4}-\d\d-\d\d([Tt ].*)?", re.DOTALL)
_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"


def moment(value: object) -> datetime | None:
    """A datetime, a date, or a text that is one in ISO 8601, as a datetime; None for everything else."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def compared(value: str, operator: str, other: datetime) -> tuple[str, tuple[int, ...]]:
    """SQL that is true where ``value``, an expression of a text, is a time that is ``operator`` of ``other``.

    It is never NULL. With it come its parameters.
    """
    clock = (other.replace(tzinfo=None) - _EPOCH) // _ONE
    length = f"(CASE WHEN length({value}) < 16 THEN 10 WHEN substr({value}, 17, 1) = ':' THEN 19 ELSE 16 END)"
    head = f"substr({value}, 1, {length})"
    rest = f"substr({value}, {length} + 1)"
    zone = f"ltrim({rest}, '.0123456789')"
    digits = f"substr(replace({rest}, {zone}, '') || '0000000', 2, 6)"
    fraction = f"CASE WHEN substr({rest}, 1, 1) = '.' THEN CAST({digits} AS INTEGER) ELSE 0 END"
    by_clock = f"unixepoch({head}) * 1000000 + {fraction} {operator} ?"
    parameters: tuple[int, ...] = (clock,)
    if other.tzinfo is None:
        sql = by_clock
    else:
        instant = (other.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // _ONE
        by_instant = f"unixepoch({head} || {zone}) * 1000000 + {fraction} {operator} ?"
        sql = f"CASE WHEN {zone} = '' THEN {by_clock} ELSE {by_instant} END"
        parameters = (clock, instant)
    return f"({value} GLOB '{_DATE}' AND coalesce({sql}, 0))", parameters
