"""harlequin in a terminal, with its adapters for SQLite and DuckDB: rows, its catalog, errors, writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import audiomem_sql

from .conftest import Shell
from .documented import command_with
from .terminal import Terminal

CTRL_A, CTRL_J, CTRL_Q, F2, F6 = "\x01", "\n", "\x11", "\x1bOQ", "\x1b[17~"
DOWN, DELETE = "\x1b[B", "\x1b[3~"
#: What a terminal puts around what is pasted.
PASTE, PASTED = "\x1b[200~", "\x1b[201~"
#: A Python without extensions in its sqlite3 has pysqlite3 do it; see the documentation.
SQLITE = [command_with("import sys, pysqlite3")]
if hasattr(sqlite3.Connection, "enable_load_extension"):
    SQLITE.append(command_with("harlequin -a sqlite"))
MADE = (
    "CREATE VIRTUAL TABLE notes USING audiomem('notes.flac', id INTEGER PRIMARY KEY, "
    "body TEXT SEMANTIC INDEXED, year INTEGER, model=hashing);",
    "INSERT INTO notes(body, year) VALUES ('How do I reset my password?', 2021), "
    "('Passwords are reset by mail', 2019), ('Cats are welcome', 2023);",
)


@pytest.fixture
def library(shell: Shell, tmp_path: Path) -> Path:
    said = shell(*MADE, database=str(tmp_path / "library.db"))
    assert said.code == 0, said.err
    return tmp_path / "notes.flac"


def begin(command: str, terminal: Callable[[str], Terminal]) -> Terminal:
    """harlequin, once it keeps what is typed: an editor that is still being made loses it."""
    session = terminal(command)
    session.see(r"Data Catalog", r"Database Connected")
    for _ in range(20):
        put(session, "SELECT 'ready' AS state")
        if session.sees(r"state s +│\n.* ready "):
            return session
    raise AssertionError(session.text)


def put(session: Terminal, sql: str) -> None:
    """Put a query in the place of what the editor has, and run it.

    It is pasted: typing opens lists of completions, which take keys.
    """
    for _ in range(20):  # the results of the query before may take the focus meanwhile
        session.send(F2 + CTRL_A + DELETE)
        if session.sees(r"│ 1 +│\n", 2):
            break
    session.send(PASTE + sql + PASTED + CTRL_J)


def run(session: Terminal, sql: str, *seen: str) -> None:
    """Run a query in the place of what the editor has, and wait for what the screen then has."""
    session.gone("successfully")  # what was said of the one before
    put(session, sql)
    session.see(*seen)


def expand(session: Terminal, *levels: str) -> None:
    """Open the catalog level by level; each is the first below the one before."""
    session.send(F6)
    session.see(r"\^j Insert Name")  # in the footer: the keys go to the catalog
    for level in levels:
        session.see(rf"▶ {level}")
        session.send(DOWN + " ")
        session.see(rf"▼ {level}")


@pytest.mark.parametrize("command", SQLITE)
@pytest.mark.usefixtures("library")
def test_the_sqlite_adapter(terminal: Callable[[str], Terminal], tmp_path: Path, command: str) -> None:
    session = begin(command, terminal)
    run(
        session,
        "SELECT id, body FROM notes WHERE notes MATCH 'reset a password' AND year > 2020 LIMIT 1",
        r"Query Results \(1 Records\)",
        r"id ## +body s",
        r" 1  How do I reset my password\?",
    )
    run(session, "SELECT count(*) AS answer FROM notes WHERE notes MATCH 'keyword: cats'", r"answer ##")
    run(session, "SELECT body FROM notes WHERE version = 'spring'", r"there is no[\s│]+tag[\s│]+'spring'")
    session.send("x")  # closes the message
    run(session, "INSERT INTO notes(body, year) VALUES ('Dogs, too', 2024)", r"1 DDL/DML query")
    run(session, "COMMIT", r"1 DDL/DML query|no transaction")  # before Python 3.12 nothing else commits
    session.send("x")
    run(session, "SELECT count(*) AS total FROM notes", r"total ## +│\n.* 4 ")
    expand(session, "main db", "notes t")
    session.see(r"id ##", r"body s", r"year ##")
    session.send(CTRL_Q)
    assert session.end() == 0
    with audiomem_sql.open(tmp_path / "notes.flac") as table:
        assert len(table) == 4


@pytest.mark.usefixtures("library")
def test_the_duckdb_adapter(terminal: Callable[[str], Terminal], tmp_path: Path) -> None:
    (tmp_path / "views.sql").write_text("CREATE VIEW notes AS FROM 'notes.flac';\n")
    session = begin(command_with("harlequin -u"), terminal)
    run(
        session,
        "SELECT id, body, year + 1 AS next FROM notes WHERE year > 2020 ORDER BY id",
        r"Query Results \(2 Records\)",
        r" 1  How do I reset my password\? +2022",
        r" 3  Cats are welcome +2024",
    )
    run(
        session,
        "SELECT id, body FROM audiomem_search('notes.flac', 'reset a password', k := 1)",
        r"Query Results \(1 Records\)",
        r" 1  How do I reset my password\?",
    )
    run(session, "FROM audiomem_scan('nowhere.flac')", r"DuckDB raised an error", r"nowhere\.flac")
    session.send("x")
    run(session, "COPY (SELECT id FROM notes) TO 'ids.flac' (FORMAT audiomem)", r"1 DDL/DML query")
    expand(session, "memory db", "main sch", "notes v")
    session.see(r"body s", r"id ##", r"year ##")
    session.send(CTRL_Q)
    assert session.end() == 0
    with audiomem_sql.open(tmp_path / "ids.flac") as table:
        assert len(table) == 3
