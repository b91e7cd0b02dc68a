"""Each error of a table names its file, and what has the wrong type is an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError, DataTypeError, OptionError, QueryError, SchemaError
from audiomem_sql.table.table import Table

COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "s TEXT NOT NULL",
    "at TIMESTAMP",
    "b TEXT SEMANTIC INDEXED",
    "v FLOAT[2]",
]
CASES: dict[str, tuple[type[AudioMemError], Callable[[Any], Any]]] = {
    "value": (DataTypeError, lambda t: t.append([{"s": "a", "at": "soon"}])),
    "arrow": (DataTypeError, lambda t: t.append(pa.table({"s": [1, 2], "at": ["2024-01-01", "soon"]}))),
    "null": (am.errors.ConstraintError, lambda t: t.append([{"s": None}])),
    "column": (SchemaError, lambda t: t.append([{"zz": 1}])),
    "no rows": (DataTypeError, lambda t: t.append("rows")),
    "replace": (QueryError, lambda t: t.append([{"s": "a"}], replace="zz = 1")),
    "where": (QueryError, lambda t: t.to_arrow(where="zz = 1")),
    "where is text": (QueryError, lambda t: t.to_arrow(where=5)),
    "parameters": (QueryError, lambda t: t.to_arrow(where="id = ?")),
    "a parameter": (QueryError, lambda t: t.to_arrow(where="id = ?", parameters=[object()])),
    "time": (DataTypeError, lambda t: t.to_arrow(where="at > 'soon'")),
    "row": (QueryError, lambda t: list(t.scan(where="json_extract(s, '$') > 1"))),
    "columns": (SchemaError, lambda t: t.to_arrow(["idd"])),
    "columns is a list": (SchemaError, lambda t: t.to_arrow("id")),
    "columns are names": (SchemaError, lambda t: t.to_pandas([1])),
    "query": (DataTypeError, lambda t: t.search(5)),
    "vector": (DataTypeError, lambda t: t.search([1.0, 2.0, 3.0], column="v")),
    "searched": (SchemaError, lambda t: t.search("a", column="zz")),
    "k": (QueryError, lambda t: t.search("a", k="3")),
    "half a row": (QueryError, lambda t: t.top("id", k=1.5)),
    "order": (QueryError, lambda t: t.top("idd")),
    "as_of": (DataTypeError, lambda t: t.checkout(as_of="soon")),
    "half a version": (QueryError, lambda t: t.checkout(1.5)),
    "bytes": (QueryError, lambda t: t.restore(b"1")),
    "no version": (QueryError, lambda t: t.restore(None)),
    "half a restore": (QueryError, lambda t: t.restore(1.0)),
    "retain": (OptionError, lambda t: t.vacuum(retain="some")),
}


@pytest.mark.parametrize("name", CASES)
def test_methods(tmp_path: Path, name: str) -> None:
    kind, call = CASES[name]
    with Table.create(tmp_path / "t.flac", COLUMNS, {"model": "hashing"}) as table:
        table.append([{"s": "a", "at": "2024-01-01", "b": "words", "v": [1, 2]}])
        with pytest.raises(kind) as caught:
            call(table)
        assert caught.value.file == str(tmp_path / "t.flac")
        assert str(caught.value).startswith(f"{tmp_path}/t.flac: ")
        assert table.version == 2
        assert len(table) == 1


@pytest.mark.parametrize(
    "columns", [[], ["a FOO"], ["a TEXT", "A TEXT"], ["a INTEGER CHECK (b > 1)"], ["audiomem_k TEXT"]]
)
def test_creation(tmp_path: Path, columns: list[str]) -> None:
    with pytest.raises(SchemaError) as caught:
        Table.create(tmp_path / "t.flac", columns)
    assert caught.value.file == str(tmp_path / "t.flac")


def test_write_flac(tmp_path: Path) -> None:
    for data, options in (
        ([{"a": 1}, {"a": "x"}], {}),
        ([{"a": 1}], {"primary_key": "b"}),
        ([{"a": 1}], {"semantic": "a"}),
        ([], {}),
        ([{"a": 1}], {"profil": "auto"}),
    ):
        with pytest.raises(AudioMemError) as caught:
            am.write_flac(data, tmp_path / "t.flac", **options)  # type: ignore[arg-type]
        assert caught.value.file == str(tmp_path / "t.flac")
    assert not list(tmp_path.iterdir())


def test_options_of_write_flac_are_known(tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"t\.flac: there is no option primary_kee.*Did you mean primary_key"
    ):
        am.write_flac([{"a": 1}], tmp_path / "t.flac", primary_kee="a")
    with pytest.raises(OptionError, match="Did you mean if_exists"):
        am.write_flac([{"a": 1}], tmp_path / "t.flac", if_exist="append")


def test_retain_may_be_text(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["a TEXT"]) as table:
        table.append([{"a": "x"}])
        assert table.vacuum(retain="1") == 2
