"""Microseconds since 1970-01-01 00:00:00 UTC, and the text in which SQL shows them.

The text is that of SQLite's ``datetime()``: ``YYYY-MM-DD HH:MM:SS``, with ``.ffffff`` less its trailing zeros
where the fraction is not zero. The years are 0001 to 9999, so text order is time order, and a comparison with
any text can be turned into a comparison of integers (``text_threshold``).

A time has other spellings: ``T`` in place of the space, a zone, zeros behind the fraction, a date alone.
In the collating sequence of a TIMESTAMP column, ``types.TIME_COLLATION``, all spellings of a time are equal,
see :mod:`audiomem_sql.columns.time_order`.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np

from audiomem_sql.errors import DataTypeError

MIN_MICROS = -62_135_596_800_000_000  # 0001-01-01 00:00:00
MAX_MICROS = 253_402_300_799_999_999  # 9999-12-31 23:59:59.999999

_DAY = 86_400_000_000
_SECOND = 1_000_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_TEXT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?",
    re.IGNORECASE,
)
_REMEDY = "Write YYYY-MM-DD HH:MM:SS.ffffff, with Z or +HH:MM behind it unless it is UTC"
# µs per unit of numpy.datetime64; below a microsecond, units per µs
_COARSE = {
    "us": 1,
    "ms": 1_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3_600 * _SECOND,
    "D": _DAY,
    "W": 7 * _DAY,
}
_FINE = {"ns": 1_000, "ps": 10**6, "fs": 10**9, "as": 10**12}


def render(us: int) -> str:
    """The text of a timestamp. Raises DataTypeError outside the years 0001 to 9999."""
    if not MIN_MICROS <= us <= MAX_MICROS:
        raise _outside(us)
    days, rest = divmod(us, _DAY)
    seconds, micros = divmod(rest, _SECOND)
    minutes, second = divmod(seconds, 60)
    text = f"{date.fromordinal(days + _EPOCH_ORDINAL)} {minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"
    return f"{text}.{micros:06d}".rstrip("0") if micros else text


def render_many(us: np.ndarray[Any, np.dtype[np.int64]]) -> list[str]:
    """The texts of ``us``, int64, shape (n,). Raises DataTypeError outside the years 0001 to 9999."""
    if not len(us):
        return []
    low, high = int(us.min()), int(us.max())
    if low < MIN_MICROS or high > MAX_MICROS:
        raise _outside(low if low < MIN_MICROS else high)
    seconds, micros = np.divmod(us, _SECOND)
    days, clock = np.divmod(seconds, 86_400)
    width = 26 if micros.any() else 19
    text = np.full((len(us), width), ord(" "), dtype=np.uint8)
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month_numbers = months.astype(np.int64) + 12 * 1970
    clock = clock.astype(np.int32)
    years = month_numbers // 12
    parts = (
        (0, years // 100),
        (2, years % 100),
        (5, month_numbers % 12 + 1),
        (8, (dates - months).astype(np.int64) + 1),
        (11, clock // 3600),
        (14, clock // 60 % 60),
        (17, clock % 60),
    )
    for place, part in parts:
        text[:, place : place + 2] = _TWO_DIGITS[part]
    text[:, [4, 7]] = ord("-")
    text[:, [13, 16]] = ord(":")
    starts = range(0, len(us) * width, width)
    if width == 19:
        joined = text.tobytes().decode("ascii")
        return [joined[start : start + 19] for start in starts]
    text[:, 19] = ord(".")
    fraction = micros.astype(np.int32)
    for place, part in ((20, fraction // 10_000), (22, fraction // 100 % 100), (24, fraction % 100)):
        text[:, place : place + 2] = _TWO_DIGITS[part]
    joined = text.tobytes().decode("ascii")
    lengths = np.where(fraction > 0, 26, 19)
    for power in (10, 100, 1_000, 10_000, 100_000):
        lengths -= (fraction > 0) & (fraction % power == 0)
    return [joined[start : start + length] for start, length in zip(starts, lengths.tolist(), strict=True)]


_TWO_DIGITS = np.array([list(f"{n:02d}".encode()) for n in range(100)], dtype=np.uint8)


def parse(value: object) -> int:
    """Microseconds of a text, date, datetime, numpy.datetime64 or pandas.Timestamp; without a zone it is UTC.

    Raises DataTypeError for what is no such time, lies outside the years 0001 to 9999, or is finer than a
    microsecond; and for numbers, whose unit nobody can know.
    """
    if isinstance(value, str):
        us = _parse_text(value)
    elif isinstance(value, datetime):
        us = _parse_datetime(value)
    elif isinstance(value, date):
        us = (value.toordinal() - _EPOCH_ORDINAL) * _DAY
    elif isinstance(value, np.datetime64):
        us = _parse_datetime64(value)
    elif isinstance(value, int | float | np.number):
        raise DataTypeError(
            f"the number {value} is no timestamp: it could be seconds, milliseconds or microseconds",
            remedy="Write it as text, or pass a datetime",
        )
    else:
        raise DataTypeError(f"a value of type {type(value).__name__} is no timestamp", remedy=_REMEDY)
    if not MIN_MICROS <= us <= MAX_MICROS:
        raise _outside(value)
    return us


def sql_text(value: datetime | date | time | np.datetime64) -> str | None:
    """The text for a parameter of SQL; None for NaT.

    Of a moment it is the canonical one, of a day YYYY-MM-DD, of a time of day HH:MM:SS, with .ffffff behind
    it where that is not zero. Each orders as its values do. DataTypeError as in :func:`parse`, and for a time
    of day with a zone.
    """
    if isinstance(value, time):
        if value.tzinfo is not None:
            raise DataTypeError(f"{value} is a time of day with a zone", remedy="Pass a datetime")
        return value.isoformat()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    missing = np.isnat(value) if isinstance(value, np.datetime64) else value != value
    return None if missing else render(parse(value))


def text_threshold(text: str) -> int:
    """The least timestamp whose text is >= ``text`` in code-point order; MAX_MICROS + 1 if there is none.

    So ``column >= text`` is ``us >= threshold`` and ``column < text`` is ``us < threshold``, whatever
    ``text`` says.
    """
    if (us := _canonical(text)) is not None:
        return us
    low, high = MIN_MICROS, MAX_MICROS + 1
    while low < high:
        middle = (low + high) // 2
        if render(middle) >= text:
            high = middle
        else:
            low = middle + 1
    return low


def _canonical(text: str) -> int | None:
    """The timestamp whose text this is, character for character; None if there is none."""
    try:
        us = _parse_text(text)
    except DataTypeError:
        return None
    return us if MIN_MICROS <= us <= MAX_MICROS and render(us) == text else None


def _parse_text(text: str) -> int:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise DataTypeError(f"{_short(text)} is no timestamp", remedy=_REMEDY)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    except ValueError as error:
        raise DataTypeError(f"{_short(text)} is no timestamp: {error}", remedy=_REMEDY) from None
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise DataTypeError(f"{_short(text)} is no timestamp: there is no such time of day", remedy=_REMEDY)
    micros = 0
    if fraction:
        if fraction[6:].strip("0"):
            raise DataTypeError(
                f"{_short(text)} is finer than a microsecond", remedy="Round it to six digits"
            )
        micros = int(fraction[:6].ljust(6, "0"))
    if zone and zone not in "Zz":
        away_hours, away_minutes = int(zone[1:3]), int(zone[4:6])
        if away_hours > 23 or away_minutes > 59:
            raise DataTypeError(f"{_short(text)} is no timestamp: there is no such time zone", remedy=_REMEDY)
        minutes -= (away_hours * 60 + away_minutes) * (1 if zone[0] == "+" else -1)
    return days * _DAY + ((hours * 60 + minutes) * 60 + seconds) * _SECOND + micros


def _parse_datetime(value: datetime) -> int:
    if value != value:  # pandas.NaT is a datetime
        raise DataTypeError(f"{value} is no timestamp", remedy=_REMEDY)
    if getattr(value, "nanosecond", 0):  # pandas.Timestamp
        raise DataTypeError(f"{value} is finer than a microsecond", remedy="Round it with .round('us')")
    days = value.toordinal() - _EPOCH_ORDINAL
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    away = value.utcoffset() or timedelta()
    return days * _DAY + seconds * _SECOND + value.microsecond - away // timedelta(microseconds=1)


def _parse_datetime64(value: np.datetime64) -> int:
    unit, step = np.datetime_data(value.dtype)
    if np.isnat(value) or unit == "generic":
        raise DataTypeError(f"{value} is no timestamp", remedy=_REMEDY)
    count = int(value.astype(np.int64)) * step
    if scale := _FINE.get(unit):
        us, finer = divmod(count, scale)
        if finer:
            raise DataTypeError(f"{value} is finer than a microsecond", remedy="Round it to microseconds")
        return us
    if unit in "YM":
        months = count * (12 if unit == "Y" else 1)
        year, month = 1970 + months // 12, months % 12 + 1
        if not 1 <= year <= 9999:
            raise _outside(value)
        return (date(year, month, 1).toordinal() - _EPOCH_ORDINAL) * _DAY
    return count * _COARSE[unit]


def _outside(value: object) -> DataTypeError:
    return DataTypeError(f"the timestamp {value} is outside the years 0001 to 9999")


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:39] + "…")
