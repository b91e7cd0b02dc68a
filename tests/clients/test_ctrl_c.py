"""Ctrl-C in a terminal: the statement ends, the shell lives, and the files are whole."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import duckdb_cli
import pyarrow as pa
import pytest

from audiomem_sql.loadable import loadable_path
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

from .terminal import PATIENCE, Terminal

COUNT = 20_000
#: No machine comes to its end.
ENDLESS = "SELECT count(*) FROM t, t AS u, t AS v WHERE t.id + u.id <> -v.id"
#: The same for each row, in a condition on one.
SLOW = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) > id"
SORTED = "SELECT * FROM t, t AS u ORDER BY t.body || u.body LIMIT 1"
CLEAR = "\x0c"
#: The shell itself: the command on PyPI is a Python program around it, which Ctrl-C ends.
DUCKDB = Path(duckdb_cli.__file__).parent / "duckdb"
#: By program: its command, its prompt, and what makes it know the table.
SHELLS = {
    "sqlite3": (
        f"sqlite3 -init /dev/null -interactive -cmd '.load {loadable_path()}' library.db",
        r"sqlite>",
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac');\r",
    ),
    "audiomem shell": ("audiomem shell t.flac", r"sqlite>", ".mode list\r"),
    "duckdb": (
        f"{DUCKDB} -unsigned -dark-mode -init /dev/null -list -cmd \"LOAD '{loadable_path('duckdb')}'\"",
        r"D$",
        "CREATE VIEW t AS FROM 't.flac';\r",
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("made") / "t.flac"
    options = {"model": "hashing", "protection": "standard"}
    with Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED"], options) as table:
        for start in (0, COUNT // 2):
            numbers = range(start, start + COUNT // 2)
            bodies = [f"word{number % 997} text {number} of many rows" for number in numbers]
            table.append(pa.table({"id": list(numbers), "body": bodies}))
            table.checkpoint()
    return path.read_bytes()


@pytest.fixture
def table(made: bytes, tmp_path: Path) -> Path:
    (tmp_path / "t.flac").write_bytes(made)
    return tmp_path / "t.flac"


def is_whole(path: Path, *counts: int) -> None:
    """Whether the table has one of so many rows, nothing is damaged, and nothing lies beside it."""
    with Table(path) as table:
        assert len(table) in counts
        assert len(table.to_arrow(["body"])) == len(table)
        assert not list(problems(table))
    assert {each.name for each in path.parent.iterdir()} <= {"home", "library.db", "t.flac"}


def open_files(process_id: int) -> set[str]:
    """The names of the files that a process has open; it may close some while they are listed."""
    names = set()
    for each in Path(f"/proc/{process_id}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.add(Path(os.readlink(each)).name)
    return names


def opened(session: Terminal, path: Path) -> None:
    """Wait until the program has the file open."""
    end = time.monotonic() + PATIENCE
    while path.name not in open_files(session.process_id):
        assert time.monotonic() < end, session.text
        assert not session.sees("^audiomem: ", 0.01), session.text


@pytest.mark.parametrize("program", ["sqlite3", "audiomem shell", "duckdb"])
def test_a_shell_lives_on(terminal: Callable[[str], Terminal], table: Path, program: str) -> None:
    command, prompt, begin = SHELLS[program]
    session = terminal(command)
    session.see(prompt)
    session.send(begin)
    for number, statement in enumerate((ENDLESS, SORTED)):
        session.send(f"SELECT 'begun' || {number}; {statement};\r")
        session.see(rf"begun{number}$")
        if program == "duckdb":  # which forgets an interrupt that comes before the next statement has begun
            time.sleep(0.5)
        session.interrupt()
        session.see(rf"(?s)\^C.*{prompt}")
        session.send(f"SELECT 'after{number} ' || count(*) FROM t;\r")
        session.see(rf"after{number} {COUNT}")
        session.send(CLEAR)
        session.gone("after")
    session.send(".exit\r")
    assert session.end() in (0, 1)  # whether a statement failed
    is_whole(table, COUNT)


@pytest.mark.parametrize("program", ["sqlite3", "audiomem shell"])
def test_writing_in_a_shell(terminal: Callable[[str], Terminal], table: Path, program: str) -> None:
    command, prompt, begin = SHELLS[program]
    session = terminal(command)
    session.see(prompt)
    session.send(begin)
    endless = f"INSERT INTO t(body) SELECT 'x' FROM ({ENDLESS.replace('count(*)', '1')})"
    session.send(f"BEGIN; INSERT INTO t(body) VALUES ('kept'); SELECT 'be' || 'gun'; {endless};\r")
    session.see(r"begun$")
    session.interrupt()
    session.see(rf"(?s)\^C.*{prompt}")
    # SQLite undoes the statement, or the transaction with it
    session.send("SELECT 'still ' || (count(*) BETWEEN 20000 AND 20001) FROM t;\r")
    session.see(r"still 1")
    session.send("COMMIT;\rINSERT INTO t(body) VALUES ('next'); SELECT 'total ' || count(*) FROM t;\r")
    said = session.see(r"total \d+")
    total = int(said.split("total ")[-1].split()[0])
    assert total in (COUNT + 1, COUNT + 2)
    session.send(".exit\r")
    assert session.end() in (0, 1)  # whether a statement failed
    is_whole(table, total)


@pytest.mark.parametrize("program", ["sqlite3", "audiomem shell"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t(t) VALUES ('vacuum')",
        "INSERT INTO t(t) VALUES ('repair')",
        "UPDATE t SET body = body || '!'",
        "INSERT INTO t(body) SELECT body || '?' FROM t",
    ],
)
def test_it_is_done_or_it_is_not(
    terminal: Callable[[str], Terminal], table: Path, program: str, statement: str
) -> None:
    """Writing and its commit, wherever Ctrl-C finds them."""
    command, prompt, begin = SHELLS[program]
    session = terminal(command)
    session.see(prompt)
    session.send(begin)
    session.send(f"SELECT 'be' || 'gun'; {statement};\r")
    session.see(r"begun$")
    session.interrupt()
    session.send("\rSELECT 'total ' || count(*), count(DISTINCT substr(body, -1)) FROM t;\r")
    said = session.see(r"total \d+\|\d+")
    total, endings = map(int, said.split("total ")[-1].split()[0].split("|"))
    assert total in (COUNT, 2 * COUNT)
    assert endings == (2 if total > COUNT else 1), "all of it or nothing"
    session.send(".exit\r")
    assert session.end() in (0, 1)  # whether a statement failed
    is_whole(table, total)


@pytest.mark.parametrize(
    "command",
    [
        f'audiomem sql t.flac "{ENDLESS}"',
        f'audiomem search t.flac "word7 text" --where "{SLOW}"',
        "audiomem vacuum t.flac",
        "audiomem repair t.flac",
    ],
)
def test_a_command_ends(terminal: Callable[[str], Terminal], table: Path, made: bytes, command: str) -> None:
    session = terminal(command)
    opened(session, table)
    session.interrupt()
    code = session.end()
    assert "Traceback" not in session.text
    endless = ENDLESS in command or SLOW in command
    assert code == 130 or (code == 0 and not endless)
    if code == 130:
        assert "audiomem: interrupted" in session.text
        assert table.read_bytes() == made
    is_whole(table, COUNT)


@pytest.mark.parametrize("command", ["audiomem vacuum t.flac", "audiomem repair t.flac"])
def test_a_command_that_waits_for_a_writer(
    terminal: Callable[[str], Terminal], table: Path, made: bytes, command: str
) -> None:
    with Table(table) as other:
        other.begin()
        session = terminal(command)
        opened(session, table)
        session.interrupt()
        assert session.end() == 130
        assert "audiomem: interrupted" in session.text
        assert "Traceback" not in session.text
        other.rollback()
    assert table.read_bytes() == made
