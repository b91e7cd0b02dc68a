"""Names that SQL cannot have, arguments that are not UTF-8, and names that were mistyped: one line each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

import audiomem_sql as am
from audiomem_sql.errors import OptionError

from .conftest import Command, fails, process


def made(path: Path | str) -> None:
    am.write_flac([{"id": 1, "title": "a", "year": 2020}], path, primary_key="id").close()


@pytest.mark.parametrize("name", ["sqlite_notes", "SQLITE_x"])
def test_a_name_that_sqlite_keeps(audiomem: Command, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.flac"
    made(path)
    words = f"SQLite keeps the name {name} for itself"
    for verb in (("sql", path.name, "SELECT 1"), ("shell", path.name)):
        fails(audiomem(*verb), 2, f"{name}.flac: {words}. Make a link that is called otherwise: ln -s")
    with pytest.raises(OptionError, match=rf"{name}\.flac: {words}\. Give it another: connect\(path, table="):
        am.connect(path)
    assert am.connect(path, table="notes").execute("SELECT title FROM notes").get == "a"
    os.symlink(path, "notes.flac")
    assert "a" in audiomem("sql", "notes.flac", "SELECT title FROM notes", "--csv").out
    connection = apsw.Connection(":memory:")
    am.register(connection)
    with pytest.raises((apsw.SQLError, OptionError), match="reserved for internal use"):
        connection.execute(f"CREATE VIRTUAL TABLE {name} USING audiomem('{path}')")


def test_a_file_whose_name_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.flac")
    made(path)
    with pytest.raises(OptionError, match="the name of a table must be UTF-8"):
        am.connect(path)
    assert am.connect(path, table="cafe").execute("SELECT title FROM cafe").get == "a"
    with am.open(path) as table:
        assert len(table) == 1
    done = subprocess.run(
        [sys.executable, "-m", "audiomem_sql", "sql", path, "SELECT 1"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"must be UTF-8" in done.stderr
    assert done.stderr.count(b"\n") == 1
    done = subprocess.run(
        [sys.executable, "-m", "audiomem_sql", "dump", path, "--table", "t"], capture_output=True
    )
    assert b"INSERT INTO" in done.stdout
    os.symlink(path, tmp_path / "cafe.flac")
    assert process("sql", "cafe.flac", "SELECT title FROM cafe", "--csv", cwd=tmp_path).out == "title\na\n"


def test_an_argument_that_is_not_utf8(audiomem: Command) -> None:
    made("t.flac")
    fails(audiomem("sql", "t.flac", "SELECT 'caf\udce9'"), 2, "an argument is not UTF-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("sql", "t.flac", "SELECT yaer FROM t"),
            "no such column: yaer. Did you mean year? The columns are: id, title",
        ),
        (("sql", "t.flac", "SELECT t.titel FROM t"), "no such column: t.titel. Did you mean title?"),
        (("sql", "t.flac", "SELECT zzz FROM t"), "no such column: zzz. The columns are: id, title, year."),
        (("sql", "t.flac", "SELECT * FROM tt"), "no such table: tt. Did you mean t? The tables are: t."),
        (("sql", "t.flac", "INSERT INTO t(t) VALUES ('vaccum')"), "Did you mean vacuum? Commands are"),
        (
            ("sql", "t.flac", "SELECT * FROM t WHERE version = 'sprnig'"),
            "there is no tag 'sprnig'. Did you mean spring?",
        ),
        (
            ("search", "t.flac", "x", "--where", "yaer > 3"),
            "there is no column 'yaer' (did you mean year?); there are id",
        ),
        (("create", "n.flac", "id INTEGR"), "Did you mean INTEGER?"),
        (("create", "n.flac", "id INTEGER", "--protection", "standart"), "Did you mean standard?"),
        (("create", "n.flac", "id INTEGER", "--profile", "destop"), "Did you mean desktop?"),
        (("create", "n.flac", "id INTEGER", "UNIQUE (idd)"), "there is no column idd. Did you mean id?"),
    ],
)
def test_did_you_mean(audiomem: Command, arguments: tuple[str, ...], words: str) -> None:
    made("t.flac")
    with am.open("t.flac") as table:
        table.tag("spring")
    result = audiomem(*arguments)
    assert result.code in (1, 2)
    assert words in " ".join(result.err.split())
