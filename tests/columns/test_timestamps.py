from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import apsw
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spellings import FARTHER, NO_TIMES, TIMES, spellings

from audiomem_sql.columns.logical.texts import moment_text
from audiomem_sql.columns.time_order import Key, compare, key
from audiomem_sql.columns.timestamps import (
    MAX_MICROS,
    MIN_MICROS,
    parse,
    render,
    render_many,
    text_threshold,
)
from audiomem_sql.errors import DataTypeError

micros = st.one_of(
    st.integers(MIN_MICROS, MAX_MICROS),
    st.integers(MIN_MICROS // 10**6, MAX_MICROS // 10**6).map(lambda seconds: seconds * 10**6),
    st.sampled_from([MIN_MICROS, -1, 0, 1, 10, 100_000, MAX_MICROS]),
)
EPOCH = datetime(1970, 1, 1)


def at(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


@given(micros)
def test_text_is_what_python_says_without_the_zeros_at_the_end(us: int) -> None:
    moment = at(us)
    expected = moment.replace(microsecond=0).isoformat(" ")
    if moment.microsecond:
        expected += f".{moment.microsecond:06d}".rstrip("0")
    assert render(us) == expected


@given(st.lists(micros))
def test_round_trip(values: list[int]) -> None:
    texts = render_many(np.array(values, dtype=np.int64))
    assert texts == [render(us) for us in values]
    assert [parse(text) for text in texts] == values


@given(micros, micros)
def test_text_order_is_time_order(one: int, other: int) -> None:
    assert (render(one) < render(other)) == (one < other)


@given(st.integers(MIN_MICROS // 10**6, MAX_MICROS // 10**6))
def test_whole_seconds_are_written_as_sqlite_writes_them(seconds: int) -> None:
    sqlite = apsw.Connection(":memory:").execute("SELECT datetime(?, 'unixepoch')", (seconds,)).fetchone()
    assert sqlite == (render(seconds * 10**6),)


@given(micros, st.sampled_from("T "), st.integers(-14 * 60, 14 * 60))
def test_offsets_are_taken_off(us: int, separator: str, offset: int) -> None:
    text = render(us).replace(" ", separator)
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    shifted = us - offset * 60 * 10**6
    if MIN_MICROS <= shifted <= MAX_MICROS:
        assert parse(text + zone) == shifted
    else:
        with pytest.raises(DataTypeError, match="0001 to 9999"):
            parse(text + zone)
    assert parse(text + "Z") == us


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("2024-02-29", "2024-02-29 00:00:00"),
        ("2024-02-29 12:30", "2024-02-29 12:30:00"),
        ("2024-02-29T12:30:01z", "2024-02-29 12:30:01"),
        ("2024-02-29 12:30:01.5", "2024-02-29 12:30:01.5"),
        ("2024-02-29 12:30:01.123456000", "2024-02-29 12:30:01.123456"),
        ("2024-02-29 12:30:01.000000000", "2024-02-29 12:30:01"),
        ("2024-02-29 00:30+01:00", "2024-02-28 23:30:00"),
        ("1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999"),
    ],
)
def test_accepted_texts(text: str, rendered: str) -> None:
    assert render(parse(text)) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024",
        "2024-2-3",
        "2023-02-29",
        "2024-13-01",
        "0000-01-01",
        "2024-01-01 24:00",
        "2024-01-01 12:60",
        "2024-01-01 12:00:60",
        "2024-01-01 12:00:00.",
        "2024-01-01 12:00:00.0000001",
        "2024-01-01 12:00:00.1234567890",
        " 2024-01-01",
        "2024-01-01\n",
        "2024-01-01Z",
        "2024-01-01 12:00+1:00",
        "2024-01-01 12:00+24:00",
        "2024-01-01 12:00+01:60",
        "٢٠٢٤-01-01",
        "2024-01-01  12:00",
        "10000-01-01",
    ],
)
def test_refused_texts(text: str) -> None:
    with pytest.raises(DataTypeError):
        parse(text)


def test_objects() -> None:
    us = parse("2024-05-06 07:08:09.12")
    zone = timezone(timedelta(hours=2))
    assert parse(datetime(2024, 5, 6, 7, 8, 9, 120_000)) == us
    assert parse(datetime(2024, 5, 6, 9, 8, 9, 120_000, tzinfo=zone)) == us
    assert parse(datetime(2024, 5, 6, 7, 8, 9, 120_000, tzinfo=UTC)) == us
    assert parse(pd.Timestamp("2024-05-06 09:08:09.12", tz="Europe/Berlin")) == us
    assert parse(np.datetime64("2024-05-06T07:08:09.120000000")) == us
    assert parse(date(2024, 5, 6)) == parse(np.datetime64("2024-05-06")) == parse("2024-05-06")
    assert parse(np.datetime64("2024-05")) == parse("2024-05-01")
    assert parse(np.datetime64("1969")) == parse("1969-01-01")
    assert parse(np.datetime64(1, ("s", 25))) == 25_000_000


