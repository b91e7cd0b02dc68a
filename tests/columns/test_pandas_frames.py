"""Data frames of pandas come back whole: with their index, their attrs, and the names of both."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import audiomem_sql as am
import audiomem_sql.pandas
from audiomem_sql.columns.own_metadata import MAX_METADATA, PANDAS
from audiomem_sql.columns.pandas_frames import index_names, restore
from audiomem_sql.errors import DataTypeError, LimitError, SchemaError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAMES = st.none() | TEXTS.filter(lambda name: bool(name) and "\0" not in name).map(lambda name: f"i {name}")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def texts(count: int) -> st.SearchStrategy[list[str]]:
    return st.lists(TEXTS, min_size=count, max_size=count)


def whole(count: int, low: int = -(1 << 31), high: int = (1 << 31) - 1) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=count, max_size=count)


def levels(count: int) -> st.SearchStrategy[pd.Index[Any]]:
    """An index of one level, without a name."""
    days = whole(count, -20_000, 20_000).map(lambda days: pd.DatetimeIndex(np.array(days, "M8[D]")))
    found = [
        whole(count).map(lambda values: pd.Index(values, dtype="int64")),
        *(whole(count, 0, 100).map(lambda v, d=d: pd.Index(v, dtype=d)) for d in ("int8", "uint16", "Int32")),
        whole(count).map(lambda values: pd.Index([value / 8 for value in values], dtype="float64")),
        whole(count, 0, 1).map(lambda values: pd.Index([bool(value) for value in values], dtype="bool")),
        texts(count).map(lambda values: pd.Index(values, dtype="str")),
        texts(count).map(lambda values: pd.Index(values, dtype=object)),
        texts(count).map(lambda values: pd.Index(values, dtype="string[pyarrow]")),
        days,
        days.map(lambda index: index.as_unit("us").tz_localize("UTC").tz_convert("Europe/Lisbon")),
        st.sampled_from(["D", "h", "MS", "W-SUN"]).map(
            lambda freq: pd.date_range("2020-01-05 10:00", periods=count, freq=freq)
        ),
        whole(count, 0, 2).map(
            lambda places: pd.CategoricalIndex(
                [["z", "y", "x"][p] for p in places], ["z", "x", "y"], ordered=True
            )
        ),
    ]
    return st.one_of(found)


def indexes(count: int) -> st.SearchStrategy[pd.Index[Any]]:
    ranges = st.tuples(st.integers(-5, 5), st.sampled_from([-2, -1, 1, 3])).map(
        lambda drawn: pd.RangeIndex(drawn[0], drawn[0] + count * drawn[1], drawn[1])
    )
    one = st.tuples(ranges | levels(count), NAMES).map(lambda drawn: drawn[0].rename(drawn[1]))
    several = st.lists(
        st.tuples(levels(count), NAMES), min_size=2, max_size=3, unique_by=lambda pair: pair[1]
    )
    return one | several.map(
        lambda drawn: pd.MultiIndex.from_arrays(
            [level for level, _ in drawn], names=[name for _, name in drawn]
        )
    )


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(0, 6))
    found = {
        "a": pd.Series(draw(whole(count)), dtype="int32"),
        "b": pd.Series(draw(texts(count)), dtype=draw(st.sampled_from(["str", "object", "string"]))),
        "c": pd.Series(draw(whole(count, 0, 9)), dtype=draw(st.sampled_from(["Int16", "float32", "object"]))),
    }
    chosen = draw(st.permutations("abc"))[: draw(st.integers(1, 3))]
    frame = pd.DataFrame({name: found[name] for name in chosen})
    frame.index = draw(indexes(count))
    frame.columns.name = draw(NAMES)
    frame.attrs = draw(st.dictionaries(TEXTS, JSON, max_size=3))
    return frame


@settings(deadline=None, max_examples=int(os.environ.get("AUDIOMEM_FRAMES", "50")))
@given(frame=frames(), vacuum=st.booleans())
def test_every_frame_comes_back_with_its_index(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, vacuum: bool
) -> None:
    path = tmp_path_factory.mktemp("frame") / "t.flac"
    with am.write_flac(frame, path) as table:
        if vacuum:
            table.vacuum()
    back = am.read_flac(path)
    check_freq = frame.index.nlevels == 1  # levels of several have none once they are set apart
    assert_frame_equal(back, frame, check_freq=check_freq)
    assert back.attrs == frame.attrs
    assert type(back.index) is type(frame.index)
    half = list(frame.columns)[::2]
    assert_frame_equal(am.read_flac(path, half), frame[half], check_freq=check_freq)
    with am.open(path) as table:
        arrow = table.to_arrow().to_pandas()  # as Arrow restores it, which has no frequencies
    assert list(arrow.index.names) == list(frame.index.names)
    assert arrow.index.tolist() == frame.index.tolist()
    assert arrow.attrs == frame.attrs


def test_an_index_is_columns_in_sql(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    index = pd.MultiIndex.from_tuples([(2, "x"), (1, "y")], names=[None, "name"])
    frame = pd.DataFrame({"v": [0.5, 1.5]}, index=index)
    am.write_flac(frame, path).close()
    with am.connect(path) as connection:
        found = connection.execute("SELECT * FROM t ORDER BY __index_level_0__").fetchall()
        assert found == [(1.5, 1, "y"), (0.5, 2, "x")]
        assert [row[1:3] for row in connection.execute("PRAGMA table_info(t)")] == [
            ("v", "REAL"),
            ("__index_level_0__", "INTEGER"),
            ("name", "TEXT"),
        ]
        connection.execute("INSERT INTO t VALUES (2.5, 3, 'z')")
        connection.execute("DELETE FROM t WHERE name = 'x'")
    assert am.read_flac(path).to_dict() == {"v": {(1, "y"): 1.5, (3, "z"): 2.5}}
    with am.open(path) as table:
        table.alter("rename column name TO kind")
        assert list(table.to_pandas().index.names) == [None, "kind"]
        table.alter("drop column __index_level_0__")
        assert table.to_pandas().index.tolist() == ["y", "z"]


def test_a_range_is_noted_and_holds_for_as_many_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    frame = pd.DataFrame({"v": [1, 2, 3]}, index=pd.RangeIndex(10, 40, 10, name="n"))
    am.write_flac(frame, path).close()
    with am.open(path) as table:
        assert table.schema.names == ("v",)
        assert_frame_equal(table.to_pandas(), frame, check_index_type="exact")
        assert table.to_pandas(where="v > 1").index.tolist() == [0, 1]
        table.append(frame)
        assert table.to_pandas().index.tolist() == list(range(6))
    kept = tmp_path / "kept.flac"
    am.write_flac(frame, kept, index=True).close()
    assert am.read_flac(kept, where="v > 1").index.tolist() == [20, 30]
    left = tmp_path / "left.flac"
    am.write_flac(frame.set_index("v"), tmp_path / "none.flac", index=True).close()
    am.write_flac(frame, left, index=False).close()
    assert am.read_flac(left).index.equals(pd.RangeIndex(3))


def test_what_is_appended_has_the_index_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    frame = pd.DataFrame({"v": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
    with am.write_flac(frame, path, primary_key="key") as table:
        table.append(pd.DataFrame({"v": [3]}, index=pd.Index(["c"], name="KEY")))
        table.append(pd.DataFrame({"v": [4], "key": ["d"]}, index=[77]))
        with pytest.raises(SchemaError, match=r"no column other, which is a level of the index.*drop=True"):
            table.append(pd.DataFrame({"v": [5]}, index=pd.Index([1], name="other")))
        am.write_flac(
            pd.DataFrame({"v": [6], "key": ["f"]}, index=pd.Index([1], name="other")),
            path,
            if_exists="append",
            index=False,
        ).close()
        table.refresh()
        assert table.to_pandas()["v"].to_dict() == {"a": 1, "b": 2, "c": 3, "d": 4, "f": 6}


REFUSED: dict[str, tuple[pd.DataFrame, str]] = {
    "two columns": (pd.DataFrame([[1, 2]], columns=["x", "x"]), "two columns x"),
    "capitals": (pd.DataFrame({"x": [1], "X": [2]}), "x and X"),
    "numbers": (pd.DataFrame([[1]]), "the name of column 0 is 0"),
    "missing": (pd.DataFrame({"x": [1], None: [2]}), "the name of column 1 is nan"),
    "dates": (pd.DataFrame({pd.Timestamp("2020-01-01"): [1]}), "the name of column 0 is Timestamp"),
    "levels": (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "2 levels.*'a', 'b'"),
    "index": (pd.DataFrame({"x": [1]}, index=pd.Index([1], name=7)), "index level 0 is 7"),
    "index like a column": (
        pd.DataFrame({"__INDEX_LEVEL_0__": [1]}, index=[1]),
        "__INDEX_LEVEL_0__ and __index_level_0__",
    ),
    "periods": (
        pd.DataFrame({"x": [1]}, index=pd.period_range("2020", periods=1, freq="D", name="culprit")),
        "culprit",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_names_that_are_none_are_refused(kind: str, tmp_path: Path) -> None:
    frame, message = REFUSED[kind]
    with pytest.raises(SchemaError, match=message):
        am.write_flac(frame, tmp_path / "t.flac")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "attrs",
    [{"a": (1, 2)}, {1: "a"}, {"a": {1: 2}}, {"a": object()}, {"a": float("nan")}, {"a": np.int64(1)}],
)
def test_attrs_that_would_change_are_refused(attrs: dict[Any, Any], tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1]})
    frame.attrs = attrs
    with pytest.raises(DataTypeError, match=r"attrs\[.* would not come back as it is"):
        am.write_flac(frame, tmp_path / "t.flac")
    frame.attrs = {"large": "x" * MAX_METADATA}
    with pytest.raises(LimitError, match=r"the table: the metadata are 1,049,.*'pandas'"):
        am.write_flac(frame, tmp_path / "t.flac")
    assert not list(tmp_path.iterdir())


def test_arrow_tables_and_parquet_files_bring_their_index(tmp_path: Path) -> None:
    frame = pd.DataFrame({"v": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
    frame.attrs = {"unit": "m"}
    am.write_flac(pa.Table.from_pandas(frame), tmp_path / "t.flac").close()
    back = am.read_flac(tmp_path / "t.flac")
    check_freq = frame.index.nlevels == 1  # levels of several have none once they are set apart
    assert_frame_equal(back, frame, check_freq=check_freq)
    assert back.attrs == {"unit": "m"}


TOLD = {"index_columns": ["i"], "columns": [{"name": "i", "field_name": "i"}], "column_indexes": []}


@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text() | st.floats(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [*TOLD, "name", "field_name", "kind", "start", "stop", "step", "attributes", "numpy_type"]
                ),
                inner,
            )
            | st.builds(lambda some: TOLD | (some if isinstance(some, dict) else {}), inner)
        ),
    ).map(lambda told: json.dumps(told).encode())
)
@example(b'{"index_columns": ["i"], "columns": [], "column_indexes": {}}')
@example(b'{"index_columns": {"i": 1}, "columns": []}')
def test_no_metadata_is_an_error(told: bytes) -> None:
    frame = pd.DataFrame({"i": [1, 2], "v": [3, 4]})
    restored = restore(frame, {PANDAS: told})
    assert restored["v"].tolist() == [3, 4]
    assert isinstance(index_names({PANDAS: told}), list)
