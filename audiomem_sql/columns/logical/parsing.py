"""Single values of logical types: from what a user writes to the stored form, and to the text that SQL shows.

Values come as text, or as Python's objects: Decimal, int, date, time, datetime, timedelta, UUID, and those of
numpy and pandas. ValueError says what is wrong with one.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from audiomem_sql.columns.logical.exact_numbers import decimal_unscaled, whole_number
from audiomem_sql.columns.logical.interval_parts import interval_parts
from audiomem_sql.columns.logical.node import Node

_DATE = re.compile(r"(-?[0-9]{4,12})-([0-9]{1,2})-([0-9]{1,2})( \(BC\))?")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?")
_ZONE = re.compile(r"(Z|UTC|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)", re.IGNORECASE)
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_OFFSET_BIAS = 16 * 3600
_NANOS = 10**9
_INT64 = range(-(1 << 63), 1 << 63)
_INT32 = range(-(1 << 31), 1 << 31)
_INFINITIES = ("infinity", "-infinity")


def _decimal(node: Node, value: Any) -> int | bytes:
    number = decimal_unscaled(node, value)
    return turned_bytes(number, node.bytes) if node.bytes else number


def turned_bytes(number: int, width: int) -> bytes:
    """A signed integer as bytes that compare as it does."""
    return (number + (1 << (8 * width - 1))).to_bytes(width, "big")


def _hugeint(node: Node, value: Any) -> bytes:
    number = whole_number(value)
    low, high = (0, 1 << 128) if node.name == "UHUGEINT" else (-(1 << 127), 1 << 127)
    if not low <= number < high:
        raise ValueError("it does not fit 128 bits")
    return number.to_bytes(16, "big") if not low else turned_bytes(number, 16)


def _ubigint(node: Node, value: Any) -> int:
    number = whole_number(value)
    if not 0 <= number < 1 << 64:
        raise ValueError("it does not fit 64 bits without a sign")
    return number - (1 << 63)


def _bignum(node: Node, value: Any) -> bytes:
    number = whole_number(value)
    size = (abs(number).bit_length() + 7) // 8
    made = (size | 1 << 31).to_bytes(4, "big") + abs(number).to_bytes(size, "big")
    return made if number >= 0 else bytes(255 - byte for byte in made)


def bignum_value(stored: bytes) -> int:
    """The number whose stored form this is."""
    negative = stored[0] < 128
    plain = bytes(255 - byte for byte in stored) if negative else stored
    number = int.from_bytes(plain[4:], "big")
    return -number if negative else number


def _date(node: Node, value: Any) -> int:
    if isinstance(value, np.datetime64):
        days = value.astype("datetime64[D]")
        if days != value:
            raise ValueError("it has a time of day, too")
        return int(days.astype(np.int64))
    if isinstance(value, datetime):
        nanos: int = getattr(value, "nanosecond", 0)
        if nanos or value.time() != time():
            raise ValueError("it has a time of day, too")
        return value.toordinal() - 719_163
    if isinstance(value, date):
        return value.toordinal() - 719_163
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in _INFINITIES:
            return 2**31 - 1 if text[0] != "-" else -(2**31) + 1
        day, _, clock = text.replace("T", " ").partition(" ") if "(BC)" not in text else (text, "", "")
        if clock.strip("0:.") and clock.strip("0:.").upper() not in ("Z", "+", "-"):
            raise ValueError("it has a time of day, too")
        days = date_days(day)
        if days not in _INT32:
            raise ValueError("the day is out of range")
        return days
    raise ValueError(f"a {type(value).__name__} is no date")


def date_days(text: str) -> int:
    """The days since 1970 of YYYY-MM-DD; years beyond 9999, or with (BC), are as DuckDB writes them."""
    found = _DATE.fullmatch(text)
    if not found:
        raise ValueError("it is no date: write YYYY-MM-DD")
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    year = 1 - year if found[4] else year
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise ValueError("there is no such day")
    cycles, inside = divmod(year - 1, 400)  # the calendar repeats itself after 146,097 days
    try:
        days = date(inside + 1, month, day).toordinal() - 719_163 + cycles * 146_097
    except ValueError:
        raise ValueError("there is no such day") from None
    return days


def _time(node: Node, value: Any) -> int:
    per_second = PER_SECOND[node.unit]
    if isinstance(value, str):
        seconds, nanos = _clock(value.strip())
    elif isinstance(value, time):
        if value.tzinfo is not None:
            raise ValueError("it has a zone: the column is a TIME, without one")
        seconds = value.hour * 3600 + value.minute * 60 + value.second
        nanos = value.microsecond * 1000
    else:
        raise ValueError(f"a {type(value).__name__} is no time of day")
    return _units(seconds, nanos, per_second)


def _clock(text: str) -> tuple[int, int]:
    """Seconds and nanoseconds of HH:MM:SS.fffffffff."""
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError("it is no time of day: write HH:MM:SS")
    hours, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    fraction = (found[4] or "").rstrip("0")
    if len(fraction) > 9:
        raise ValueError("it is finer than a nanosecond")
    if minutes > 59 or seconds > 59 or hours > 24 or (hours == 24 and (minutes or seconds or fraction)):
        raise ValueError("there is no such time of day")
    return hours * 3600 + minutes * 60 + seconds, int(fraction.ljust(9, "0") or 0)


def _units(seconds: int, nanos: int, per_second: int) -> int:
    whole, rest = divmod(nanos * per_second, _NANOS)
    if rest:
        raise ValueError("it is finer than the type")
    return seconds * per_second + whole


def _timetz(node: Node, value: Any) -> int:
    if isinstance(value, time):
        value = value.isoformat() if value.tzinfo is not None else f"{value.isoformat()}+00"
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is no time of day with a zone")
    text = value.strip()
    found = re.search(r"(?:Z|UTC|[+-][0-9:]+)$", text, re.IGNORECASE)
    zone = found[0] if found else "+00"
    seconds, nanos = _clock(text[: len(text) - len(found[0])].strip() if found else text)
    offset = offset_seconds(zone)
    micros = _units(seconds - offset, nanos, 10**6)
    return ((micros + _OFFSET_BIAS * 10**6) << 18) | (_OFFSET_BIAS - offset)


def timetz_text(stored: int) -> str:
    """The text of a TIMETZ, as DuckDB writes it."""
    offset = _OFFSET_BIAS - (stored & (1 << 18) - 1)
    micros = (stored >> 18) - _OFFSET_BIAS * 10**6 + offset * 10**6
    return clock_text(micros, 10**6) + offset_text(offset)


def offset_seconds(zone: str) -> int:
    """Seconds of +HH, +HH:MM or +HH:MM:SS; of Z none."""
    if zone.upper() in ("Z", "UTC"):
        return 0
    if not _ZONE.fullmatch(zone):
        raise ValueError("the zone is none: write +HH:MM")
    digits = zone[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 15 or minutes > 59 or seconds > 59:
        raise ValueError("the zone is none: it is up to 15:59:59 from UTC")
    total = hours * 3600 + minutes * 60 + seconds
    return -total if zone[0] == "-" else total


def offset_text(offset: int) -> str:
    """+HH, with minutes and seconds only where there are some."""
    hours, rest = divmod(abs(offset), 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{'-' if offset < 0 else '+'}{hours:02d}"
    text += f":{minutes:02d}" if minutes or seconds else ""
    return text + (f":{seconds:02d}" if seconds else "")


def clock_text(units: int, per_second: int) -> str:
    """HH:MM:SS, with what is behind the second less its zeros."""
    seconds, rest = divmod(units, per_second)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    width = len(str(per_second)) - 1
    return text + (f".{rest:0{width}d}".rstrip("0") if rest else "")


def _timestamp(node: Node, value: Any) -> int:
    per_second = PER_SECOND[node.unit]
    if isinstance(value, np.datetime64):
        made = value.astype(f"datetime64[{node.unit}]")
        if made != value:
            raise ValueError("it is finer than the type")
        return int(made.astype(np.int64))
    if isinstance(value, datetime):
        nanos = value.microsecond * 1000 + getattr(value, "nanosecond", 0)
        plain = value if value.tzinfo is None else value.astimezone(UTC)
        seconds = (
            (plain.toordinal() - 719_163) * 86_400 + plain.hour * 3600 + plain.minute * 60 + plain.second
        )
        return _in_64_bits(_units(seconds, nanos, per_second))
    if isinstance(value, date):
        return _in_64_bits((value.toordinal() - 719_163) * 86_400 * per_second)
    if isinstance(value, str):
        text = value.strip()
        if node.unit == "ns" and text.lower() in _INFINITIES:  # it would be the last moment there is
            raise ValueError("a time in nanoseconds has no infinity")
        return _in_64_bits(_moment(text, per_second))
    raise ValueError(f"a {type(value).__name__} is no timestamp")


def _moment(text: str, per_second: int) -> int:
    if text.lower() in _INFINITIES:
        return (1 << 63) - 1 if text[0] != "-" else -(1 << 63) + 1
    era = " (BC)" if text.endswith("(BC)") else ""
    text = text.removesuffix("(BC)").strip()
    found = re.match(r"-?[0-9]{4,12}-[0-9]{1,2}-[0-9]{1,2}", text)
    if not found:
        raise ValueError("it is no timestamp: write YYYY-MM-DD HH:MM:SS")
    days, rest = date_days(found[0] + era), text[found.end() :]
    if not rest:
        return days * 86_400 * per_second
    if rest[0] not in " Tt":
        raise ValueError("it is no timestamp: write YYYY-MM-DD HH:MM:SS")
    zone = re.search(r"(?:Z|UTC|[+-][0-9:]+)$", rest, re.IGNORECASE)
    clock = rest[1 : zone.start()] if zone else rest[1:]
    seconds, nanos = _clock(clock.strip())
    seconds += days * 86_400 - (offset_seconds(zone[0]) if zone else 0)
    return _units(seconds, nanos, per_second)


def _in_64_bits(number: int) -> int:
    if number not in _INT64:
        raise ValueError("it is out of the range of the type")
    return number


def _duration(node: Node, value: Any) -> int:
    per_second = PER_SECOND[node.unit]
    if isinstance(value, np.timedelta64):
        made = value.astype(f"timedelta64[{node.unit}]")
        if made != value:
            raise ValueError("it is finer than the type")
        return int(made.astype(np.int64))
    if isinstance(value, timedelta):
        nanos = ((value.days * 86_400 + value.seconds) * 10**6 + value.microseconds) * 1000
        nanos += getattr(value, "nanoseconds", 0)
    elif isinstance(value, str):
        months, days, nanos = interval_parts(value)
        if months:
            raise ValueError("months have no fixed length: the column is a duration")
        nanos += days * 86_400 * _NANOS
    else:
        raise ValueError(f"a {type(value).__name__} is no duration")
    return _in_64_bits(_units(0, nanos, per_second))


def _interval(node: Node, value: Any) -> bytes:
    months, days, nanos = interval_parts(value)
    if months not in _INT32 or days not in _INT32 or nanos not in _INT64:
        raise ValueError("it is out of the range of the type")
    whole, rest = divmod(nanos, 86_400 * _NANOS)
    parts = ((months * 30 + days + whole, 8), (rest, 8), (months, 4), (days, 4), (nanos, 8))
    return b"".join(turned_bytes(number, width) for number, width in parts)


def _uuid(node: Node, value: Any) -> bytes:
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, bytes) and len(value) == 16:
        return value
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?", text):
            return uuid.UUID(text).bytes
    raise ValueError("it is no UUID")


def _bit(node: Node, value: Any) -> bytes:
    if not isinstance(value, str) or not re.fullmatch("[01]+", value):
        raise ValueError("it is no string of bits: write digits 0 and 1")
    unused = -len(value) % 8
    size = (len(value) + unused) // 8
    return int(value + "0" * unused, 2).to_bytes(size, "big") + bytes([unused])


def bit_text(stored: bytes) -> str:
    """The digits of a BIT."""
    size = len(stored) - 1
    digits = f"{int.from_bytes(stored[:-1], 'big'):0{8 * size}b}"
    return digits[: 8 * size - stored[-1]]


def _enum(node: Node, value: Any) -> str:
    if not isinstance(value, str) or value not in node.words:
        raise ValueError("it is none of the values of the ENUM")
    return value


#: From a value to its stored form, by the name of the type.
PARSERS: dict[str, Callable[[Node, Any], int | bytes | str]] = {
    "DECIMAL": _decimal,
    "HUGEINT": _hugeint,
    "UHUGEINT": _hugeint,
    "BIGNUM": _bignum,
    "UBIGINT": _ubigint,
    "DATE": _date,
    "TIMETZ": _timetz,
    "INTERVAL": _interval,
    "UUID": _uuid,
    "BIT": _bit,
    "ENUM": _enum,
    **dict.fromkeys(("TIME_S", "TIME_MS", "TIME", "TIME_NS"), _time),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), _timestamp),
    **dict.fromkeys(("TIMESTAMPTZ_S", "TIMESTAMPTZ_MS", "TIMESTAMPTZ", "TIMESTAMPTZ_NS"), _timestamp),
    **dict.fromkeys(("DURATION_S", "DURATION_MS", "DURATION_US", "DURATION_NS"), _duration),
}
#: From the stored form to text, of the types whose form in Arrow is that text.
SHOWERS: dict[str, Callable[[Any], str]] = {
    "TIMETZ": timetz_text,
    "BIT": bit_text,
    "BIGNUM": lambda stored: str(bignum_value(stored)),
}
