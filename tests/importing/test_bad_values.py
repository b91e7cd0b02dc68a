"""Values that are not of the type that was said, in files whose rows are no lines of text."""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from audiomem_sql.errors import DataTypeError

from .conftest import Import, rows, write

TYPES = {"n": "INTEGER", "d": "DATE", "p": "DECIMAL(5,2)", "v": "FLOAT[2]"}
GOOD: list[dict[str, Any]] = [
    {"id": 1, "n": 5, "d": "2024-01-02", "p": "1.50", "v": [1.0, 2.0]},
    {"id": 3, "n": "7", "d": None, "p": 2, "v": None},
]
BAD: list[dict[str, Any]] = [
    {"id": 2, "n": "x", "d": "2024-01-02", "p": "1", "v": None},
    {"id": 4, "n": 1, "d": "2024-02-30", "p": "1", "v": None},
    {"id": 5, "n": 1, "d": None, "p": "1.005", "v": None},
    {"id": 6, "n": 1, "d": None, "p": "1", "v": [1.0]},
    {"id": 7, "n": 2**63, "d": None, "p": "1", "v": [1.0, "x"]},
    {"id": 8, "n": 1, "d": None, "p": "1000", "v": [1.0, None]},
]
KEPT = [
    {"id": 1, "n": 5, "d": datetime.date(2024, 1, 2), "p": 1.5, "v": [1.0, 2.0]},
    {"id": 3, "n": 7, "d": None, "p": 2, "v": None},
]
ORDER = [GOOD[0], BAD[0], GOOD[1], *BAD[1:]]


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_values_of_json(imported: Import, suffix: str) -> None:
    lines = [json.dumps(row) for row in ORDER]
    name = write(f"a.{suffix}", "\n".join(lines) if suffix == "jsonl" else f"[{','.join(lines)}]")
    with pytest.raises(DataTypeError, match="row 2: cannot store"):
        imported(name, types=TYPES)
    assert not Path("kb.flac").exists()
    done = imported(name, types=TYPES, on_bad_line="skip", target="s.flac")
    assert (done.rows, done.bad_lines, done.bad_lines_file) == (2, 6, None)
    assert rows("s.flac") == KEPT
    done = imported(name, types=TYPES, on_bad_line="keep")
    assert (done.rows, done.bad_lines, done.bad_lines_file) == (2, 6, "kb.bad.jsonl")
    assert done.first_bad_line is not None
    place = "line 2" if suffix == "jsonl" else "line 1, row 2"
    assert done.first_bad_line.startswith(f"a.{suffix}: {place}: cannot store TEXT value in INTEGER column n")
    assert rows() == KEPT
    assert [json.loads(line) for line in Path("kb.bad.jsonl").read_text().splitlines()] == BAD
    Path("kb.bad.jsonl").write_text(json.dumps(BAD[0] | {"n": 9}))
    assert imported("kb.bad.jsonl", append=True).rows == 1
    assert [row["n"] for row in rows()] == [5, 7, 9]


def test_many_rows_with_few_bad_ones(imported: Import) -> None:
    texts = ["oops" if number % 1000 == 999 else str(number) for number in range(10_000)]
    write("a.jsonl", "".join(f'{{"i":{number},"n":"{text}"}}\n' for number, text in enumerate(texts)))
    done = imported("a.jsonl", types={"n": "INTEGER"}, on_bad_line="keep")
    assert (done.rows, done.bad_lines) == (9990, 10)
    assert done.first_bad_line is not None
    assert done.first_bad_line.startswith("a.jsonl: line 1000: ")
    assert all(row["n"] == row["i"] for row in rows())
    assert len(Path("kb.bad.jsonl").read_text().splitlines()) == 10


def test_half_characters(imported: Import) -> None:
    write("a.jsonl", '{"t":"a"}\n{"t":"\\ud800"}\n{"t":"b"}\n')
    with pytest.raises(DataTypeError, match=r"row 2.*lone surrogate"):
        imported("a.jsonl")
    done = imported("a.jsonl", on_bad_line="keep")
    assert (done.rows, done.bad_lines) == (2, 1)
    assert Path("kb.bad.jsonl").read_text() == '{"t":"\\ud800"}\n'
    assert [row["t"] for row in rows()] == ["a", "b"]


def test_only_bad_values(imported: Import) -> None:
    write("a.jsonl", '{"n":"x"}\n{"n":"y"}\n')
    done = imported("a.jsonl", types={"n": "INTEGER"}, on_bad_line="skip")
    assert (done.rows, done.bad_lines, rows()) == (0, 2, [])


def test_values_of_a_sheet(imported: Import) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for values in (["i", "n", "day"], [1, 5, datetime.date(2024, 1, 2)], [2, 'say "no"', None],
                   [3, "8", "2024-02-30"], [4, 1.5, datetime.datetime(2024, 1, 2, 3)], [5, "6", "2024-03-01"],
                   [6, 7, None, "extra"]):  # fmt: skip
        sheet.append(values)
    book.save("a.xlsx")
    types = {"n": "INTEGER", "day": "DATE"}
    with pytest.raises(DataTypeError, match="row 7: a cell has no column: the first row names 3"):
        imported("a.xlsx", types=types)
    done = imported("a.xlsx", types=types, on_bad_line="keep")
    assert (done.rows, done.bad_lines, done.bad_lines_file) == (2, 4, "kb.bad.tsv")
    assert done.first_bad_line is not None
    assert done.first_bad_line.startswith("a.xlsx: sheet Sheet, row 3: cannot store TEXT value")
    assert Path("kb.bad.tsv").read_text().splitlines() == [
        "i\tn\tday", '2\t"say ""no"""\t', "3\t8\t2024-02-30", "4\t1.5\t2024-01-02 03:00:00", "6\t7\t\textra",
    ]  # fmt: skip
    assert rows() == [
        {"i": 1, "n": 5, "day": datetime.date(2024, 1, 2)},
        {"i": 5, "n": 6, "day": datetime.date(2024, 3, 1)},
    ]
    write("mended.tsv", "i\tn\tday\n2\t4\t\n3\t8\t2024-02-29\n")
    assert imported("mended.tsv", append=True).rows == 2
    assert [row["n"] for row in rows()] == [5, 6, 4, 8]


def test_values_of_sqlite(imported: Import) -> None:
    with contextlib.closing(sqlite3.connect("a.db")) as con:
        con.execute("CREATE TABLE t(i, n, b)")
        con.executemany("INSERT INTO t VALUES (?, ?, ?)", [(1, "2", b"a"), (2, "x", b"\xff"), (3, 4, None)])
        con.commit()
    done = imported("a.db", types={"n": "INTEGER"}, on_bad_line="keep")
    assert (done.rows, done.bad_lines, done.bad_lines_file) == (2, 1, "kb.bad.jsonl")
    assert done.first_bad_line is not None
    assert done.first_bad_line.startswith("a.db: row 2: cannot store TEXT value in INTEGER column n")
    (kept,) = map(json.loads, Path("kb.bad.jsonl").read_text().splitlines())
    assert kept == {"i": 2, "n": "x", "b": {"$base64": True, "encoded": "/w=="}}
    write("mended.jsonl", json.dumps(kept | {"n": 9}))
    assert imported("mended.jsonl", append=True).rows == 1
    assert rows()[-1] == {"i": 2, "n": 9, "b": b"\xff"}
