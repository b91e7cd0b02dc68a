"""Files of rows: CSV, JSON Lines and Parquet, and the choice of columns."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.errors import (
    AudioMemError,
    DamagedFileError,
    DataTypeError,
    LimitError,
    OptionError,
    SchemaError,
    StorageError,
)
from audiomem_sql.ingest import delimited, json_lines
from audiomem_sql.ingest.record_columns import default_columns
from audiomem_sql.ingest.records import read_records
from audiomem_sql.ingest.sources import KINDS, Source, suffix_of

Make = Callable[[str, bytes | str], Source]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def maker(name: str, content: bytes | str) -> Source:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Source(path, name, path.stat().st_size, KINDS[suffix_of(path)])

    return maker


@pytest.fixture
def make_parquet(tmp_path: Path) -> Callable[[pa.Table], Source]:
    def maker(table: pa.Table) -> Source:
        pq.write_table(table, tmp_path / "a.parquet")
        return Source(tmp_path / "a.parquet", "a.parquet", 1, "parquet")

    return maker


def rows(source: Source, **options: str) -> list[dict[str, Any]]:
    return [row for row, _ in read_records(source, **options)]


# --- columns


@pytest.mark.parametrize(
    ("names", "body", "title", "created_at", "importance"),
    [
        (["id", "body", "text", "title"], "body", "title", None, None),
        (["Content", " Subject ", "DATE", "Importance"], "Content", " Subject ", "DATE", "importance"),
        (["abstract", "name", "published"], "abstract", "name", "published", None),
        (["city", "people"], None, None, None, None),
        ([], None, None, None, None),
    ],
)
def test_default_columns(
    names: list[str], body: str | None, title: str | None, created_at: str | None, importance: str | None
) -> None:
    chosen = default_columns(names)
    expected = {"body": body, "title": title, "created_at": created_at, "importance": importance}
    assert {role: name and name.casefold() for role, name in chosen.items()} == {
        role: name and name.casefold() for role, name in expected.items()
    }


def test_given_columns_come_first_and_serve_once() -> None:
    chosen = default_columns(["title", "name", "text"], body_column="title")
    assert (chosen["body"], chosen["title"]) == ("title", "name")
    chosen = default_columns(["title", "text", "body"], title_column="body")
    assert (chosen["body"], chosen["title"]) == ("text", "body")
    with pytest.raises(OptionError, match="no column 'x'"):
        default_columns(["a"], body_column="x")
    with pytest.raises(OptionError, match="none"):
        default_columns([], title_column="x")


# --- CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_dialects(make: Make, delimiter: str, ending: str, mark: str) -> None:
    text = ending.join(["id@text@x", '1@"two, lines;\nand | ""quotes"""@', "", "2@plain@é", ""])
    source = make("a.csv", mark + text.replace("@", delimiter))
    assert rows(source) == [
        {"id": "1", "text": 'two, lines;\nand | "quotes"', "x": ""},
        {"id": "2", "text": "plain", "x": "é"},
    ]


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=3, max_size=3))
)
def test_what_the_csv_module_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "law.csv"
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *table])
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    assert [list(row.values()) for row in rows(Source(path, "law.csv", 1, "csv"))] == table


def test_csv_variants(make: Make) -> None:
    assert rows(make("a.csv", "")) == []
    assert rows(make("a.csv", "\n\n")) == []
    assert rows(make("a.csv", "a,b\n")) == []
    assert rows(make("a.csv", "text\nx\ny")) == [{"text": "x"}, {"text": "y"}]
    assert rows(make("a.tsv", "a,b\tc\n1,2\t3")) == [{"a,b": "1,2", "c": "3"}]
    assert rows(make("a.csv", ",b\n0,x")) == [{"column1": "0", "b": "x"}]
    assert rows(make("a.csv", "a,b\n1\n2,3,,\n")) == [{"a": "1", "b": None}, {"a": "2", "b": "3"}]
    assert rows(make("a.csv", "a;b\nä;ö".encode("cp1252"))) == [{"a": "ä", "b": "ö"}]
    assert rows(make("a.csv", "a;b\nä;ö".encode("utf-16"))) == [{"a": "ä", "b": "ö"}]
    assert rows(make("a.csv.gz", gzip.compress(b"a,b\n1,2"))) == [{"a": "1", "b": "2"}]


def test_a_sample_that_ends_in_a_row_finds_the_delimiter(make: Make) -> None:
    source = make("a.csv", "id;text\n" + "".join(f'{n};"a, b, {n}"\n' for n in range(20_000)))
    assert sum(int(row["id"]) for row in rows(source)) == sum(range(20_000))


@pytest.mark.parametrize(
    ("text", "error", "place"),
    [
        ("a,b\n1,2\n\n1,2,3\n", DataTypeError, "line 4"),
        ('a,b\n"x\ny",2\n"x"y,2\n', DataTypeError, "line 4"),
        ('a,b\n1,2\n1,"never closed\n1,2\n', DataTypeError, "line 3"),
        ("a,b,a\n1,2,3\n", SchemaError, "line 1"),
        ("1,2.5\n3,4\n", SchemaError, "line 1"),
    ],
)
def test_malformed_csv_is_refused_with_its_line(
    make: Make, text: str, error: type[AudioMemError], place: str
) -> None:
    with pytest.raises(error) as caught:
        rows(make("a.csv", text))
    assert (caught.value.file, caught.value.place) == ("a.csv", place)


