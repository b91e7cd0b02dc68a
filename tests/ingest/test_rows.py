"""Sources to rows of the default table."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.errors import DataTypeError, OptionError
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import find_sources
from audiomem_sql.ingest.timestamps import parse_time

FILE_TIME = datetime(2023, 11, 14, 22, 13, 20)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ingest(name: str, content: str | bytes | pa.Table, **options: Any) -> list[dict[str, Any]]:
    if isinstance(content, pa.Table):
        pq.write_table(content, name)
    else:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(name, (1_700_000_000, 1_700_000_000))
    (source,) = find_sources([name])
    return list(rows_of(source, **options))


def test_prose() -> None:
    rows = ingest("a.md", "# Guide\n\nintro\n\n## Install\n\n" + "Run the program. " * 20, size=200)
    assert [row["title"] for row in rows] == ["Guide", "Guide: Install", "Guide: Install"]
    assert rows[0] == {
        "source": "a.md",
        "place": "line=3",
        "seq": 0,
        "title": "Guide",
        "body": "intro",
        "created_at": FILE_TIME,
        "importance": None,
    }
    assert [row["seq"] for row in rows] == [0, 1, 2]
    assert ingest("b.txt", "") == []


def test_records_of_every_kind_give_the_same_rows() -> None:
    expected = [
        {
            "source": "",
            "seq": 0,
            "title": "One",
            "body": "first text",
            "created_at": datetime(2026, 11, 1, 10, 30),
            "importance": 0.5,
        },
        {"source": "", "seq": 1, "title": None, "body": "second", "created_at": None, "importance": None},
    ]
    table = {
        "title": ["One", None],
        "text": ["first text", "second"],
        "date": ["2026-11-01T12:30:00+02:00", "some day"],
        "importance": ["0.5", "high"],
    }
    lines = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    files: dict[str, str | pa.Table] = {
        "a.csv": "title,text,date,importance\nOne,first text,2026-11-01T12:30:00+02:00,0.5\n"
        ",second,some day,high\n",
        "a.jsonl": "\n".join(map(json.dumps, lines)),
        "a.parquet": pa.table(table),
    }
    places = {"a.csv": ["line=2", "line=3"], "a.jsonl": ["line=1", "line=2"], "a.parquet": ["row=1", "row=2"]}
    for name, content in files.items():
        assert ingest(name, content) == [
            row | {"source": name, "place": place} for row, place in zip(expected, places[name], strict=True)
        ]


def test_long_bodies_are_chunked_and_numbered_through() -> None:
    rows = ingest(
        "a.jsonl", json.dumps({"name": "N", "body": "A sentence. " * 20}) + '\n{"body": "b"}', size=100
    )
    assert [row["seq"] for row in rows] == [0, 1, 2, 3]
    assert [row["title"] for row in rows] == ["N", "N", "N", None]
    assert all(row["created_at"] == FILE_TIME for row in rows)


def test_without_a_body_the_text_columns_are_joined() -> None:
    lines = [
        '{"city": "Paris", "people": 2000000, "country": "France", "date": "2026"}',
        '{"body": " ", "title": "Only a title", "n": 1}',
        '{"n": 1, "b": true, "raw": [1], "x": null}',
        '{"x": null, "y": [], "z": ""}',
        "{}",
        '{"body": {"a": ["é"]}}',
        '{"body": 12.5, "title": ["t"]}',
    ]
    rows = ingest("a.jsonl", "\n".join(lines))
    assert [(row["title"], row["body"]) for row in rows] == [
        (None, "city: Paris\ncountry: France"),
        ("Only a title", "title: Only a title"),
        (None, "n: 1\nb: true\nraw: [1]"),
        (None, '{"a": ["é"]}'),
        ('["t"]', "12.5"),
    ]
    assert rows[0]["created_at"] == datetime(2026, 1, 1)


def test_chosen_columns() -> None:
    lines = '{"q": "why", "a": "because", "text": "t"}\n{"text": "only text"}'
    rows = ingest("a.jsonl", lines, body_column="a", title_column="q")
    assert [(row["title"], row["body"]) for row in rows] == [("why", "because"), (None, "only text")]
    raw = pa.table({"data": pa.array([b"caf\xc3\xa9"]), "vector": pa.array([[1.0]])})
    assert ingest("a.parquet", raw, body_column="data")[0]["body"] == "café"


def test_text_that_is_not_unicode_is_refused_with_its_place() -> None:
    with pytest.raises(DataTypeError, match=r"a\.jsonl: line 2: .*not Unicode"):
        ingest("a.jsonl", '{"body": "fine"}\n{"body": "\\ud800"}')
    with pytest.raises(DataTypeError, match="line 1"):
        ingest("a.jsonl", '{"other": "\\ud800"}')
    with pytest.raises(DataTypeError, match="row 1"):
        ingest("a.parquet", pa.table({"body": pa.array([b"\xff"])}))


def test_sizes_are_checked_at_once() -> None:
    Path("a.txt").write_text("x", encoding="utf-8")
    (source,) = find_sources(["a.txt"])
    with pytest.raises(OptionError):
        rows_of(source, size=10)
    with pytest.raises(OptionError):
        rows_of(source, overlap=800)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 6), datetime(2026, 1, 2, 3, 4, 5, 6)),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=5))), datetime(2026, 1, 1, 22)),
        (date(2026, 1, 2), datetime(2026, 1, 2)),
        ("2026-01-02", datetime(2026, 1, 2)),
        (" 2026-01-02 03:04:05Z ", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02T03:04:05.123456-01:00", datetime(2026, 1, 2, 4, 4, 5, 123456)),
        ("20260102", datetime(2026, 1, 2)),
        ("2026", datetime(2026, 1, 1)),
        (2026, datetime(2026, 1, 1)),
        ("Fri, 21 Nov 2008 14:05:00 +0100", datetime(2008, 11, 21, 13, 5)),
        (1_700_000_000, FILE_TIME),
        ("1700000000", FILE_TIME),
        (1_700_000_000.5, FILE_TIME + timedelta(milliseconds=500)),
        (1_700_000_000_000, FILE_TIME),
        (1_700_000_000_000_001, FILE_TIME + timedelta(microseconds=1)),
        (1_700_000_000_000_000_001, FILE_TIME),
        (-200_000_000, datetime(1963, 8, 31, 4, 26, 40)),
    ],
)
def test_times(value: object, moment: datetime) -> None:
    assert parse_time(value) == moment


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "12", 12, True, 1e30, float("nan"), "1" * 400, [], "99999999", "2026-13-01", b"2026"],
)
def test_what_is_no_time(value: object) -> None:
    assert parse_time(value) is None


@given(st.datetimes(timezones=st.none() | st.timezones()) | st.text() | st.integers() | st.floats())
def test_any_value_is_a_time_or_none(value: object) -> None:
    moment = parse_time(value)
    assert moment is None or moment.tzinfo is None
    if isinstance(value, datetime) and value.tzinfo is not None and moment is not None:
        assert moment == value.astimezone(UTC).replace(tzinfo=None)
