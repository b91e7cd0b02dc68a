"""CSV and TSV: types without a digit lost, NULL and empty texts, names, bad lines."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from audiomem_sql.errors import DataTypeError, OptionError, SchemaError, StorageError
from audiomem_sql.importing import delimited
from audiomem_sql.importing.taken_types import takes
from audiomem_sql.importing.text_values import decimal_size, is_exact

from .conftest import Import, others, rows, types, write


def test_types_are_those_that_hold_every_value(imported: Import) -> None:
    write(
        "a.csv",
        "id,name,price,zip,day,at,ok,none,signed,mixed\n"
        '1,"a, b",1.5,00123,2024-01-02,2024-01-02T10:00:00,true,,-5,1\n'
        "2,NA,2,4,0001-01-01,2024-01-02 10:00:00.000001,FALSE,,7,x\n",
    )
    done = imported("a.csv")
    assert (done.rows, done.version, done.bad_lines) == (2, 2, 0)
    found = types()
    day = found.pop("day")
    assert day in ("TIMESTAMP", "DATE")
    assert found == {
        "id": "INTEGER",
        "name": "TEXT",
        "price": "REAL",
        "zip": "TEXT",
        "at": "TIMESTAMP",
        "ok": "BOOLEAN",
        "none": "TEXT",
        "signed": "INTEGER",
        "mixed": "TEXT",
    }
    first, second = rows()
    assert (first["name"], first["price"], first["zip"], first["ok"]) == ("a, b", 1.5, "00123", True)
    assert (second["name"], second["ok"], second["signed"]) == ("NA", False, 7)
    assert second["at"] == datetime(2024, 1, 2, 10, 0, 0, 1)


@pytest.mark.parametrize(
    "values",
    [
        ["12345678901234567890", "1"],
        ["0.12345678901234567890", "1.5"],
        ["1e400", "1"],
        ["1e-400", "1"],
        ["00.5", "1.5"],
        ["007", "8"],
        ["+1", "2"],
        ["1_000", "2"],
        ["9" * 50, "1"],
        ["2024-01-02", "12024-01-01"],
        ["2024-01-02", "0000-01-01"],
        ["2024-02-30", "2024-01-01"],
        ["2024-01-02 10:00:00", "2024-01-02 10:00:00.123456789"],
        ["10:00:00", "x"],
        ["01/02/2024", "03/04/2024"],
        ["2024-01-02", "infinity"],
        ["2024-01-02 10:00:00", "10000-01-02 10:00:00"],
        ["true", "t"],
    ],
)
def test_no_digit_is_lost(imported: Import, values: list[str]) -> None:
    write("a.csv", "x\n" + "".join(f"{value}\n" for value in values))
    imported("a.csv")
    (kind,) = types().values()
    shown = [row["x"] for row in rows()]
    assert kind == "TEXT" or kind.startswith("DECIMAL") or kind in ("HUGEINT", "TIMESTAMP_NS", "TIME")
    if kind == "TEXT":
        assert shown == values


def test_a_row_far_down_changes_the_type(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "SAMPLE_ROWS", 10)
    lines = [f"{i},{i}.5,2024-01-02,{i},true" for i in range(50_000)]
    write("a.csv", "a,b,c,d,e\n" + "\n".join([*lines, "x,0.12345678901234567890,now,1.5,no"]) + "\n")
    assert imported("a.csv").rows == 50_001
    found = types()
    assert (found["a"], found["c"], found["d"], found["e"]) == ("TEXT", "TEXT", "REAL", "TEXT")
    with_many = rows()
    assert with_many[0] | {"b": None} == {"a": "0", "b": None, "c": "2024-01-02", "d": 0.0, "e": "true"}
    assert str(with_many[-1]["b"]).startswith("0.12345678901234567890")


def test_what_a_double_is_written_as_stays_one(imported: Import) -> None:
    texts = ["0.1", "0.10000000000000001", "0.30000000000000004", "1.5000000000000000000", "1e5", "inf"]
    texts += ["5e-324", "-0.0", "1.7976931348623157e308"]
    write("a.csv", "x\n" + "\n".join(texts) + "\n")
    imported("a.csv")
    assert types() == {"x": "REAL"}
    assert [row["x"] for row in rows()] == [float(text) for text in texts]


def test_null_and_empty_text(imported: Import) -> None:
    write("a.csv", 'name,n\n"",""\n,\n"NA","1"\nnull,\n" ", 2 \n')
    imported("a.csv")
    assert [row["name"] for row in rows()] == ["", None, "NA", "null", " "]
    assert [row["n"] for row in rows()] == [None, None, 1, None, 2]


@pytest.mark.parametrize("header", ["a,b,A", "a,a,b", '"x y","x y",z'])
def test_names_that_are_the_same_are_refused(imported: Import, header: str) -> None:
    write("a.csv", f"{header}\n1,2,3\n")
    with pytest.raises(SchemaError, match="two columns are called"):
        imported("a.csv")
    assert not others()


def test_names_of_any_characters(imported: Import) -> None:
    names = ["", "select", 'a "b"', "ü;\n", "c0", "g0", "v1", "fault", "line", "d0", "rank", "version"]
    quoted = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    write("a.csv", f"{quoted}\n{','.join(map(str, range(len(names))))}\n")
    imported("a.csv", types={"line": "REAL"})
    assert rows() == [dict(zip(["column1", *names[1:]], range(len(names)), strict=True))]


def test_delimiters_encodings_and_compression(imported: Import) -> None:
    for number, (name, content) in enumerate(
        {
            "a.csv": b"name;price\nx;1,5\n",
            "b.tsv": b"name\tprice\nx\t1,5\n",
            "c.csv": b"\xef\xbb\xbfname|price\r\nx|1,5\r\n",
            "d.csv": 'name,price\nx,"1,5"\n'.encode("utf-16"),
            "e.csv.gz": gzip.compress(b"name;price\nx;1,5\n"),
            "f.csv.zst": zstandard.compress(b"name;price\nx;1,5\n"),
        }.items()
    ):
        write(name, content)
        imported(name, target=f"{number}.flac")
        assert rows(f"{number}.flac") == [{"name": "x", "price": "1,5"}], name


def test_types_that_the_user_says(imported: Import) -> None:
    write("a.csv", "id,zip,price,at,ok,raw\n1,007,0.12345678901234567890,2024-01-02T00:00:00+01:00,yes,5\n")
    imported(
        "a.csv",
        key="id",
        types={"ZIP": "INTEGER", "price": "REAL", "at": "TIMESTAMP", "ok": "BOOLEAN", "raw": "TEXT"},
    )
    (row,) = rows()
    assert row == {
        "id": 1,
        "zip": 7,
        "price": 0.12345678901234568,
        "at": datetime(2024, 1, 1, 23),
        "ok": True,
        "raw": "5",
    }
    for wrong in ({"nope": "TEXT"}, {"id": "NO SUCH"}):
        with pytest.raises(OptionError):
            imported("a.csv", target="b.flac", types=wrong)


BAD = 'a,b,c\n1,x,3\n2,y\n3,z,4,5\n4,"q"w,1\n5,ok,2\n6,"two\nlines",7\n'


def test_bad_lines_are_refused_by_line(imported: Import) -> None:
    write("a.csv", BAD)
    with pytest.raises(DataTypeError, match=r"^a\.csv: line 3: "):
        imported("a.csv")
    write("b.csv", b"a,b\n1,x\n2,caf\xe9\n")
    with pytest.raises(DataTypeError, match=r"^b\.csv: line 3: .*iconv"):
        imported("b.csv")
    assert not others()


def test_bad_lines_are_skipped_or_kept(imported: Import) -> None:
    write("a.csv", BAD)
    done = imported("a.csv", on_bad_line="skip", target="s.flac")
    assert (done.rows, done.bad_lines, done.bad_lines_file) == (3, 3, None)
    assert done.first_bad_line is not None
    assert done.first_bad_line.startswith("a.csv: line 3: ")
    done = imported("a.csv", on_bad_line="keep")
    assert (done.rows, done.bad_lines, done.bad_lines_file) == (3, 3, "kb.bad.csv")
    assert Path("kb.bad.csv").read_text() == 'a,b,c\n2,y\n3,z,4,5\n4,"q"w,1\n'
    assert rows() == rows("s.flac")
    with pytest.raises(StorageError, match="the file for bad lines exists"):
        imported("a.csv", on_bad_line="keep", target="t.flac", bad_lines="kb.bad.csv")
    with pytest.raises(OptionError, match="refuse, skip or keep"):
        imported("a.csv", on_bad_line="drop", target="t.flac")


def test_values_that_are_none_of_the_type_that_is_said(imported: Import) -> None:
    write("a.csv", 'n,t\n1,x\nsoon,"a ""b"""\n3,\n,""\n')
    with pytest.raises(DataTypeError, match=r"^a\.csv: row 2: 'soon' is no BIGINT for the column n"):
        imported("a.csv", types={"n": "INTEGER"})
    done = imported("a.csv", types={"n": "INTEGER"}, on_bad_line="keep", bad_lines="left.csv")
    assert (done.rows, done.bad_lines) == (3, 1)
    assert Path("left.csv").read_text() == 'n,t\nsoon,"a ""b"""\n'
    assert [row["n"] for row in rows()] == [1, 3, None]


