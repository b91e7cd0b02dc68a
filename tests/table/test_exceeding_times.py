"""Dates and times that Python cannot hold: what iteration, display and pandas make of them."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.columns.exact_python import holds_all, python_values


def counts(numbers: list[int | None], kind: pa.DataType) -> pa.Array[Any]:
    return pa.array(numbers, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)


@pytest.mark.parametrize(
    ("kind", "numbers", "values"),
    [
        (
            pa.date32(),
            [-719_162, -719_163, 2_932_896, 2_932_897, None, 2**31 - 1, -(2**31) + 1],
            [date.min, "0001-12-31 (BC)", date.max, "10000-01-01", None, "infinity", "-infinity"],
        ),
        (
            pa.timestamp("ns"),
            [1_001, 1_000, -1, None],
            [
                "1970-01-01 00:00:00.000001001",
                datetime(1970, 1, 1, microsecond=1),
                "1969-12-31 23:59:59.999999999",
                None,
            ],
        ),
        (
            pa.timestamp("s"),
            [253_402_300_799, 253_402_300_800],
            [datetime(9999, 12, 31, 23, 59, 59), "10000-01-01 00:00:00"],
        ),
        (
            pa.timestamp("us", "Asia/Tokyo"),
            [253_402_300_799 * 10**6],
            ["9999-12-31 23:59:59+00:00"],
        ),
        (pa.time64("ns"), [1_001, 1_000], ["00:00:00.000001001", time(microsecond=1)]),
        (pa.duration("ns"), [1_001, 1_000], ["00:00:00.000001001", timedelta(microseconds=1)]),
        (pa.duration("s"), [1 << 62, 3], ["1281023894007607:45:04", timedelta(seconds=3)]),
    ],
    ids=str,
)
def test_python_values(kind: pa.DataType, numbers: list[int | None], values: list[Any]) -> None:
    made = counts(numbers, kind)
    assert python_values(made) == values
    assert [type(value) for value in python_values(made)] == [type(value) for value in values]
    assert not holds_all(pa.chunked_array([made]))
    assert python_values(made.slice(1)) == values[1:]
    offsets = pa.array([0, len(made)], pa.int32())
    lists = pa.ListArray.from_arrays(offsets, made)
    assert python_values(lists) == [values]
    structs = pa.StructArray.from_arrays([made], ["t"])
    assert python_values(structs) == [{"t": value} for value in values]
    maps = pa.MapArray.from_arrays(offsets, pa.array(range(len(made))), made)
    assert python_values(maps) == [list(enumerate(values))]
    assert not holds_all(lists)
    assert not holds_all(structs)
    assert not holds_all(maps)


COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "d DATE",
    "t TIME_NS",
    "n TIMESTAMP_NS",
    "s TIMESTAMP_S",
    "i INTERVAL",
    "l DATE[]",
    "r STRUCT(a TIMESTAMP_NS)",
]
ROW = {
    "id": 1,
    "d": "0044-03-15 (BC)",
    "t": "10:00:00.123456789",
    "n": "2024-01-01 00:00:00.123456789",
    "s": "infinity",
    "i": "1 year 2 days",
    "l": ["2024-01-01", "infinity"],
    "r": {"a": "2024-01-01 00:00:00.000000001"},
}


@pytest.fixture
def table(tmp_path: Path) -> am.Table:
    made = am.create(tmp_path / "t.flac", COLUMNS)
    made.append([ROW, {"id": 2, "d": "2024-02-29", "t": "01:02:03", "n": "2024-01-01 00:00:00"}])
    return made


def test_rows_give_themselves_back(table: am.Table) -> None:
    first, second = list(table)
    months, days, nanos = first.pop("i")
    assert (months, days, nanos) == (12, 2, 0)
    assert first == {key: value for key, value in ROW.items() if key != "i"} | {
        "l": [date(2024, 1, 1), "infinity"]
    }
    assert second["d"] == date(2024, 2, 29)
    assert second["t"] == time(1, 2, 3)
    assert type(second["n"]) is datetime
    before = table.to_arrow()
    for row in list(table):
        assert table.upsert([row]).updated == 1
    assert table.to_arrow().sort_by("id").equals(before)


def test_they_are_shown(table: am.Table) -> None:
    for text in (str(table), table._repr_html_()):
        for image in ("0044-03-15 (BC)", "10:00:00.123456789", "2024-01-01 00:00:00.123456789", "infinity"):
            assert image in text
        assert "1 year 2 days" in text
    assert '["2024-01-01","infinity"]' in str(table)
    table.delete("id = 2")
    assert ": 1 row, 8 columns, version" in str(table)


def test_pandas_has_them(table: am.Table) -> None:
    frame = table.to_pandas()
    assert frame["d"].tolist() == ["0044-03-15 (BC)", date(2024, 2, 29)]
    assert frame["t"].tolist() == ["10:00:00.123456789", time(1, 2, 3)]
    assert frame["n"].tolist() == [pd.Timestamp(ROW["n"]), pd.Timestamp("2024-01-01")]
    assert frame["l"].tolist() == [[date(2024, 1, 1), "infinity"], None]
    assert frame["r"].tolist() == [ROW["r"], None]
    exact = table.to_pandas(["d", "t"], dtype_backend="pyarrow")
    assert exact["t"].array.__arrow_array__().cast(pa.int64()).to_pylist() == [
        36_000_123_456_789,
        3_723 * 10**9,
    ]
    assert am.read_flac(table.path, ["d"], "id = 1")["d"].tolist() == ["0044-03-15 (BC)"]


def test_pandas_has_lists_of_uuids(tmp_path: Path) -> None:
    ids = [[uuid.UUID(int=5), None], None]
    with am.create(tmp_path / "t.flac", ["u UUID[]"]) as table:
        table.append([{"u": each} for each in ids])
        assert table.to_pandas()["u"].tolist() == ids