def test_long_values(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    before = csv.field_size_limit()
    long = "word " * 100_000  # beyond what the csv module allows on its own
    assert rows(make("a.csv", f"id,text\n1,{long}\n"))[0]["text"] == long
    assert csv.field_size_limit() == before
    monkeypatch.setattr(delimited, "VALUE_LIMIT", 1000)
    with pytest.raises(LimitError, match="line 2"):
        rows(make("a.csv", f"id,text\n1,{long}\n"))
    monkeypatch.setattr(json_lines, "VALUE_LIMIT", 1000)
    with pytest.raises(LimitError, match="line 2"):
        rows(make("a.jsonl", '{"a": 1}\n{"a": "' + long + '"}\n'))


# --- JSON Lines


def test_json_lines(make: Make) -> None:
    text = '\ufeff{"text": "a\\nb", "n": 1, "list": [1]}\r\n\r\n  \n{"text": "é\u2028", "x": null}'
    assert rows(make("a.jsonl", text)) == [
        {"text": "a\nb", "n": 1, "list": [1]},
        {"text": "é\u2028", "x": None},
    ]
    assert rows(make("a.ndjson.gz", gzip.compress(b'{"a": true}'))) == [{"a": True}]
    assert rows(make("a.jsonl", "")) == []


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ('{"a": 1', "not JSON"),
        ('[{"a": 1}]', "an array where an object"),
        ("12", "a number where"),
        ("null", "null where"),
        ('{"a": 1} {"a": 2}', "character 10"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "cannot be read"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(make: Make, bad: str, what: str) -> None:
    source = make("a.jsonl", f'{{"a": 0}}\n\n{bad}\n{{"a": 2}}\n')
    stream = read_records(source)
    assert next(stream) == ({"a": 0}, "line 1")
    with pytest.raises(DataTypeError, match=what) as caught:
        next(stream)
    assert (caught.value.file, caught.value.place) == ("a.jsonl", "line 3")


# --- Parquet


def test_parquet(make_parquet: Callable[[pa.Table], Source]) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", None, "c"]).dictionary_encode(),
            "when": pa.array([1_700_000_000_123_456_789, None, 0], pa.timestamp("ns")),
            "vector": pa.array([[1.0, 2.0], None, []], pa.list_(pa.float32())),
            "raw": pa.array([b"\xff", None, b""]),
        }
    )
    source = make_parquet(table)
    assert rows(source)[0] == {
        "text": "a",
        "when": datetime(2023, 11, 14, 22, 13, 20, 123456),
        "vector": [1.0, 2.0],
        "raw": b"\xff",
    }
    assert [place for _, place in read_records(source, plain_only=True)] == ["row 1", "row 2", "row 3"]
    assert list(next(read_records(source, plain_only=True))[0]) == ["text", "when"]
    assert list(next(read_records(source, "raw", plain_only=True))[0]) == ["text", "when", "raw"]


def test_parquet_of_many_batches(make_parquet: Callable[[pa.Table], Source]) -> None:
    assert [row["n"] for row in rows(make_parquet(pa.table({"n": range(5000)})))] == list(range(5000))
    assert rows(make_parquet(pa.table({"n": pa.array([], pa.int32())}))) == []


def test_parquet_that_cannot_be_read(
    make: Make, make_parquet: Callable[[pa.Table], Source], tmp_path: Path
) -> None:
    with pytest.raises(DamagedFileError, match=r"b\.parquet"):
        rows(make("b.parquet", "not parquet at all"))
    with pytest.raises(DamagedFileError, match=r"b\.parquet"):
        rows(make("b.parquet", ""))
    source = make_parquet(pa.table({"text": [f"value {n}" * 10 for n in range(3000)]}))
    data = bytearray(source.path.read_bytes())
    data[40:400] = bytes(360)
    source.path.write_bytes(data)
    with pytest.raises(AudioMemError, match=r"a\.parquet"):
        rows(source)
    double = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(SchemaError, match="called 'a'"):
        rows(make_parquet(double))
    far = pa.table({"ok": [1, 2], "when": pa.array([0, 2**62], pa.timestamp("us"))})
    with pytest.raises(DataTypeError, match="row 2, column 'when'"):
        rows(make_parquet(far))


# --- all of them


def test_given_columns_must_exist(make: Make, make_parquet: Callable[[pa.Table], Source]) -> None:
    sources = [
        make("a.csv", "a,b\n1,2\n"),
        make("a.jsonl", '{"a": "1", "b": "2"}\n{"a": "1"}\n'),
        make_parquet(pa.table({"a": ["1"], "b": ["2"]})),
    ]
    for source in sources:
        assert rows(source, body_column="b", title_column="a")[0] == {"a": "1", "b": "2"}
        with pytest.raises(
            OptionError, match=rf"{source.name}: there is no column 'x'\. The columns are: 'a', 'b'"
        ):
            rows(source, body_column="x")


def test_files_that_are_not_there_or_not_rows(tmp_path: Path) -> None:
    for kind in ("csv", "jsonl", "parquet"):
        with pytest.raises(StorageError, match="gone"):
            rows(Source(tmp_path / "gone", "gone", 0, kind))
    with pytest.raises(OptionError, match="read_documents"):
        rows(Source(tmp_path / "a.md", "a.md", 0, "markdown"))


@given(st.binary(max_size=200), st.sampled_from(["csv", "jsonl", "parquet"]))
def test_only_our_errors_escape(tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: Any) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{kind}"
    path.write_bytes(data)
    with contextlib.suppress(AudioMemError):
        rows(Source(path, "any", len(data), kind))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
def test_any_json_object_is_read(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    line = json.dumps({"value": value})
    path.write_text(line + "\n", encoding="utf-8")
    (row,) = rows(Source(path, "any", 1, "jsonl"))
    assert json.dumps(row) == line