def test_several_files_are_one_table(imported: Import) -> None:
    write("d/2024/a.csv", "id,x\n1,a\n")
    write("d/b.csv", "id;y\n2;b\n")
    write("d/.hidden.csv", "no")
    write("d/c.csv", "x,id\nc,3\n")
    expected = [
        {"id": 1, "x": "a", "y": None},
        {"id": 2, "x": None, "y": "b"},
        {"id": 3, "x": "c", "y": None},
    ]
    assert imported("d").files == 3
    assert sorted(rows(), key=lambda row: row["id"]) == expected
    assert imported("d/**/*.csv", target="g.flac", key="id").rows == 3
    assert rows("g.flac") == expected
    write("d/d.jsonl", "{}")
    with pytest.raises(OptionError, match="files of one kind"):
        imported("d", target="h.flac")
    for wrong in ("none/*.csv", "none.csv", "."):
        Path("empty").mkdir(exist_ok=True)
        with pytest.raises(StorageError):
            imported("empty" if wrong == "." else wrong, target="h.flac")


def test_files_without_rows(imported: Import) -> None:
    write("a.csv", "a,b\n")
    assert imported("a.csv").rows == 0
    assert types() == {"a": "TEXT", "b": "TEXT"}
    write("b.csv", "")
    with pytest.raises(SchemaError, match="no line"):
        imported("b.csv", target="b.flac")
    write("c.csv", "1,2\n3,4\n")
    imported("c.csv", target="c.flac", header=False)
    assert rows("c.flac") == [{"column1": 1, "column2": 2}, {"column1": 3, "column2": 4}]