@pytest.mark.parametrize(
    "value",
    [
        pd.NaT,
        np.datetime64("NaT"),
        pd.Timestamp(1),
        np.datetime64(1, "ns"),
        np.datetime64("-5"),
        np.datetime64("10000"),
        b"2024-01-01",
        None,
        [],
        timedelta(1),
    ],
    ids=repr,
)
def test_refused_objects(value: object) -> None:
    with pytest.raises(DataTypeError):
        parse(value)


@pytest.mark.parametrize("value", [0, 1_700_000_000, 1.5, True, np.int64(5), np.float32(1)], ids=repr)
def test_numbers_are_ambiguous(value: object) -> None:
    with pytest.raises(DataTypeError, match="seconds, milliseconds or microseconds"):
        parse(value)


@pytest.mark.parametrize("us", [MIN_MICROS - 1, MAX_MICROS + 1, 2**63 - 1, -(2**63)])
def test_outside_the_years(us: int) -> None:
    with pytest.raises(DataTypeError, match="0001 to 9999"):
        render(us)
    with pytest.raises(DataTypeError, match="0001 to 9999"):
        render_many(np.array([0, us], dtype=np.int64))


texts = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="0123456789- :.T", max_size=27),
    micros.map(render),
    st.builds(lambda us, cut, more: render(us)[:cut] + more, micros, st.integers(0, 26), st.text(max_size=2)),
)


@given(texts, st.lists(micros, max_size=5))
def test_threshold_turns_text_comparison_into_integer_comparison(text: str, others: list[int]) -> None:
    threshold = text_threshold(text)
    assert MIN_MICROS <= threshold <= MAX_MICROS + 1
    if threshold <= MAX_MICROS:
        assert render(threshold) >= text
    if threshold > MIN_MICROS:
        assert render(threshold - 1) < text
    for us in others:
        assert (us >= threshold) == (render(us).encode() >= text.encode())


def test_threshold_of_what_no_text_reaches() -> None:
    assert text_threshold("now") == MAX_MICROS + 1
    assert text_threshold("") == MIN_MICROS
    assert text_threshold("2024-05-06") == parse("2024-05-06")
    assert text_threshold("2024-05-06T") == parse("2024-05-07")


@given(st.data(), TIMES, TIMES)
def test_all_spellings_of_a_time_are_equal_and_in_the_order_of_times(
    data: st.DataObject, one: int, other: int
) -> None:
    left, right = data.draw(spellings(one)), data.draw(spellings(other))
    assert parse(left) == one
    assert key(left) == Key(0, text=render(one))
    assert compare(left, right) == (one > other) - (one < other)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_a_text_like_any_other(text: str) -> None:
    with pytest.raises(DataTypeError):
        parse(text)
    assert key(text).text in (text, "")
    assert compare(text, text) == 0
    for other in (*NO_TIMES, "2024-03-01 10:00:00"):
        assert compare(text, other) == (text > other) - (text < other)
    assert compare(text, "2024-03-01T10:00Z") == compare(text, "2024-03-01 10:00:00")


@given(st.data())
def test_moments_of_any_year_are_in_the_order_of_their_numbers(data: st.DataObject) -> None:
    """Nanoseconds since 1970, as DATE, TIMESTAMP_S … TIMESTAMPTZ_NS show them."""
    whole = st.one_of(
        st.integers(-(10**14), 10**14), st.sampled_from([-62135596801, -62135596800, 253402300800])
    )
    moments = [data.draw(st.tuples(whole, st.sampled_from([0, 1, 500, 10**8, 10**9 - 1]))) for _ in range(2)]
    if data.draw(st.booleans()):
        moments[1] = (moments[0][0] + data.draw(st.integers(-1, 1)), moments[1][1])
    texts = []
    for seconds, nanos in moments:
        away = data.draw(st.sampled_from([0, 0, 60, -90, 23 * 60 + 59]))
        text = moment_text(seconds + away * 60, 1)
        era = " (BC)" if text.endswith(" (BC)") else ""
        text = text.removesuffix(era)
        fraction = f".{nanos:09d}"
        text += data.draw(
            st.sampled_from([fraction, f"{fraction}000", fraction.rstrip("0") if nanos else ""])
        )
        zone = f"{'-' if away < 0 else '+'}{abs(away) // 60:02d}:{abs(away) % 60:02d}"
        text += zone if away else data.draw(st.sampled_from(["", "Z", "+00:00", "+00"]))
        texts.append(text.replace(" ", data.draw(st.sampled_from([" ", "T"]))) + era)
    one, other = moments
    assert compare(*texts) == (one > other) - (one < other), texts
    assert compare("-infinity", texts[0]) == -1
    assert compare("infinity", texts[0]) == 1


def test_farther_times_are_in_order_and_no_timestamps() -> None:
    for place, text in enumerate(FARTHER):
        assert [compare(text, other) for other in FARTHER] == [
            (place > other) - (place < other) for other in range(len(FARTHER))
        ]
        with pytest.raises(DataTypeError):
            parse(text)
    assert compare("0001-12-31 (BC)", "0000-12-31T23:59") == compare("0000-12-31", "0001-01-01") == -1
    assert compare("yesterday", "infinity") == compare("-infinity", "") == 1
