"""litecli in a terminal: the commands of docs/CLIENTS.md, what it shows of a table, and what it completes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import audiomem_sql
from audiomem_sql.loadable import loadable_path

from .documented import command_with
from .terminal import PATIENCE, Terminal

CREATE = (
    "CREATE VIRTUAL TABLE notes USING audiomem('notes.flac', id INTEGER PRIMARY KEY, "
    "body TEXT SEMANTIC INDEXED, remembered TIMESTAMP, model=hashing);"
)


def test_load_in_a_session(terminal: Callable[[str], Terminal], tmp_path: Path) -> None:
    with audiomem_sql.write_flac([{"a": 1}, {"a": 2}], tmp_path / "t.flac"):
        pass
    session = terminal("litecli :memory:")
    session.see(r":memory:>")
    session.send(f".load {loadable_path()}\r")
    session.see(r"'NoneType' object is not iterable")  # litecli's own: the extension is loaded
    session.send("CREATE VIRTUAL TABLE t USING audiomem('t.flac');\r")
    session.see(r"Query OK")
    session.send("SELECT 'sum ' || sum(a) AS s FROM t;\r")
    session.see(r"\| sum 3 \|")
    session.send(".exit\r")
    assert session.end() == 0


def test_a_session_with_the_table_known_everywhere(
    terminal: Callable[[str], Terminal], tmp_path: Path
) -> None:
    command = command_with("litecli.main")
    session = terminal(command)
    session.see(r"library\.db>")
    session.send(CREATE + "\r")
    session.see(r"Query OK")
    session.send("INSERT INTO notes(body) VALUES ('cats are welcome'), ('reset a password'), ('a cat');\r")
    session.see(r"Query OK, 3 rows affected")
    session.send("SELECT body FROM notes WHERE notes MATCH 'keyword: cats';\r")
    session.see(r"\| cats are welcome \|\n\+-+\+\n2 rows in set")
    session.send("SELECT id AS nearest FROM notes WHERE notes MATCH 'semantic: my password' LIMIT 1;\r")
    session.see(r"\| nearest \|\n\+-+\+\n\| 2 +\|")
    for keys in (".tables", r"\dt"):
        session.send(f"SELECT 'asked {keys}';\r")
        session.see(r"\| asked " + keys.replace("\\", r"\\"))
        session.send(keys + "\r")
        session.see(r"\| name +\|\n\+-+\+\n\| notes +\|")
    session.send("\\d notes\r")
    session.see(
        r"\| 0 +\| id +\| INTEGER +\|.*\n\| 1 +\| body +\| TEXT ", r"\| 2 +\| remembered +\| TIMESTAMP"
    )
    session.send("SELECT * FROM notes WHERE version = 'spring';\r")
    session.see(r"there is no tag 'spring'")
    session.send("INSERT INTO notes(remembered) VALUES ('no time');\r")
    session.see(r"remembered.*'no time'|'no time'.*remembered")
    assert "Traceback" not in session.text
    session.send(".exit\r")
    assert session.end() == 0
    with audiomem_sql.open(tmp_path / "notes.flac") as table:
        assert len(table) == 3

    end = time.monotonic() + PATIENCE
    again = terminal(command)  # its completion begins with what the database had
    again.see(r"library\.db>")
    again.send("SELECT * FROM notes WHERE rem")
    while not again.sees(r"WHERE rem.*\n +remembered", 2):  # it looks while the first letters are typed
        assert time.monotonic() < end, again.text
        again.send("\x7fm")
    again.send("\t IS NULL AND id = 3;\r")
    again.see(r"\| 3 +\| a cat \|", r"1 row in set")
    assert "Traceback" not in again.text
    again.send(".exit\r")
    assert again.end() == 0
