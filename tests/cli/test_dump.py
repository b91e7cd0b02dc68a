"""``audiomem dump``: SQL that plain SQLite makes the same table of."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from samples import COLUMNS, arrow, rows

import audiomem_sql as am
from audiomem_sql.table.sql_dump import literal
from audiomem_sql.table.table import Table

from .conftest import Command, fails, process

AWKWARD = (
    "",
    "it's",
    "a\0b\0",
    "\r\n.quit\r\n;\r",
    "line\n.exit\n/\ngo\n\n'",
    "\\r and \\rr\r",
    "naïve 🎼\u2028\ufeff",
    "-- no comment\n/* nor this",
    "x" * 100_000,
    "\x1a\x7f\t\b",
)


def restored(script: str | bytes, path: Path) -> sqlite3.Connection:
    """What the stock shell makes of a script."""
    text = script.encode() if isinstance(script, str) else script
    done = subprocess.run(
        ["sqlite3", "-batch", "-bail", str(path)], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return sqlite3.connect(path)


def test_every_type_and_awkward_texts(tmp_path: Path) -> None:
    with Table.create(tmp_path / "all.flac", COLUMNS) as table:
        table.append(arrow(rows(300)))
        ids = len(table)
        for number, text in enumerate(AWKWARD, 1):
            table.append(
                [
                    {
                        "id": ids + 1000 + number,
                        "title": text,
                        "raw": text.encode(),
                        "code": f"awkward {number}",
                    }
                ]
            )
    script = process("dump", "all.flac", cwd=tmp_path)
    assert (script.code, script.err) == (0, "")
    plain = restored(script.out, tmp_path / "plain.db")
    plain.text_factory = bytes
    ours = am.connect(tmp_path / "all.flac")
    names = ", ".join(column.split()[0] for column in COLUMNS)
    query = f'SELECT {names} FROM "all" ORDER BY id'
    texts = [column.split()[1] in ("TEXT", "JSON", "TIMESTAMP") for column in COLUMNS]
    found = [
        tuple(
            value.decode() if is_text and value is not None else value
            for value, is_text in zip(row, texts, strict=True)
        )
        for row in plain.execute(query)
    ]
    assert found == ours.execute(query).fetchall()
    assert len(found) == 300 + len(AWKWARD)
    types = plain.execute("SELECT sql LIKE '%) STRICT' FROM sqlite_schema").fetchone()
    assert types == (1,)


def test_what_the_table_demands_is_kept(audiomem: Command, tmp_path: Path) -> None:
    audiomem(
        "create",
        "t.flac",
        "a TEXT PRIMARY KEY COLLATE NOCASE CHECK (a <> 'no')",
        '"odd ""name" INTEGER NOT NULL DEFAULT (1 + 1)',
        "c BOOLEAN UNIQUE DEFAULT TRUE",
        "body TEXT INDEXED",
        'UNIQUE ("odd ""name", c)',
        "CONSTRAINT small CHECK (c IN (0, 1))",
    )
    audiomem("sql", "t.flac", "INSERT INTO t(rowid, a) VALUES (7, 'seven')")
    plain = restored(audiomem("dump", "t.flac").out, tmp_path / "plain.db")
    assert plain.execute("SELECT rowid, * FROM t").fetchall() == [(7, "seven", 2, 1, None)]
    for statement in (
        "INSERT INTO t(a, c) VALUES ('SEVEN', 0)",
        "INSERT INTO t(a, c) VALUES ('no', 0)",
        "INSERT INTO t(a, c) VALUES (NULL, 0)",
        "INSERT INTO t(a, c) VALUES ('x', 1)",
        "INSERT INTO t(a, c) VALUES ('x', 2)",
        "INSERT INTO t(a, c, body) VALUES ('x', 0, x'00')",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            plain.execute(statement)
    plain.execute("INSERT INTO t(a, c) VALUES ('x', 0)")


def test_versions_names_and_files(audiomem: Command, tmp_path: Path) -> None:
    audiomem("create", "sqlite_t.flac", "a TEXT", "b TEXT")
    with am.open("sqlite_t.flac") as table:
        table.append([{"a": "a", "b": "b"}])
        table.tag("first")
        table.append([{"a": "c", "b": "d"}])
    fails(
        audiomem("dump", "sqlite_t.flac", "-o", "x.sql"),
        2,
        "SQLite keeps the name sqlite_t for itself. Give it another: --table",
    )
    assert not os.path.exists("x.sql")
    assert audiomem("dump", "sqlite_t.flac", "-o", "x.sql", "--table", "x y", "--version", "first").code == 0
    plain = restored(Path("x.sql").read_bytes(), tmp_path / "plain.db")
    assert plain.execute('SELECT rowid, * FROM "x y"').fetchall() == [(1, "a", "b")]
    fails(audiomem("dump", "sqlite_t.flac", "-o", "x.sql", "--table", "t"), 1, "x.sql: File exists")
    fails(audiomem("dump", "sqlite_t.flac", "--version", "9"), 1, "version 9 is not kept")


def test_half_a_dump_is_none(audiomem: Command, tmp_path: Path) -> None:
    with Table.create("t.flac", ["id INTEGER PRIMARY KEY", "body TEXT"]) as table:
        table.append([{"id": i, "body": os.urandom(40).hex()} for i in range(20_000)])
    data = bytearray(Path("t.flac").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    Path("t.flac").write_bytes(data)
    assert audiomem("dump", "t.flac", "-o", "x.sql").code == 1
    assert not os.path.exists("x.sql")
    os.remove("t.flac")


def test_utf8_whatever_the_terminal_has(tmp_path: Path) -> None:
    am.write_flac([{"a": "naïve 🎼"}], tmp_path / "t.flac").close()
    done = subprocess.run(
        [sys.executable, "-m", "audiomem_sql", "dump", "t.flac"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert restored(done.stdout, tmp_path / "p.db").execute("SELECT a FROM t").fetchone() == ("naïve 🎼",)


@pytest.mark.parametrize(
    "value", [*AWKWARD, None, 0, -(2**63), 0.1, -5e-324, 1e300, float("inf"), b"", b"\0'"]
)
def test_a_literal_is_its_value(value: object) -> None:
    assert apsw.Connection("").execute(f"SELECT {literal(value)}").get == value


def test_the_shells_own_dump_has_no_rows(tmp_path: Path) -> None:
    """As the docs say: it keeps the statement that makes the table, as of any virtual table."""
    connection = apsw.Connection(str(tmp_path / "d.sqlite"))
    am.register(connection)
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', a TEXT); INSERT INTO t VALUES ('row')"
    )
    connection.close()
    done = subprocess.run(
        ["sqlite3", "d.sqlite", ".dump"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "USING audiomem(''t.flac'', a TEXT)" in done.stdout
    assert "row" not in done.stdout.replace("rows", "")
