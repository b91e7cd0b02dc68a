"""One commit or nothing: appends, stdin, files that change, processes that are killed; and the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiomem_sql.cli.main import run
from audiomem_sql.errors import (
    ConstraintError,
    DataTypeError,
    MissingExtraError,
    OptionError,
    SchemaError,
    StorageError,
)
from audiomem_sql.importing import importing as work
from audiomem_sql.importing.importing import import_files
from audiomem_sql.table.table import Table

from .conftest import Import, others, rows, types, write


def many(name: str, count: int) -> str:
    """A CSV of so many rows."""
    with open(name, "w") as stream:
        stream.write("id,name,x\n")
        stream.writelines(f"{i},name {i % 1000},{i / 7}\n" for i in range(1, count + 1))
    return name


def test_an_import_is_one_version_and_says_what_it_read(imported: Import) -> None:
    first = imported(many("a.csv", 30_000))
    assert (first.rows, first.version, first.files, first.bytes) == (
        30_000,
        2,
        1,
        os.path.getsize("a.csv"),
    )
    assert imported(many("b.csv", 60_000), append=True).version == 3
    assert imported(write("c.csv", "x,ID\n0.5,7\n"), append=True).version == 4
    with Table("kb.flac") as table:
        assert len(table) == 90_001
        assert [version.message for version in table.versions][1:] == [
            "imported from a.csv",
            "imported from b.csv",
            "imported from c.csv",
        ]
        assert table.checkout(2).to_arrow().num_rows == 30_000
        assert table.get(90_001) == {"id": 7, "name": None, "x": 0.5}
        assert table.get(30_001) == {"id": 1, "name": "name 1", "x": 1 / 7}


def test_appends_in_bounded_memory_check_keys(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_SMALL_BYTES", 0)
    imported(many("a.csv", 30_000), key="id")
    write("b.csv", "id,name\n" + "".join(f"{i},x\n" for i in range(40_000, 30_000, -1)))
    assert imported("b.csv", append=True).rows == 10_000
    with pytest.raises(ConstraintError, match="UNIQUE"):
        imported("b.csv", append=True)
    with Table("kb.flac") as table:
        assert (len(table), table.version) == (40_000, 3)
        assert table.get(40_000) == {"id": 40_000, "name": "x", "x": None}


def test_what_is_refused_leaves_the_table_as_it_was(imported: Import) -> None:
    imported(write("a.csv", "id,x\n1,1.5\n"), key="id")
    before = Path("kb.flac").read_bytes()
    for content, error, words in (
        ("id,y,z\n2,1,1\n", SchemaError, "no column y, z"),
        ("id,x\n2,soon\n", DataTypeError, "row 1: 'soon' is no DOUBLE for the column x"),
        ("id,x\n1,2\n", ConstraintError, "UNIQUE"),
        ("id,x\n3,1\n4\n", DataTypeError, "line 3"),
    ):
        with pytest.raises(error, match=words):
            imported(write("b.csv", content), append=True)
        assert Path("kb.flac").read_bytes() == before
    with pytest.raises(StorageError, match=r"exists already.*--append"):
        imported("a.csv")
    with pytest.raises(OptionError, match="new table"):
        imported("a.csv", append=True, key="id")
    with pytest.raises(StorageError):
        imported("a.csv", append=True, target="none.flac")
    assert others() == ["kb.flac"]


def test_a_file_that_changes_is_not_imported(imported: Import) -> None:
    many("a.csv", 200_000)
    calls = []

    def told(done: int, total: int | None) -> None:
        calls.append((done, total))
        if len(calls) == 2:
            with open("a.csv", "a") as stream:
                stream.write("1,late,1\n")

    with pytest.raises(StorageError, match=r"a\.csv: the file changed while it was read"):
        import_files(["a.csv"], "kb.flac", told=told)
    assert not others()
    size = os.path.getsize("a.csv")
    calls = [(0, 0)] * 9
    import_files(["a.csv"], "kb.flac", told=told)
    seen = calls[9:]
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {size}
    assert len({done for done, _ in seen}) > 1
    assert seen[-1][0] <= size


KILLED = """
import sys, time
from audiomem_sql.importing.importing import Order, import_files
def told(done, total):
    print(done, flush=True)
    time.sleep(0.05)