def test_keys_in_any_order(imported: Import) -> None:
    write("a.csv", "id,x\n3,c\n1,a\n2,b\n")
    imported("a.csv", key="id")
    assert [row["x"] for row in rows()] == ["a", "b", "c"]
    imported("a.csv", key="x", target="t.flac")
    assert [row["id"] for row in rows("t.flac")] == [3, 1, 2]
    write("b.csv", "id,x\n3,c\n1,a\n3,b\n")
    for key in ("id", "x"):
        write("b.csv", "id,x\n3,c\n1,a\n3,c\n")
        with pytest.raises(Exception, match="UNIQUE"):
            imported("b.csv", key=key, target="u.flac")
    assert not others("u.flac")


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("0.1", True),
        ("0.1000000000000000056", True),
        ("0.1000000000000000055", False),
        ("nan", True),
        ("-Infinity", True),
        ("1e400", False),
        ("18446744073709551616", True),
        ("18446744073709551617", False),
        ("0.000", True),
        ("no", False),
    ],
)
def test_is_exact(text: str, exact: bool) -> None:
    assert is_exact(text, 0.0 if text == "no" else float(text)) is exact


def test_decimal_size() -> None:
    assert decimal_size("-12.345") == (2, 3)
    assert decimal_size("1e5") == (6, 0)
    assert decimal_size("0.001") == (0, 3)
    assert decimal_size("inf") is None


def test_what_no_column_takes_is_text_or_json(imported: Import) -> None:
    import pyarrow as pa

    assert takes(pa.int64())
    assert takes(pa.string())
    assert takes(pa.timestamp("us"))
    assert not takes(pa.map_(pa.string(), pa.int8())) or takes(pa.struct([("x", pa.int8())]))
