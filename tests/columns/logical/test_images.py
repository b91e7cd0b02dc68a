"""The texts that SQL sees: those of whole arrays are those of each value, which standard libraries judge."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audiomem_sql.columns.logical.fixed import stored_type
from audiomem_sql.columns.logical.image_arrays import image_array
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.parsing import PARSERS
from audiomem_sql.columns.logical.texts import sql_array, sql_images
from columns.logical.random_types import node

EPOCH = datetime(1970, 1, 1)
FIRST, LAST = (date(1, 1, 1) - EPOCH.date()).days, (date(9999, 12, 31) - EPOCH.date()).days
PER_SECOND = {"S": 1, "MS": 10**3, "US": 10**6, "NS": 10**9}


def images(kind: Node, stored: list[Any]) -> list[str | None]:
    """As a list and as an array of Arrow, which are the same, of the array, a slice, and with NULLs in it."""
    array = pa.array(stored, stored_type(kind))
    found = sql_images(kind, array)
    assert sql_array(kind, array).to_pylist() == found
    junk = pa.concat_arrays([array[:1], array, array[:1]])
    assert sql_images(kind, junk.slice(1, len(array))) == found
    gaps = pa.array([value for each in stored for value in (None, each)], array.type)
    assert sql_images(kind, gaps) == [text for each in found for text in (None, each)]
    assert sql_array(kind, gaps).null_count == len(stored) + sum(text is None for text in found)
    return found


def of_clock(seconds: int, fraction: int, width: int) -> str:
    text = str(time(seconds // 3600, seconds // 60 % 60, seconds % 60))
    return f"{text}.{fraction:0{width}d}".rstrip("0") if fraction else text


def test_days() -> None:
    rng = random.Random(1)
    edges = [FIRST, LAST, -1, 0, 1]
    for year in (4, 100, 400, 1900, 2000, 2023, 2024):
        for month, day in ((1, 1), (2, 28), (3, 1), (12, 31)):
            edges.append((date(year, month, day) - EPOCH.date()).days)
    days = [*edges, (date(2024, 2, 29) - EPOCH.date()).days, *(rng.randint(FIRST, LAST) for _ in range(2000))]
    wanted = [str(EPOCH.date() + timedelta(days=day)) for day in days]
    assert image_array(Node("DATE"), pa.array(days)) is not None
    assert images(Node("DATE"), days) == wanted
    beyond = [FIRST - 1, LAST + 1, 2**31 - 1, -(2**31) + 1, FIRST - 366]  # by way of another function
    assert image_array(Node("DATE"), pa.array([*days, FIRST - 1])) is None
    assert image_array(Node("DATE"), pa.array([*days, LAST + 1])) is None
    shown = ["0001-12-31 (BC)", "10000-01-01", "infinity", "-infinity", "0001-01-01 (BC)"]
    assert images(Node("DATE"), [*days, *beyond]) == [*wanted, *shown]


@pytest.mark.parametrize("unit", PER_SECOND)
def test_moments(unit: str) -> None:
    rng = random.Random(2)
    per_second = PER_SECOND[unit]
    width = len(str(per_second)) - 1
    least, most = (-9 * 10**9, 9 * 10**9) if unit == "NS" else (FIRST * 86_400, LAST * 86_400 + 86_399)
    seconds = [least, most, -1, 0, *(rng.randint(least, most) for _ in range(300))]
    for fractions in ([0], [0, 1, per_second // 2, per_second - 1]):
        moments = [(second, rng.choice(fractions) if per_second > 1 else 0) for second in seconds]
        stored = [second * per_second + fraction for second, fraction in moments]
        texts = []
        for second, fraction in moments:
            day, clock = divmod(second, 86_400)
            texts.append(f"{EPOCH.date() + timedelta(days=day)} {of_clock(clock, fraction, width)}")
        plain, zoned = (
            Node(f"TIMESTAMP_{unit}".replace("_US", "")),
            node(f"TIMESTAMPTZ_{unit}".replace("_US", "")),
        )
        if plain.name != "TIMESTAMP":
            assert images(plain, stored) == texts
        assert images(zoned, stored) == [f"{text}+00:00" for text in texts]
        if unit != "NS":
            assert images(zoned, [*stored, 2**63 - 1, -(2**63) + 1]) == [
                *(f"{text}+00:00" for text in texts), "infinity", "-infinity",
            ]  # fmt: skip


def test_nanoseconds_have_no_infinity() -> None:
    kind = Node("TIMESTAMP_NS")
    last, first = "2262-04-11 23:47:16.854775807", "1677-09-21 00:12:43.145224193"
    assert images(kind, [2**63 - 1, -(2**63) + 1]) == [last, first]
    assert images(node("TIMESTAMP_NS[]"), []) == []
    assert [PARSERS["TIMESTAMP_NS"](kind, text) for text in (last, first)] == [2**63 - 1, -(2**63) + 1]
    for text in ("infinity", "-Infinity", " infinity "):
        with pytest.raises(ValueError, match="no infinity"):
            PARSERS["TIMESTAMP_NS"](kind, text)
        for other in ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMPTZ"):
            assert abs(PARSERS[other](node(other), text)) == 2**63 - 1


@pytest.mark.parametrize("name", ["TIME_S", "TIME_MS", "TIME", "TIME_NS"])
def test_times_of_day(name: str) -> None:
    rng = random.Random(3)
    per_second = PER_SECOND[name.partition("_")[2] or "US"]
    width = len(str(per_second)) - 1
    for fractions in ([0], [0, 1, per_second // 2, per_second - 1, 10 % per_second]):
        clocks = [(second, rng.choice(fractions) if per_second > 1 else 0) for second in
                  (0, 59, 60, 3599, 3600, 86_399, *(rng.randrange(86_400) for _ in range(300)))]  # fmt: skip
        stored = [second * per_second + fraction for second, fraction in clocks]
        assert images(Node(name), stored) == [of_clock(*clock, width) for clock in clocks]


@pytest.mark.parametrize(
    "numbers",
    [(1, 0), (1, 1), (5, 2), (9, 0), (18, 0), (18, 4), (18, 18), (19, 3), (38, 38), (76, 0), (76, 75)],
)
def test_decimals(numbers: tuple[int, int]) -> None:
    rng = random.Random(4)
    precision, scale = numbers
    kind = Node("DECIMAL", numbers)
    most = 10**precision - 1
    for few in (True, False):  # numbers of few digits take a narrower matrix
        whole = [0, 1, -1, 9, -9, *(rng.randint(-most, most) for _ in range(100)), most, -most]
        whole = [number for number in whole if abs(number) < 10] if few else whole
        whole += [sign * 10**digits for digits in range(precision) for sign in (1, -1)] if not few else []
        values = [Decimal(number).scaleb(-scale) if precision < 28 else None for number in whole]
        texts = []
        for number in whole:
            digits = str(abs(number)).zfill(scale + 1)
            point = len(digits) - scale
            sign = "-" if number < 0 else ""
            texts.append(sign + digits[:point] + (f".{digits[point:]}" if scale else ""))
        assert images(kind, [PARSERS["DECIMAL"](kind, text) for text in texts]) == texts
        for value, text in zip(values, texts, strict=True):
            assert value is None or Decimal(text) == value


def test_uuids() -> None:
    rng = random.Random(5)
    values = [uuid.UUID(int=number) for number in (0, 2**128 - 1, *(rng.getrandbits(128) for _ in range(50)))]
    assert images(Node("UUID"), [value.bytes for value in values]) == [str(value) for value in values]


@pytest.mark.parametrize("name", ["UUID", "DATE", "TIME", "TIMESTAMPTZ", "DECIMAL(5,2)", "UHUGEINT", "BIT"])
def test_no_values_and_nothing_but_null(name: str) -> None:
    kind = node(name)
    assert sql_images(kind, pa.array([], stored_type(kind))) == []
    assert sql_images(kind, pa.nulls(3, stored_type(kind))) == [None] * 3
    assert sql_array(kind, pa.nulls(3, stored_type(kind))).null_count == 3


def test_a_zone_shows_the_moment_in_utc() -> None:
    moment = datetime(2024, 7, 1, 12, tzinfo=UTC)
    kind = node("TIMESTAMPTZ('Europe/Berlin')")
    stored = PARSERS[kind.name](kind, "2024-07-01 14:00:00+02:00")
    assert stored == int(moment.timestamp()) * 10**6
    assert images(kind, [stored, np.int64(stored) + 1]) == [
        "2024-07-01 12:00:00+00:00", "2024-07-01 12:00:00.000001+00:00",
    ]  # fmt: skip