import_files(["a.csv"], "kb.flac", Order(append=sys.argv[1] == "append"), told=told)
"""


@pytest.mark.parametrize("how", ["new", "append"])
def test_a_killed_import_leaves_the_table_as_it_was(imported: Import, how: str) -> None:
    if how == "append":
        imported(many("a.csv", 1000))
        before = rows()
    many("a.csv", 200_000)
    process = subprocess.Popen([sys.executable, "-c", KILLED, how], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(4):
        assert process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    if how == "append":
        assert rows() == before
        assert imported("a.csv", append=True).rows == 200_000
    else:
        assert not Path("kb.flac").exists()
        assert imported("a.csv").rows == 200_000
    assert others() == ["kb.flac"]


def test_options_and_shards(imported: Import) -> None:
    imported(write("a.csv", "id,x\n1,a\n2,b\n"), key="id", target="kb.shards", options={"shards": "2"})
    assert sorted(rows("kb.shards"), key=lambda row: row["id"]) == [{"id": 1, "x": "a"}, {"id": 2, "x": "b"}]
    with pytest.raises(DataTypeError):
        imported("a.csv", target="no.shards", types={"x": "INTEGER"})
    imported("a.csv", target="hard.flac", options={"compression_level": "9"})
    with Table("hard.flac") as table:
        assert table.options.compression_level == 9
    assert others("no") == []


def test_without_duckdb_it_says_what_to_install(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.csv", "x\n1\n")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"audiomem-sql\[duckdb\]"):
        imported("a.csv")
    assert imported(write("a.jsonl", '{"x": 1}\n')).rows == 1


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write("a.csv", "id,price,zip\n1,1.5,007\nx\n")
    assert run(["import", "a.csv", "kb.flac", "--key", "id", "--on-bad-line", "keep"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "kb.flac: 1 row of 1 file, 25 bytes, version 2",
        "  id INTEGER PRIMARY KEY, price REAL, zip TEXT",
        "  1 bad line kept in kb.bad.csv; the first: a.csv: line 3: missing columns",
    ]
    told = ["--types", "price=TEXT,zip=INTEGER", "--on-bad-line", "skip", "--json"]
    assert run(["import", "a.csv", "t.flac", *told]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["bad_lines"], facts["columns"]) == (
        1,
        1,
        ["id INTEGER", "price TEXT", "zip INTEGER"],
    )
    assert types("t.flac")["price"] == "TEXT"
    assert run(["export", "kb.flac", "out.jsonl", "--columns", "zip,id", "--where", "id = 1"]) == 0
    assert capsys.readouterr().out == "out.jsonl: 1 row, 24 bytes\n"
    assert Path("out.jsonl").read_text() == '{"zip": "007", "id": 1}\n'
    for arguments in (
        ["import", "a.csv"],
        ["import", "a.csv", "b.flac", "--types", "price"],
        ["import", "a.csv", "b.flac", "--format", "cvs"],
        ["import", "-", "b.flac"],
        ["export", "kb.flac", "-"],
        ["export", "kb.flac", "-", "--format", "xlsx"],
    ):
        assert run(arguments) == 2, arguments
        assert capsys.readouterr().err.startswith("audiomem: ")
    assert run(["import", "a.csv", "b.flac"]) == 1
    assert capsys.readouterr().err.startswith("audiomem: a.csv: line 3: ")


def test_stdin_and_stdout(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiomem_sql"]
    read = [*command, "import", "-", "kb.flac", "--format", "csv"]
    done = subprocess.run(read, input=b"a,b\n1,x\n2,y\n", cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.startswith(b"kb.flac: 2 rows of 1 file, 12 bytes")
    shown = [*command, "export", "kb.flac", "-", "--format", "csv"]
    done = subprocess.run(shown, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == b"a,b\n1,x\n2,y\n"
    done = subprocess.run(read, input=b"a,b\n1\n", cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, os.listdir(tmp_path)) == (1, ["kb.flac"])
