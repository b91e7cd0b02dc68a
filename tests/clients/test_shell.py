"""The stock sqlite3 shell with a table in a FLAC file.

Everything that a Python process can do, and how the shell ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import apsw
import pytest
from samples import SCHEMA, content, create

import audiomem_sql
from audiomem_sql.loadable import loadable_path
from audiomem_sql.table.table import Table

from .conftest import ENVIRONMENT, Shell

SESSION = """
CREATE VIRTUAL TABLE notes USING audiomem('{}.flac', id INTEGER PRIMARY KEY, title TEXT NOT NULL,
  body TEXT SEMANTIC INDEXED, year INTEGER CHECK (year < 3000), seen TIMESTAMP, vec FLOAT[2], model=hashing);
INSERT INTO notes(title, body, year, seen) VALUES
  ('a', 'How do I reset my password?', 2021, '2024-03-01T10:00:00Z'),
  ('b', 'Passwords are reset by mail', 2019, NULL), ('c', 'naïve 🎼 cats', 2023, '1969-12-31 23:59:59.25');
SELECT id, title, CAST(distance * 1e6 AS INTEGER) FROM notes
  WHERE notes MATCH 'reset a password' AND year > 2020 ORDER BY distance LIMIT 2;
SELECT title, highlight(body, 'reset', '[', ']'), CAST(rank * 1e6 AS INTEGER) FROM notes
  WHERE notes MATCH 'keyword: reset' ORDER BY rank;
BEGIN;
UPDATE notes SET year = year + 1 WHERE title = 'a';
SAVEPOINT inner;
DELETE FROM notes;
SELECT count(*) FROM notes;
ROLLBACK TO inner;
RELEASE inner;
COMMIT;
BEGIN;
INSERT INTO notes(title) VALUES ('never');
ROLLBACK;
INSERT INTO notes(notes, rank) VALUES ('tag', 'spring');
UPDATE notes SET vec = '[0.25, -1]', body = NULL WHERE id = 3;
SELECT id, title, body, year, seen, hex(vec) FROM notes;
SELECT old.year, new.year FROM notes AS old JOIN notes AS new USING (id) WHERE old.version = 2 ORDER BY id;
SELECT count(*) FROM notes WHERE version = 'spring';
SELECT snapshot_id, inserted, deleted, tag FROM audiomem_snapshots('notes');
SELECT snapshot_id, row_id, change_type, row FROM audiomem_changes('notes', 2, 5);
CREATE TABLE reader(note INTEGER, name TEXT);
INSERT INTO reader VALUES (1, 'Ada'), (2, 'Grace'), (2, NULL);
SELECT title, count(name), group_concat(name) FROM notes JOIN reader ON reader.note = notes.id
  GROUP BY notes.id;
