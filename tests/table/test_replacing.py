"""All rows of a table replaced by others, with other columns: each version keeps what it had."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import audiomem_sql as am
import audiomem_sql.pandas
from audiomem_sql.cli.main import run
from audiomem_sql.errors import (
    AudioMemError,
    ConstraintError,
    OptionError,
    SchemaError,
    StorageError,
)
from audiomem_sql.frames.read_write import IF_EXISTS
from audiomem_sql.upkeep.verify import problems

_NUMBERS = count()
VALUES: dict[str, Callable[[int], Any]] = {
    "int64": lambda number: number,
    "float64": lambda number: number / 8,
    "str": lambda number: f"text {number}",
    "bool": lambda number: number % 2 == 0,
    "category": lambda number: "xyz"[number % 3],
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    numbers = draw(st.lists(st.integers(0, 50), max_size=5))
    columns = {}
    for name in names:
        dtype = draw(st.sampled_from([*VALUES]))
        columns[name] = pd.Series([VALUES[dtype](number) for number in numbers], dtype=dtype)
    frame = pd.DataFrame(columns)
    if draw(st.booleans()):
        frame.index = pd.Index([number * 7 for number in numbers], name="key", dtype="int64")
    frame.attrs = draw(st.dictionaries(st.sampled_from("xy"), st.integers(0, 9)))
    return frame


STEPS = st.lists(
    st.tuples(st.just("replace"), frames())
    | st.sampled_from([("append", None), ("vacuum", None), ("merge", None)]),
    min_size=2,
    max_size=6,
)


@settings(deadline=None, max_examples=int(os.environ.get("AUDIOMEM_FRAMES", "20")))
@given(first=frames(), steps=STEPS)
def test_every_version_keeps_its_rows(
    tmp_path_factory: pytest.TempPathFactory,
    first: pd.DataFrame,
    steps: list[tuple[str, pd.DataFrame | None]],
) -> None:
    path = tmp_path_factory.mktemp("replaced") / "t.flac"
    am.write_flac(first, path).close()
    with am.open(path) as table:
        versions = {table.version: first}
    newest = first
    for step, frame in steps:
        if step == "replace":
            assert frame is not None
            am.write_flac(frame, path, if_exists="replace").close()
            newest = frame
        with am.open(path) as table:
            if step == "append" and len(newest):
                table.append(newest)
                newest = pd.concat([newest, newest], ignore_index=newest.index.name is None)
                newest.attrs = versions[table.version - 1].attrs
            elif step == "vacuum":
                table.vacuum()
            elif step == "merge":
                table.merge()
            versions[table.version] = newest
            if len(newest):
                assert_frame_equal(table.to_pandas(), newest)
            assert table.to_pandas().columns.tolist() == newest.columns.tolist()
            assert table.to_pandas().attrs == newest.attrs
    with am.open(path) as table:
        assert list(problems(table)) == []
    for version, frame in versions.items():
        found = am.read_flac(path, version=version)
        assert found.index.names == frame.index.names
        assert found.astype(str).to_dict("list") == frame.astype(str).to_dict("list")


def test_other_columns_are_a_change_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with am.write_flac([{"a": 1, "b": "x"}], path) as table:
        with am.connect(path) as connection:
            assert connection.execute("SELECT * FROM t").fetchall() == [(1, "x")]
            assert table.overwrite([{"b": 2.5, "c": True}, {"b": None, "c": None}], message="anew") == 3
            with pytest.raises(AudioMemError, match="run the statement again"):
                connection.execute("SELECT * FROM t").fetchall()
            assert connection.execute("SELECT * FROM t").fetchall() == [(2.5, 1), (None, None)]
        assert [(step.version, step.text) for step in table.migrations] == [(3, "replace columns by b, c")]
        assert (table.versions[-1].inserted, table.versions[-1].deleted) == (2, 1)
        assert table.versions[-1].message == "anew"
        assert table.checkout(2).to_arrow().to_pylist() == [{"a": 1, "b": "x"}]
        duck = duckdb.connect()
        duck.register("rows", table.dataset())
        assert duck.execute("SELECT b, c FROM rows ORDER BY b NULLS LAST").fetchall() == [
            (2.5, True),
            (None, None),
        ]
        assert table.overwrite([{"b": 7.5, "c": False}]) == 4  # the same columns: nothing is told
        assert len(table.migrations) == 1
        assert table.restore(3) == 5
        assert table.to_arrow().to_pylist() == [{"b": 2.5, "c": True}, {"b": None, "c": None}]


def test_a_column_that_stays_keeps_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    columns = [
        "id INTEGER PRIMARY KEY",
        "name TEXT UNIQUE",
        "body TEXT SEMANTIC INDEXED",
        "n INTEGER NOT NULL DEFAULT 7 CHECK (n > 0)",
        "v FLOAT[2] INDEXED",
        "j JSON",
        "gone TEXT",
    ]
    with am.create(path, columns, model="hashing") as table:
        table.append(
            [{"id": 5, "name": "a", "body": "cats sleep", "n": 1, "v": [1, 0], "j": "{}", "gone": "x"}]
        )
        new = {"id": [6, 5], "name": ["a", "b"], "body": ["dogs bark", "cats purr"], "n": [1, 2]}
        table.overwrite(
            pd.DataFrame(new | {"v": [[1.0, 0.0], [0.0, 1.0]], "j": ["{}", "[]"], "more": [1, 2]})
        )
        assert table.schema.sql() == (
            "id INTEGER PRIMARY KEY, name TEXT UNIQUE, body TEXT SEMANTIC INDEXED, "
            "n INTEGER NOT NULL DEFAULT 7, v FLOAT[2] INDEXED(metric=cosine), j JSON, more INTEGER, CHECK (n > 0)"
        )
        assert table.search("dogs", 1)["id"].to_pylist() == [6]
        assert table.search("keyword:purr", 1)["id"].to_pylist() == [5]
        assert table.to_arrow(["id", "name"]).to_pylist() == [{"id": 5, "name": "b"}, {"id": 6, "name": "a"}]
        with pytest.raises(ConstraintError, match="n > 0"):
            table.overwrite([{"id": 1, "n": 0}])
        with pytest.raises(ConstraintError, match="UNIQUE constraint failed: name"):
            table.overwrite([{"id": 1, "name": "z", "n": 1}, {"id": 2, "name": "z", "n": 1}])
        with pytest.raises(
            SchemaError, match=r"column id: the rows are numbered by the INTEGER PRIMARY KEY id"
        ):
            table.overwrite([{"name": "z"}])
        assert table.version == 3
        table.overwrite([{"number": 9, "name": "q", "body": "whales"}], primary_key="number", semantic="name")
        assert (
            table.schema.sql() == "number INTEGER PRIMARY KEY, name TEXT UNIQUE SEMANTIC, body TEXT INDEXED"
        )
        assert table.get(9) == {"number": 9, "name": "q", "body": "whales"}
        assert table.checkout(2).search("cats", 1)["id"].to_pylist() == [5]
        table.vacuum()
        assert table.checkout(3).search("dogs", 1)["id"].to_pylist() == [6]
        assert table.search("q", 1)["number"].to_pylist() == [9]
    with am.open(path) as table:
        assert list(problems(table)) == []


def test_a_key_that_comes_later_is_no_rowid(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with am.write_flac([{"a": 1}], path) as table:
        table.overwrite([{"id": 70, "a": 1}, {"id": 60, "a": 2}], primary_key="id")
        assert table.schema.sql() == "id INT PRIMARY KEY, a INTEGER"
        with pytest.raises(ConstraintError, match="UNIQUE constraint failed: id"):
            table.append([{"id": 60}])
        table.vacuum()
        assert table.to_arrow()["id"].to_pylist() == [70, 60]
        assert table.checkout(2).to_arrow().to_pylist() == [{"a": 1}]


@pytest.mark.parametrize("word", ["overwrite", "REPLACE", "", None, "appendd", ["fail"]])
def test_other_words_are_refused_before_anything_is_written(word: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with pytest.raises(OptionError, match=r"if_exists=.* does not exist.*fail, append, replace"):
        am.write_flac([{"a": 1}], path, if_exists=word)
    with pytest.raises(OptionError, match="if_exists"):
        pd.DataFrame({"a": [1]}).audiomem.to_flac(path, if_exists=word)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given_as", ["rows", "pandas", "polars", "arrow", "relation"])
def test_if_exists(given_as: str, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    data: Any = {
        "rows": [{"a": 1}],
        "pandas": pd.DataFrame({"a": [1]}),
        "polars": pl.DataFrame({"a": [1]}),
        "arrow": pa.table({"a": [1]}),
        "relation": duckdb.sql("SELECT 1::BIGINT AS a"),
    }[given_as]
    for word in IF_EXISTS:  # of a file that is not there they are all the same
        am.write_flac(data, tmp_path / f"{word}.flac", if_exists=word).close()
        assert am.read_flac(tmp_path / f"{word}.flac")["a"].tolist() == [1]
    am.write_flac([{"a": 9}], path).close()
    with pytest.raises(StorageError, match='"append", or "replace"'):
        am.write_flac(data, path)
    am.write_flac(data, path, if_exists="append").close()
    assert am.read_flac(path)["a"].tolist() == [9, 1]
    am.write_flac(data, path, if_exists="replace").close()
    assert am.read_flac(path)["a"].tolist() == [1]
    assert am.read_flac(path, version=3)["a"].tolist() == [9, 1]


def test_what_a_version_of_the_rows_cannot_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    am.write_flac([{"a": 1}], path, protection="standard").close()
    am.write_flac([{"a": 2}], path, protection="standard", if_exists="replace").close()
    with pytest.raises(OptionError, match="protection cannot be changed by a new version"):
        am.write_flac([{"a": 3}], path, protection="archive", if_exists="replace")
    with pytest.raises(AudioMemError):
        am.write_flac([{"a": object()}], path, if_exists="replace")
    assert am.read_flac(path)["a"].tolist() == [2]


def test_logical_types_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    kept = pa.field("d", pa.decimal128(9, 2))
    first = pa.table(
        {"d": [Decimal("1.25")], "t": pa.array([1], pa.int64())}, pa.schema([kept, ("t", pa.int64())])
    )
    second = pa.table({"d": [None, Decimal("-7.50")], "t": pa.array([[1], None], pa.list_(pa.int64()))})
    second = second.cast(pa.schema([kept, ("t", pa.list_(pa.int64()))]))
    am.write_flac(first, path).close()
    with am.write_flac(second, path, if_exists="replace") as table:
        assert table.to_arrow().to_pylist() == second.to_pylist()
        assert table.schema.ids == (0, 2)
        table.vacuum()
        assert table.checkout(2).to_arrow().to_pylist() == first.to_pylist()
        assert table.to_arrow().schema.types == second.schema.types


def test_sources_of_replaced_rows_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("cats sleep")
    path = tmp_path / "t.flac"
    command = ["ingest", str(path), str(tmp_path / "note.txt")]
    assert run([*command, "--model", "hashing"]) == 0
    rows = am.read_flac(path)
    with am.open(path) as table:
        table.overwrite([dict.fromkeys(rows.columns)])
    assert run(command) == 0
    assert am.read_flac(path)["body"].dropna().tolist() == ["cats sleep"]


def test_of_shards_the_columns_stay(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    frame = pd.DataFrame({"id": range(20), "a": [str(number) for number in range(20)]})
    am.write_flac(frame, path, primary_key="id", shards=2).close()
    new = frame[["a", "id"]].iloc[:3].assign(a="new")
    new.attrs = {"unit": "m"}
    with am.write_flac(new, path, if_exists="replace") as table:
        back = table.to_pandas()
        assert back[["a", "id"]].equals(new)
        assert back.attrs == {"unit": "m"}
        assert len(table.checkout(2).to_pandas()) == 20
        with pytest.raises(SchemaError, match="the new rows have other columns than the table"):
            table.overwrite(frame.assign(b=1))


def test_of_a_store_it_is_one_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    url = f"memory://replaced/t{next(_NUMBERS)}.flac"
    am.write_flac(pd.DataFrame({"a": [1, 2]}), url).close()
    frame = pd.DataFrame({"b": ["x", "y", "z"]}, index=pd.Index([3, 2, 1], name="key"))
    with am.write_flac(frame, url, if_exists="replace") as table:
        assert table.version == 3
        assert_frame_equal(table.to_pandas(), frame)
        table.append(frame)
        assert_frame_equal(table.to_pandas(), pd.concat([frame, frame]))
    with am.open(url) as table:
        assert table.checkout(2).to_arrow().to_pylist() == [{"a": 1}, {"a": 2}]
        table.vacuum()
        assert_frame_equal(table.to_pandas(), pd.concat([frame, frame]))
        assert_frame_equal(table.checkout(3).to_pandas(), frame)
        assert table.checkout(2).to_arrow().to_pylist() == [{"a": 1}, {"a": 2}]
