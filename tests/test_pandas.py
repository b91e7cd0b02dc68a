"""pandas: what goes in comes out, or is refused by the name of its column."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import audiomem_sql as am
import audiomem_sql.pandas
from audiomem_sql.errors import AudioMemError, OptionError, QueryError
from audiomem_sql.table.table import Table

Values = st.SearchStrategy[list[Any]]
ZONES = ("UTC", "Europe/Lisbon", "Asia/Kolkata", "+05:30")
#: All years that pandas can print; µs since 1970.
MICROS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
NANOS = st.integers(-9_223_372_036_854_775, 9_223_372_036_854_775).map(lambda micros: micros * 1000)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def rows(values: st.SearchStrategy[Any], count: int, missing: bool = True) -> Values:
    return st.lists(values | st.none() if missing else values, min_size=count, max_size=count)


def integers(bits: int, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << min(bits, 63)) - 1)
    return st.integers(low, high)


def floats(bits: int) -> st.SearchStrategy[float]:
    # SQLite has no negative zero
    return st.floats(width=bits, allow_nan=False).map(lambda value: value + 0.0)  # type: ignore[arg-type]


def numpy_columns(count: int) -> st.SearchStrategy[pd.Series]:
    found: list[st.SearchStrategy[pd.Series]] = []
    for bits in (8, 16, 32, 64):
        for sign in (True, False):
            name = f"{'' if sign else 'u'}int{bits}"
            found.append(rows(integers(bits, sign), count, False).map(made(name)))
    for bits in (16, 32, 64):
        present = rows(floats(bits) | st.just(float("nan")), count, False)
        found.append(present.map(made(f"float{bits}")))
    found.append(rows(st.booleans(), count, False).map(made("bool")))
    for unit, times in (("us", MICROS), ("ns", NANOS)):
        for zone in (None, *ZONES):
            # A zone may shift a time of the year 1 or 9999 out of Python's years, and out of the years that
            # are stored.
            near = times.filter(lambda t: abs(t) < 60_000_000_000_000_000) if zone and unit == "us" else times
            found.append(rows(near, count).map(lambda values, u=unit, z=zone: moments(values, u, z)))
    # Objects that are all missing say nothing of what they are, and become texts.
    for values in (st.integers(-719_162, 2_932_896).map(days), st.binary(max_size=5)):
        found.append(rows(values, count).filter(any_present).map(made("object")))
    found.append(
        st.lists(TEXTS, unique=True, min_size=1, max_size=4).flatmap(lambda kinds: categories(kinds, count))
    )
    kinds = st.lists(integers(32, True), unique=True, min_size=1, max_size=4)
    found.append(kinds.flatmap(lambda kinds: categories(kinds, count)))
    found.append(rows(TEXTS, count).map(made("str" if pd.__version__ >= "3" else "object")))
    return st.one_of(found)


def made(dtype: Any) -> Callable[[list[Any]], pd.Series]:
    return lambda values: pd.Series(values, dtype=dtype)


def any_present(values: list[Any]) -> bool:
    return any(value is not None for value in values)


def days(number: int) -> date:
    return date(1970, 1, 1) + timedelta(number)


def moments(values: list[int | None], unit: str, zone: str | None) -> pd.Series:
    counts = np.array([np.iinfo(np.int64).min if value is None else value for value in values], np.int64)
    series = pd.Series(counts.view(f"M8[{unit}]"))
    return series if zone is None else series.dt.tz_localize("UTC").dt.tz_convert(zone)


def categories(kinds: list[Any], count: int) -> st.SearchStrategy[pd.Series]:
    def build(values: list[Any], ordered: bool) -> pd.Series:
        return pd.Series(pd.Categorical(values, categories=kinds, ordered=ordered))

    return st.builds(build, rows(st.sampled_from(kinds), count), st.booleans())


def nullable_columns(count: int) -> st.SearchStrategy[pd.Series]:
    found = [rows(st.booleans(), count).map(made("boolean")), rows(TEXTS, count).map(made("string"))]
    for bits in (8, 16, 32, 64):
        for sign in (True, False):
            name = f"{'' if sign else 'U'}Int{bits}"
            found.append(rows(integers(bits, sign), count).map(made(name)))
    found += [rows(floats(bits), count).map(made(f"Float{bits}")) for bits in (32, 64)]
    return st.one_of(found)


def arrow_columns(count: int) -> st.SearchStrategy[pd.Series]:
    found = [
        rows(st.booleans(), count).map(made("bool[pyarrow]")),
        rows(TEXTS, count).map(made("string[pyarrow]")),
    ]
    for bits in (8, 16, 32, 64):
        for sign in (True, False):
            name = f"{'' if sign else 'u'}int{bits}[pyarrow]"
            found.append(rows(integers(bits, sign), count).map(made(name)))
    found += [rows(floats(bits), count).map(made(f"float{bits}[pyarrow]")) for bits in (32, 64)]
    found.append(rows(st.integers(-719_162, 2_932_896).map(days), count).map(made("date32[pyarrow]")))
    found.append(rows(st.binary(max_size=5), count).map(made("binary[pyarrow]")))
    near = st.integers(-60_000_000_000_000_000, 60_000_000_000_000_000)
    for zone in ("", ", tz=UTC", ", tz=Europe/Lisbon"):
        times = rows(near, count).map(lambda values: moments(values, "us", None))
        dtype = f"timestamp[us{zone}][pyarrow]"
        found.append(times.map(lambda series, d=dtype, z=zone: localized(series, z).astype(d)))
    return st.one_of(found)


def localized(series: pd.Series, zone: str) -> pd.Series:
    return series.dt.tz_localize("UTC") if zone else series


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(1, 6))
    column = numpy_columns(count) | nullable_columns(count) | arrow_columns(count)
    series = draw(st.lists(column, min_size=1, max_size=5))
    return pd.DataFrame({f"c{place}": item for place, item in enumerate(series)})


@settings(deadline=None, max_examples=int(os.environ.get("AUDIOMEM_FRAMES", "100")))
@given(frame=frames(), vacuum=st.booleans())
def test_every_frame_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, vacuum: bool
) -> None:
    path = tmp_path_factory.mktemp("frame") / "t.flac"
    with am.write_flac(frame, path) as table:
        if vacuum:
            table.append(frame)
            table.vacuum()
    expected = pd.concat([frame, frame], ignore_index=True) if vacuum else frame
    assert_frame_equal(am.read_flac(path), expected)
    assert_frame_equal(am.read_flac(path, version=2), frame)
    half = list(frame.columns)[::2]
    assert_frame_equal(am.read_flac(path, half), expected[half])


REFUSED = {
    "period": pd.period_range("2020", periods=2, freq="D"),
    "interval": pd.interval_range(0, 2),
    "complex": np.array([1j, 2]),
    "mixed": [1, "a"],
    "object": [object(), object()],
}


KEPT = {
    "decimal": [Decimal("1.5"), None],
    "time": [pd.Timestamp("2020-01-01 10:00").time(), None],
    "nanoseconds": pd.to_datetime([1, 2], unit="ns"),
    "large": np.array([1, 1 << 63], np.uint64),
    "Arrow decimal": pd.Series([Decimal("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 1))),
    "Arrow list": pd.Series([[1, None], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "decimals in order": pd.Categorical([Decimal(1)] * 2, [Decimal(2), Decimal(1)], ordered=True),
    **{
        f"timedelta {unit}": pd.to_timedelta([1, 2], unit=unit).as_unit(unit)
        for unit in ("s", "ms", "us", "ns")
    },
}


@pytest.mark.parametrize("kind", KEPT)
def test_logical_types_come_back(kind: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"kept": KEPT[kind]})
    frame.index = pd.Index(pd.to_timedelta([2, 1], unit="s"), name="elapsed")
    am.write_flac(frame, tmp_path / "t.flac").close()
    assert_frame_equal(am.read_flac(tmp_path / "t.flac"), frame)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_column_holds_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"fine": [1, 2], "culprit": REFUSED[kind]})
    with pytest.raises(AudioMemError, match="culprit"):
        frame.audiomem.to_flac(tmp_path / "t.flac")
    assert not list(tmp_path.iterdir())


def test_dtype_backend_and_categories(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    frame = pd.DataFrame({"a": np.array([1, 2], np.int16), "t": ["x", "y"], "f": [0.5, None]})
    frame.audiomem.to_flac(path)
    for backend, expected in (
        (None, ["int16", str(pd.Series(["x"]).dtype), "float64"]),
        ("numpy_nullable", ["Int16", "string", "Float64"]),
        ("pyarrow", ["int16[pyarrow]", "string[pyarrow]", "double[pyarrow]"]),
    ):
        read = am.read_flac(path, dtype_backend=backend)
        assert [str(dtype) for dtype in read.dtypes] == expected
        assert read["f"].isna().tolist() == [False, True]
    assert am.read_flac(path, categories=["t"])["t"].dtype == "category"
    with pytest.raises(OptionError, match="numpy_nullable, pyarrow"):
        am.read_flac(path, dtype_backend="polars")


def test_integers_with_nulls_are_exact(tmp_path: Path) -> None:
    """A column that was made in SQL has no dtype of its own.

    Numpy has no NULL for it, and floats would round.
    """
    great = (1 << 53) + 1
    with Table.create(tmp_path / "t.flac", ["i INTEGER", "b BOOLEAN", "s TIMESTAMP"]) as table:
        table.append([{"i": great, "b": True}, {}])
        frame = table.to_pandas()
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "boolean", "datetime64[us]"]
    assert frame["i"][0] == great


def test_values_that_came_later_and_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    kinds = pd.Categorical(["a", "b"], categories=["b", "a"], ordered=True)
    pd.DataFrame({"i": np.array([1, 2], np.int8), "c": kinds}).audiomem.to_flac(path)
    with am.open(path) as table:
        table.append([{"i": 300, "c": "z"}])
    frame = am.read_flac(path)
    assert frame["i"].tolist() == [1, 2, 300]
    assert frame["c"].tolist() == ["a", "b", "z"]
    assert str(am.read_flac(path, version=2)["i"].dtype) == "int8"
    renamed = am.open(path)
    renamed.alter("rename column i TO j")
    renamed.close()
    assert str(am.read_flac(path, where="j < 3")["j"].dtype) == "int8"


def test_the_accessor(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    frame = pd.DataFrame({"v": [1.5, 2.5]}, index=pd.Index([10, 20], name="key"))
    frame.audiomem.to_flac(path, index=True, primary_key="key")
    assert_frame_equal(am.read_flac(path), frame)
    more = pd.DataFrame({"key": [30], "v": [3.5]})
    assert more.audiomem.append_to(path, message="more") == 3
    with am.open(path) as table:
        assert table.versions[-1].message == "more"
        assert pd.DataFrame({"key": [40]}).audiomem.append_to(table) == 4
    with pytest.raises(AudioMemError, match="exists already"):
        frame.audiomem.to_flac(path)


def test_the_accessor_comes_with_the_module() -> None:
    code = (
        "import sys, pandas as pd, audiomem_sql; assert not hasattr(pd.DataFrame, 'audiomem');"
        "import audiomem_sql.pandas; assert hasattr(pd.DataFrame, 'audiomem')"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# --- SQL ----------------------------------------------------------------------------------------------------


def test_read_sql(tmp_path: Path) -> None:
    path = tmp_path / "notes.flac"
    columns = [
        "id INTEGER PRIMARY KEY",
        "seen TIMESTAMP",
        "ok BOOLEAN",
        "r REAL",
        "t TEXT",
        "v FLOAT[2]",
        "j JSON",
    ]
    with Table.create(path, columns) as table:
        table.append(
            [
                {
                    "seen": "2024-03-01 10:00:00.000001",
                    "ok": True,
                    "r": 0.5,
                    "t": "a",
                    "v": [1, 2],
                    "j": "{}",
                },
                {},
            ]
        )
    frame = am.read_sql("SELECT * FROM notes ORDER BY id", path)
    expected = ["int64", "datetime64[us]", "boolean", "float64", str(pd.Series(["a", None]).dtype), "object"]
    assert [str(dtype) for dtype in frame.dtypes][:6] == expected
    assert frame["seen"][0] == pd.Timestamp("2024-03-01 10:00:00.000001")
    assert frame["v"][0].tolist() == [1, 2]
    with am.connect(path) as connection:
        some = am.read_sql("SELECT id, count(*) AS n FROM notes WHERE id > :low", connection, {"low": 1})
        assert some.to_dict("list") == {"id": [2], "n": [1]}
        none = am.read_sql("SELECT id, seen, ok FROM notes WHERE id > ?", connection, (5,))
        assert [str(dtype) for dtype in none.dtypes] == ["int64", "datetime64[us]", "bool"]
        assert len(none) == 0
        twice = am.read_sql("SELECT id, id FROM notes LIMIT 1", connection, dtype_backend="pyarrow")
        assert list(twice.columns) == ["id", "id"]
        assert str(twice.dtypes.iloc[0]) == "int64[pyarrow]"
        mixed = am.read_sql("SELECT 1 AS m UNION ALL SELECT 'a' ORDER BY 1", connection)
        assert mixed["m"].tolist() == [1, "a"]
        assert am.read_sql("UPDATE notes SET r = 1 WHERE id = 1", connection).empty
        with pytest.raises(QueryError, match="several"):
            am.read_sql("SELECT 1; SELECT 2", connection)
        with pytest.raises(apsw.SQLError):
            am.read_sql("SELECT missing FROM notes", connection)


def test_read_sql_of_a_table_of_sqlite(tmp_path: Path) -> None:
    """SQLite's own tables may declare what they like, and hold something else."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t(a TIMESTAMP, b BOOLEAN, c NONSENSE, d VARCHAR(3))")
    connection.execute("INSERT INTO t VALUES ('noon', 7, 1, 'x'), ('2020-01-01', 1, 2, NULL)")
    frame = am.read_sql("SELECT * FROM t", connection)
    assert frame["a"].tolist() == ["noon", "2020-01-01"]
    assert frame["b"].tolist() == [7, 1]
    assert frame["c"].tolist() == [1, 2]
    connection.close()