SELECT title FROM notes WHERE id IN (SELECT note FROM reader) ORDER BY id DESC LIMIT 1;
INSERT OR REPLACE INTO notes(id, title) VALUES (1, 'A'), (9, 'z');
INSERT OR IGNORE INTO notes(id, title) VALUES (9, 'y'), (10, NULL), (11, 'x');
INSERT INTO notes(notes) VALUES ('vacuum');
PRAGMA integrity_check;
SELECT count(*) FROM audiomem_verify('notes');
INSERT INTO notes(notes, rank) VALUES ('add column', 'lang TEXT DEFAULT ''en''');
SELECT id, title, year, lang, typeof(vec) FROM notes ORDER BY id;
SELECT embed('text', 'hashing') = embed('text', 'hashing'), cosine_distance('[1,0]', '[0,1]') = 1;
ALTER TABLE notes RENAME TO papers;
SELECT count(*), max(seen), sum(year) FROM papers;
DROP TABLE papers;
"""


def test_a_session_gives_what_python_gives(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = shell(SESSION.format("shell"), mode="quote")
    assert said.err == ""
    assert said.code == 0

    connection = apsw.Connection(":memory:")
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "off")
    audiomem_sql.register(connection)
    path = str(tmp_path / "python")
    expected = [
        ",".join(map(_quoted, row)) for row in connection.execute(SESSION.format(path)) if row != ("ok",)
    ]
    connection.close()
    assert [line for line in said.out.splitlines() if line != "'ok'"] == expected
    # the shell of this machine may be of before 3.44, and then checks no virtual table
    with Table(tmp_path / "shell.flac") as one, Table(tmp_path / "python.flac") as other:
        assert content(one) == content(other)
        assert one.version == other.version


def _quoted(value: object) -> str:
    """As ``.mode quote`` has it."""
    connection = apsw.Connection("")
    (text,) = connection.execute("SELECT quote(?)", (value,)).fetchone() or ("",)
    return str(text)


def test_every_value_of_every_type(shell: Shell, tmp_path: Path) -> None:
    create(tmp_path / "t.flac", 300).close()
    names = ", ".join(f"hex(CAST({name} AS BLOB)), typeof({name})" for name in SCHEMA.names)
    connection = apsw.Connection(str(tmp_path / "native.db"))
    audiomem_sql.register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE temp.t USING audiomem('{tmp_path / 't.flac'}')")
    connection.execute("CREATE TABLE n AS SELECT * FROM t")
    connection.close()
    query = f"SELECT {names} FROM {{}} ORDER BY id;"
    ours = shell("CREATE VIRTUAL TABLE t USING audiomem('t.flac');", query.format("t"))
    native = shell(query.format("n"), database="native.db")
    assert ours == native
    assert len(ours.out.splitlines()) == 300


def test_a_second_process_waits_for_nobody_who_has_gone(shell: Shell, tmp_path: Path) -> None:
    made = "CREATE VIRTUAL TABLE t USING audiomem('t.flac', a INTEGER PRIMARY KEY);"
    begun = [made, "INSERT INTO t VALUES (1);", "BEGIN;", "INSERT INTO t VALUES (2);"]
    assert shell(*begun).code == 0  # ends in the middle of a transaction, with the table open
    killed = subprocess.Popen(
        ["sqlite3", "-batch", ":memory:"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    assert killed.stdin is not None
    assert killed.stdout is not None
    killed.stdin.write(f".load {loadable_path()}\n" + "\n".join([made, *begun[2:], "SELECT 'ready';\n"]))
    killed.stdin.flush()
    assert killed.stdout.readline() == "ready\n"
    killed.kill()
    killed.communicate()
    with Table(tmp_path / "t.flac", busy_timeout=0) as table:
        table.append([{"a": 3}])
        assert content(table) == [{"a": 1}, {"a": 3}]


def test_half_read_statements_and_open_cursors_end_well(shell: Shell) -> None:
    lines = ["CREATE VIRTUAL TABLE t USING audiomem('t.flac', a INTEGER PRIMARY KEY, b TEXT);"]
    lines.append("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)")
    lines.append("INSERT INTO t SELECT i, 'text ' || i FROM n;")
    lines.append(".bail on")
    lines.append("SELECT abs(-9223372036854775807 - 1), a FROM t;")  # fails at its first row
    said = shell(*lines)
    assert "integer overflow" in said.err
    assert said.code == 1


def test_ctrl_c_ends_the_statement_and_not_the_shell(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["a INTEGER PRIMARY KEY"]) as table:
        table.append([{"a": number} for number in range(5000)])
    process = subprocess.Popen(
        ["sqlite3", "-interactive", ":memory:"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f".load {loadable_path()}\nCREATE VIRTUAL TABLE t USING audiomem('t.flac');\n")
    process.stdin.write(
        "SELECT 'ready' || 1;\nSELECT count(*) FROM t, t AS u, t AS v WHERE t.a + u.a <> -v.a;\n"
    )
    process.stdin.write("SELECT 'after' || count(*) FROM t;\n.exit\n")
    process.stdin.flush()
    while "ready1" not in process.stdout.readline():
        pass
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    assert "interrupted" in out
    assert "after5000" in out


def test_errors_of_ours_are_errors_of_sql(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "song.flac").write_bytes(b"no table")
    said = shell(
        "CREATE VIRTUAL TABLE a USING audiomem('nowhere/t.flac', a TEXT);",
        "CREATE VIRTUAL TABLE b USING audiomem('song.flac');",
        "CREATE VIRTUAL TABLE c USING audiomem('t.flac', a INTEGER CHECK (a > 0) UNIQUE);",
        "INSERT INTO c VALUES ('x');",
        "INSERT INTO c VALUES (1), (0);",
        "INSERT INTO c VALUES (1), (1);",
        "SELECT * FROM c WHERE version = 'spring';",
        "SELECT cosine_distance('[1]', '[1, 2]');",
        "SELECT * FROM audiomem_snapshots('x');",
        "INSERT INTO c(c) VALUES ('frobnicate');",
        "SELECT count(*) FROM c;",
    )
    assert said.out == "0\n"
    for expected in (
        "nowhere",
        "song.flac",
        "cannot store TEXT value in INTEGER column a",
        "CHECK constraint failed: a > 0 (19)",
        "UNIQUE constraint failed: c.a (19)",
        "there is no tag 'spring'",
        "there is no audiomem table x",
        "frobnicate",
    ):
        assert expected in said.err
    assert len(said.err.strip().splitlines()) == 9


def test_what_is_missing_is_told_when_it_is_loaded(shell: Shell, tmp_path: Path) -> None:
    library = tmp_path / "libpython.so"
    library.write_bytes(b"")
    old = tmp_path / "old"
    (old / "bin").mkdir(parents=True)
    (old / "bin" / "python").symlink_to("/bin/true")
    (old / "pyvenv.cfg").write_text(f"home = {old}/bin\nversion = 3.9.1\n")
    gone = tmp_path / "gone"
    (gone / "bin").mkdir(parents=True)
    (gone / "bin" / "python").symlink_to("/bin/true")
    (gone / "pyvenv.cfg").write_text(f"home = {tmp_path}/nowhere/bin\nversion = 3.11.9\n")
    for variable, value, expected in (
        ("AUDIOMEM_PYTHON", "/nowhere/python", "AUDIOMEM_PYTHON is /nowhere/python"),
        ("AUDIOMEM_PYTHON", str(old / "bin" / "python"), "is Python 3.9, and 3.11 or newer is needed"),
        ("AUDIOMEM_PYTHON", str(gone / "bin" / "python"), "is gone"),
        ("AUDIOMEM_LIBPYTHON", str(library), "AUDIOMEM_LIBPYTHON cannot be loaded"),
        ("PYTHONHOME", "/usr", "PYTHONHOME is set"),
    ):
        said = shell("SELECT 'alive';", **{variable: value})
        assert expected in said.err
        assert said.out == "alive\n", "the host goes on"


def test_a_python_without_the_package_is_told(shell: Shell, tmp_path: Path) -> None:
    subprocess.run(
        [os.path.realpath("/proc/self/exe"), "-m", "venv", "--without-pip", tmp_path / "bare"], check=True
    )
    copied = tmp_path / "audiomem.so"
    copied.write_bytes(Path(loadable_path()).read_bytes())
    said = shell("SELECT 1;", load=str(copied), AUDIOMEM_PYTHON=str(tmp_path / "bare" / "bin" / "python"))
    assert "No module named" in said.err
    assert "Install it there, or set AUDIOMEM_PYTHON" in said.err
    assert said.out == "1\n"


def test_loading_starts_no_python(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('Python runs', flush=True)\n")
    paths = {"PYTHONPATH": str(tmp_path)}
    assert shell("SELECT 'loaded' COLLATE audiomem_time;", **paths).out == "loaded\n"
    for use in (
        "SELECT audiomem_version() <> '';",
        "SELECT decimal_sum(value) FROM json_each('[1]');",
        "SELECT count(*) >= 0 FROM audiomem_cache;",
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', a TEXT); SELECT 1;",
    ):
        said = shell(use, **paths)
        assert said.out == "Python runs\n1\n", use
        assert said.err == ""


def test_a_package_that_does_not_run_is_told_at_the_first_use(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('no numpy for this machine')\n")
    said = shell(
        "SELECT 'alive';",
        "SELECT audiomem_version();",
        "SELECT decimal_sum(value) FROM json_each('[1]');",
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', a TEXT);",
        "SELECT * FROM audiomem_cache;",
        "SELECT 'still alive';",
        PYTHONPATH=str(tmp_path),
    )
    assert said.out == "alive\nstill alive\n"
    assert said.err.count("no numpy for this machine") == 4
