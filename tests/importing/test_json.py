"""JSON Lines and JSON: numbers as they are written, nested values as JSON, bad lines."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path

import pytest

from audiomem_sql.errors import DamagedFileError, DataTypeError, SchemaError
from audiomem_sql.importing import python_rows

from .conftest import Import, others, rows, types, write


def test_types_and_nested_values(imported: Import) -> None:
    write(
        "a.jsonl",
        '{"id": 1, "x": 1.5, "long": 0.12345678901234567890, "big": 123456789012345678901, "ok": true, '
        '"at": "2024-01-02T10:00:00", "tags": ["a", 0.12345678901234567890], "mixed": 1, "text": "007"}\n'
        '\n{"id": 2, "x": 2, "long": 1, "big": 1, "ok": null, "at": "2024-01-02 10:00:00.5", "tags": {}, '
        '"mixed": "1", "text": "x", "late": "é", "raw": {"$base64": true, "encoded": "AAE="}}\n',
    )
    assert imported("a.jsonl", key="id").rows == 2
    found = types()
    assert found.pop("long") != "REAL"
    assert found.pop("big") != "REAL"
    assert found == {
        "id": "INTEGER",
        "x": "REAL",
        "ok": "BOOLEAN",
        "at": "TIMESTAMP",
        "tags": "JSON",
        "mixed": "JSON",
        "text": "TEXT",
        "late": "TEXT",
        "raw": "BLOB",
    }
    first, second = rows()
    assert str(first["long"]) == "0.12345678901234567890"
    assert str(first["big"]) == "123456789012345678901"
    assert first["tags"] == '["a", 0.12345678901234567890]'
    assert (first["mixed"], second["mixed"]) == ("1", '"1"')
    assert (second["at"], second["raw"]) == (datetime(2024, 1, 2, 10, 0, 0, 500_000), b"\0\1")


def test_arrays_and_objects_behind_each_other(imported: Import) -> None:
    content = [{"a": i, "b": [i]} for i in range(5)]
    texts = (json.dumps(content, indent=1), json.dumps(content), "\n".join(map(json.dumps, content)))
    for number, text in enumerate(texts):
        write("a.json", text)
        imported("a.json", target=f"{number}.flac")
        assert rows(f"{number}.flac") == [{"a": i, "b": f"[{i}]"} for i in range(5)]
    for text in ("[{}] x", "[{]", '{"a": 1', "[{} {}]"):
        write("a.json", text)
        with pytest.raises(DataTypeError, match=r"^a\.json: line 1"):
            imported("a.json")
    assert not others()


BAD = b'{"a": 1}\n{"a": 2\n[3]\n{"a": 4, "a": 5}\n{"a": "caf\xe9"}\n{"a": 6}\n'


def test_bad_lines(imported: Import) -> None:
    write("a.jsonl", BAD)
    with pytest.raises(DataTypeError, match=r"^a\.jsonl: line 2: this is not JSON"):
        imported("a.jsonl")
    done = imported("a.jsonl", on_bad_line="keep")
    assert (done.rows, done.bad_lines, done.bad_lines_file) == (2, 4, "kb.bad.jsonl")
    assert Path("kb.bad.jsonl").read_bytes() == b"".join(BAD.splitlines(keepends=True)[1:5])
    assert rows() == [{"a": 1}, {"a": 6}]


def test_a_late_row_changes_the_types(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_rows, "SAMPLE_ROWS", 10)
    lines = [json.dumps({"a": i, "b": str(i)}) for i in range(9000)]
    write("a.jsonl", "\n".join([*lines, '{"a": "x", "c": 1.5}']))
    assert imported("a.jsonl").rows == 9001
    assert types() == {"a": "JSON", "b": "TEXT", "c": "REAL"}
    assert rows()[-1] == {"a": '"x"', "b": None, "c": 1.5}


def test_types_that_the_user_says(imported: Import) -> None:
    write("a.jsonl", '{"v": [1, 0.5], "t": 1.50, "j": "x", "n": "12", "r": 0.12345678901234567890}\n')
    imported("a.jsonl", types={"v": "FLOAT[2]", "t": "TEXT", "j": "JSON", "n": "INTEGER", "r": "REAL"})
    assert rows() == [{"v": [1.0, 0.5], "t": "1.50", "j": '"x"', "n": 12, "r": 0.12345678901234568}]
    with pytest.raises(DataTypeError, match=r"^a\.jsonl: row 1: "):
        imported("a.jsonl", types={"j": "INTEGER"}, target="b.flac")
    assert not others("b.flac")


def test_what_no_table_holds_is_refused_by_row(imported: Import) -> None:
    write("a.jsonl", '{"a": "x"}\n{"a": "\\ud800"}\n')
    with pytest.raises(DataTypeError, match=r"^a\.jsonl: row 2: .*surrogate"):
        imported("a.jsonl")
    write("b.jsonl", '{"a": 1, "A": 2}\n')
    with pytest.raises(SchemaError, match="two columns are called"):
        imported("b.jsonl")
    write("c.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    with pytest.raises(DamagedFileError, match=r"^c\.jsonl\.gz: the file cannot be unpacked"):
        imported("c.jsonl.gz")
    assert not others()
