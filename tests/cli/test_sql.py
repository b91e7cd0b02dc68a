"""create, sql, shell, info and verify on tables that are well."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql.cli.output import shares

from .conftest import Command, fails, process


@pytest.fixture
def notes(audiomem: Command) -> str:
    """A table with three rows."""
    columns = ["id INTEGER PRIMARY KEY", "title TEXT", "size REAL", "data BLOB", "seen TIMESTAMP"]
    assert audiomem("create", "notes.flac", *columns).code == 0
    values = (
        "('one', 1.5, x'00ff', '2024-03-02 11:30:00'), ('two', NULL, NULL, NULL), "
        "('zwölf\nlines', 9e999, x'', NULL)"
    )
    done = audiomem("sql", "notes.flac", f"INSERT INTO notes(title, size, data, seen) VALUES {values}")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("3 rows changed in ")
    return "notes.flac"


def test_create_takes_options(audiomem: Command) -> None:
    created = audiomem(
        "create",
        "a.flac",
        "id INTEGER PRIMARY KEY",
        "body TEXT",
        "--profile",
        "mobile",
        "-o",
        "compression-level=12",
    )
    assert (created.code, created.out) == (0, "a.flac: id INTEGER PRIMARY KEY, body TEXT\n")
    with am.open("a.flac") as table:
        assert (table.options.profile, table.options.compression_level) == ("mobile", 12)


def test_rows_for_people(audiomem: Command, notes: str) -> None:
    shown = audiomem("sql", notes, "SELECT * FROM notes ORDER BY id")
    assert shown.code == 0
    lines = [line.rstrip() for line in shown.out.splitlines()]
    assert lines[0].split() == ["id", "title", "size", "data", "seen"]
    assert lines[2].split() == ["1", "one", "1.5", "x'00ff'", "2024-03-02", "11:30:00"]
    assert lines[3].split() == ["2", "two", "NULL", "NULL", "NULL"]
    assert "zwölf⏎lines" in lines[4]
    assert len(lines) == 5
    assert "\x1b" not in shown.out
    assert shown.err.startswith("3 rows in ")


def test_characters_that_steer_a_terminal_are_shown(audiomem: Command, notes: str) -> None:
    shown = audiomem("sql", notes, "SELECT '[red]' || char(27) || '[2J' AS a")
    assert "[red]\\x1b[2J" in shown.out


def test_json(audiomem: Command, notes: str) -> None:
    shown = audiomem("sql", notes, "SELECT *, 1 AS title FROM notes", "--json")
    rows = json.loads(shown.out)
    assert rows[0] == {
        "id": 1,
        "title": "one",
        "size": 1.5,
        "data": {"$base64": True, "encoded": "AP8="},
        "seen": "2024-03-02 11:30:00",
        "title_2": 1,
    }
    assert rows[1]["size"] is None
    assert rows[2]["size"] == math.inf
    assert rows[2]["title"] == "zwölf\nlines"
    assert json.loads(audiomem("sql", notes, "SELECT * FROM notes WHERE 0", "--json").out) == []


def test_csv(audiomem: Command, notes: str) -> None:
    shown = audiomem("sql", notes, "SELECT title, size, data FROM notes", "--csv")
    rows = list(csv.reader(io.StringIO(shown.out)))
    assert rows == [
        ["title", "size", "data"],
        ["one", "1.5", "AP8="],
        ["two", "", ""],
        ["zwölf\nlines", "inf", ""],
    ]
    assert audiomem("sql", notes, "SELECT id FROM notes WHERE 0", "--csv").out == "id\n"


@pytest.mark.parametrize(
    ("given", "value"),
    [("7", 7), ("007", "007"), ("-1.5", -1.5), ("1e3", 1000.0), ("a=b", "a=b"), ("", ""), ("9" * 30, 1e30)],
)
def test_parameters(audiomem: Command, notes: str, given: str, value: object) -> None:
    shown = audiomem("sql", notes, "SELECT :x AS x", "-p", f"x={given}", "--json")
    assert json.loads(shown.out) == [{"x": value}]


def test_several_statements_and_files(audiomem: Command, notes: str) -> None:
    audiomem("create", "tags.flac", "note INTEGER", "tag TEXT")
    script = (
        "INSERT INTO tags VALUES (1, 'a'), (1, 'b'), (2, 'a'); -- three\n"
        "SELECT title, tag FROM notes JOIN tags ON note = id WHERE tag = :tag ORDER BY id; "
        "SELECT 42 AS answer;"
    )
    shown = audiomem("sql", notes, "tags.flac", script, "-p", "tag=a")
    assert shown.code == 0
    assert [line.split() for line in shown.out.splitlines() if line.strip() and "─" not in line] == [
        ["title", "tag"], ["one", "a"], ["two", "a"], ["answer"], ["42"],
    ]  # fmt: skip
    assert "3 rows changed" in shown.err
    with am.open("tags.flac") as table:
        assert len(table) == 3


def test_query_from_stdin(notes: str, tmp_path: Path) -> None:
    shown = process("sql", notes, "-", "--csv", cwd=tmp_path, stdin="SELECT count(*) AS n FROM notes")
    assert (shown.code, shown.out) == (0, "n\n3\n")


def test_long_results_come_block_by_block(audiomem: Command, notes: str) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2500) SELECT i FROM n"
    shown = audiomem("sql", notes, query)
    assert [int(line) for line in shown.out.split() if line.isdigit()] == list(range(1, 2501))
    assert len(json.loads(audiomem("sql", notes, query, "--json").out)) == 2500


def test_a_reader_that_goes_away(notes: str, tmp_path: Path) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    for form in ([], ["--json"], ["--csv"]):
        command = [sys.executable, "-m", "audiomem_sql", "sql", notes, query, *form]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            running.stdout.readline()
            running.stdout.close()
            assert running.stderr.read() == b""
            assert running.wait() == 141


def test_ctrl_c_ends_a_query_that_never_ends(notes: str, tmp_path: Path) -> None:
    query = "SELECT 1; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    command = [sys.executable, "-m", "audiomem_sql", "sql", notes, query]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline().startswith(b"1 row in ")
        running.send_signal(signal.SIGINT)
        assert running.stderr.read() == b"audiomem: interrupted\n"
        assert running.wait() == 130


def test_a_terminal_is_filled_and_not_exceeded(notes: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    query = "SELECT printf('%.300c', 'x') AS wide, title FROM notes LIMIT 1"
    environment = os.environ | {"COLUMNS": "60", "TERM": "xterm"}
    subprocess.run(
        [sys.executable, "-m", "audiomem_sql", "sql", notes, query],
        cwd=tmp_path, stdout=theirs, stderr=subprocess.DEVNULL, check=True, env=environment,
    )  # fmt: skip
    os.close(theirs)
    printed = b""
    while b"one" not in printed:
        printed += os.read(ours, 4096)
    os.close(ours)
    line = next(line for line in printed.decode().splitlines() if "one" in line)
    assert "…" in line
    assert 55 <= len(line.rstrip()) <= 60


def test_shell_reads_stdin(notes: str, tmp_path: Path) -> None:
    shown = process(
        "shell", notes, cwd=tmp_path, stdin="select count(*) from notes;\ndelete from notes where id = 1;\n"
    )
    assert (shown.code, shown.out, shown.err) == (0, "3\n", "")
    with am.open(tmp_path / notes) as table:
        assert len(table) == 2


def test_shell_goes_on_after_an_error_and_remembers_it(notes: str, tmp_path: Path) -> None:
    shown = process("shell", notes, cwd=tmp_path, stdin="select nope from notes;\nselect 5;\n")
    assert (shown.code, shown.out) == (1, "5\n")
    assert "no such column: nope" in shown.err
    assert "Traceback" not in shown.err
    assert process("shell", notes, cwd=tmp_path, stdin=".exit 3\n").code == 3


def test_info(audiomem: Command, notes: str) -> None:
    facts = json.loads(audiomem("info", notes, "--json").out)
    assert (facts["table"], facts["rows"], facts["version"], facts["sources"]) == ("notes", 3, 2, 0)
    assert facts["columns"][1]["definition"] == "title TEXT"
    assert [version["inserted"] for version in facts["versions"]] == [0, 3]
    assert facts["size"]["total"] == Path(notes).stat().st_size
    sound = facts["sound"]
    assert sound["seconds"] == round(sound["pages"] * sound["block_size"] / sound["sample_rate"], 2)
    shown = audiomem("info", notes)
    assert shown.code == 0
    for words in (
        "notes: 3 rows, version 2",
        "seen TIMESTAMP",
        "protection none",
        facts["versions"][1]["time"],
    ):
        assert words in " ".join(shown.out.split())


def test_info_tells_segments_and_log(audiomem: Command, tmp_path: Path) -> None:
    """A table that is too large to be written anew as one segment; one version in the log at the end."""
    rows = [{"id": number, "data": os.urandom(600)} for number in range(8000)]
    with am.write_flac(rows, "wide.flac", primary_key="id") as table:
        for number in range(4):
            table.append([{"id": 20_000 + number, "data": b"new"}])
            table.checkpoint()
        table.append([{"id": 30_000, "data": b"logged"}])
        facts = json.loads(audiomem("info", "wide.flac", "--json").out)
        shown = audiomem("info", "wide.flac").out
        log = Path("wide.flac-wal").stat().st_size
    assert [segment["versions"] for segment in facts["segments"]] == [[1, 2], [3, 3], [4, 4], [5, 5], [6, 6]]
    assert [segment["rows"] for segment in facts["segments"]] == [8000, 1, 1, 1, 1]
    assert {segment["file"] for segment in facts["segments"]} == {str(tmp_path / "wide.flac")}
    size = facts["size"]
    assert (size["files"], size["log"], facts["log"]["bytes"]) == (2, log, log)
    assert size["base"] + size["deltas"] == sum(segment["bytes"] for segment in facts["segments"])
    assert size["total"] == size["base"] + size["deltas"] + log
    assert facts["log"]["versions"] == [7, 7]
    assert len(facts["log"]["session"]) == 16
    assert facts["vacuumed"] == {"version": 2, "time": facts["versions"][1]["time"]}
    assert facts["sound"]["pages"] == round(
        facts["sound"]["seconds"] * facts["sound"]["sample_rate"] / facts["sound"]["block_size"]
    )
    flat = " ".join(shown.split())
    assert "4 deltas " in flat
    assert f"segments 5, generation {facts['generation']}: … version 3 (" in flat
    assert f"log session {facts['log']['session']}, version 7 only there" in flat
    closed = json.loads(audiomem("info", "wide.flac", "--json").out)
    assert (closed["log"], closed["size"]["files"], closed["rows"]) == (None, 1, 8005)
    assert closed["size"]["total"] == Path("wide.flac").stat().st_size
    assert closed["generation"] == facts["generation"] + 1
    assert closed["segments"][-1]["versions"] == [7, 7]
    assert "log none" in " ".join(audiomem("info", "wide.flac").out.split())
    assert audiomem("vacuum", "wide.flac").code == 0
    assert json.loads(audiomem("info", "wide.flac", "--json").out)["vacuumed"]["version"] == 7


@pytest.mark.parametrize("protection", ["none", "archive"])
def test_info_of_a_small_table_names_one_segment(audiomem: Command, notes: str, protection: str) -> None:
    audiomem("vacuum", notes, "--protection", protection)
    for number in range(12):
        audiomem("sql", notes, f"UPDATE notes SET size = {number} WHERE id = 1")
    facts = json.loads(audiomem("info", notes, "--json").out)
    assert facts["version"] == 14
    (segment,) = facts["segments"]
    assert segment == {
        "file": os.path.abspath(notes),
        "versions": [1, 14],
        "rows": 15,
        "bytes": Path(notes).stat().st_size,
    }
    assert facts["size"]["deltas"] == 0
    shown = audiomem("info", notes).out
    assert "0 deltas" in shown
    assert "and 4 before them" in shown


def test_verify(audiomem: Command, notes: str) -> None:
    shown = audiomem("verify", notes)
    assert shown.code == 0
    assert shown.out.startswith("notes.flac: all well: 3 rows, ")
    assert json.loads(audiomem("verify", notes, "--json").out)["ok"] is True


@pytest.mark.parametrize(
    ("wanted", "available", "given"),
    [
        ([3, 4], 20, [3, 4]),
        ([300, 5, 3], 60, [52, 5, 3]),
        ([50, 40, 2], 42, [20, 20, 2]),
        ([9, 9, 9], 2, [1, 1, 1]),
    ],
)
def test_narrow_columns_are_not_cut_for_wide_ones(
    wanted: list[int], available: int, given: list[int]
) -> None:
    assert shares(wanted, available) == given


def test_two_files_with_one_name(audiomem: Command, notes: str) -> None:
    Path("other").mkdir()
    audiomem("create", "other/notes.flac", "id INTEGER")
    fails(audiomem("sql", notes, "other/notes.flac", "SELECT 1"), 2, "notes.flac", "other/notes.flac")


def test_info_names_the_constraints(audiomem: Command, tmp_path: Path) -> None:
    file = str(tmp_path / "plays.flac")
    created = audiomem(
        "create", file, "a TEXT", "b INTEGER DEFAULT 5", "UNIQUE (a, b)", "CHECK (b = 5 OR b > 9)"
    )
    assert created.out.endswith("a TEXT, b INTEGER DEFAULT 5, CHECK (b = 5 OR b > 9), UNIQUE (a, b)\n")
    constraints = json.loads(audiomem("info", file, "--json").out)["constraints"]
    assert constraints == ["CHECK (b = 5 OR b > 9)", "UNIQUE (a, b)"]
    assert "CHECK (b = 5 OR b > 9)\n" in audiomem("info", file).out
