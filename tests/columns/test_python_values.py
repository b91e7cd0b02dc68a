"""Python values as Arrow data: NaN, UUIDs and numpy's times are kept, and what no type holds is refused."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.python_values import array_of_values
from audiomem_sql.errors import DataTypeError

ID = uuid.UUID(int=1)
NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1.0, NAN, None], pa.float64(), [1.0, NAN, None]),
        ([NAN], pa.float64(), [NAN]),
        ([1, NAN], pa.float64(), [1.0, NAN]),
        ([1.0, NAN, pd.NA], pa.float64(), [1.0, NAN, None]),
        (["a", NAN], pa.string(), ["a", None]),
        ([[NAN, None], None], pa.list_(pa.float64()), [[NAN, None], None]),
        ([[NAN, 1.0], NAN], pa.list_(pa.float64()), [[NAN, 1.0], None]),
        ([{"x": NAN}, {"x": 1}], pa.struct([("x", pa.float64())]), [{"x": NAN}, {"x": 1.0}]),
        ([[ID], None, []], pa.list_(pa.uuid()), [[ID], None, []]),
        ([{"u": ID, "b": b"x"}], pa.struct([("u", pa.uuid()), ("b", pa.binary())]), [{"u": ID, "b": b"x"}]),
        ([[np.datetime64("2024-05-06")]], pa.list_(pa.date32()), [[date(2024, 5, 6)]]),
        ([[np.datetime64("2024-05-06T07", "h")]], pa.list_(pa.timestamp("s")), [[datetime(2024, 5, 6, 7)]]),
        ([np.timedelta64(5, "h")], pa.duration("s"), [timedelta(hours=5)]),
    ],
)
def test_nan_and_ids_in_python_values(values: list[Any], kind: Any, found: list[Any]) -> None:
    made = array_of_values("c", values)
    assert made.type == kind
    assert repr(made.to_pylist()) == repr(found)


def test_nan_of_pandas_is_null_but_in_lists() -> None:
    assert array_of_values("c", [1.0, NAN], nan_is_null=True).to_pylist() == [1.0, None]
    lists = array_of_values("c", [[NAN, 1.0], NAN], nan_is_null=True)
    assert repr(lists.to_pylist()) == repr([[NAN, 1.0], None])


@pytest.mark.parametrize(
    ("values", "row", "words"),
    [
        ([None, np.zeros((2, 2))], 1, "1-dimensional"),
        ([pd.Series([1, 2])], 0, "type Series"),
        ([Decimal(1), Decimal("NaN")], 1, "no DECIMAL is NaN"),
        ([Decimal("Infinity")], 0, "no DECIMAL is Infinity"),
        ([[Decimal("NaN")]], 0, "DECIMAL|Decimal"),
        ([Decimal(1), NAN], 1, "no DECIMAL is NaN"),
        ([[ID], ["x"]], 1, "UUID stands beside others"),
        ([[ID], [b"x"]], 1, "UUID stands beside others"),
    ],
)
def test_python_values_of_no_type(values: list[Any], row: int, words: str) -> None:
    frame = pd.DataFrame({"c": pd.Series(values, dtype=object)})
    for data in ({"c": values}, [{"c": value} for value in values]) + (
        (frame,) if not any(value is NAN for value in values) else ()
    ):
        with pytest.raises(DataTypeError, match=words) as caught:
            to_table(data, None)
        assert caught.value.place == f"row {row}"
        assert "column c" in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([ID, uuid.UUID(int=2)], pa.uuid()),
        pa.array([[1], [2, 3]]),
        pa.array([{"a": 1}, {"a": None}]),
        pa.array(["1", "[2]"], pa.json_()),
        pa.array([[1], [2]], pa.list_view(pa.int8())),
        pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int8())),
    ],
    ids=lambda values: str(values.type),
)
@pytest.mark.parametrize("ordered", [False, True])
def test_dictionaries_of_what_has_no_categories(values: Any, ordered: bool, tmp_path: Path) -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, None]), values, ordered=ordered)
    table = audiomem_sql.write_flac(pa.table({"c": array}), tmp_path / "t.flac")
    assert table.to_arrow()["c"].to_pylist() == array.to_pylist()
    assert len(table.to_pandas()) == 4
