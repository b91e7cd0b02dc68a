"""Python programs that reach SQLite by other ways than apsw: one runtime, many threads, and their errors."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pysqlite3
import pytest
import sqlalchemy

import audiomem_sql
from audiomem_sql import loadable
from audiomem_sql.errors import MissingExtraError, UnsupportedError

from .conftest import ENVIRONMENT, Said


def connect(path: str | Path = ":memory:") -> Any:
    """A connection of SQLite's own module for Python, with the extension."""
    connection = pysqlite3.connect(str(path))
    audiomem_sql.load(connection)
    return connection


def test_errors_have_the_classes_of_the_module(tmp_path: Path) -> None:
    connection = connect()
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', "
        "a INTEGER PRIMARY KEY, b TEXT CHECK (b <> ''))"
    )
    connection.execute("INSERT INTO t VALUES (1, 'x')")
    connection.commit()
    with pytest.raises(pysqlite3.IntegrityError, match=r"UNIQUE constraint failed: t\.a"):
        connection.execute("INSERT INTO t VALUES (2, 'y'), (1, 'x')")
    with pytest.raises(pysqlite3.IntegrityError, match="CHECK"):
        connection.execute("INSERT INTO t VALUES (3, '')")
    with pytest.raises(pysqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column a"):
        connection.execute("INSERT INTO t VALUES ('x', 'x')")
    with pytest.raises(pysqlite3.OperationalError, match="no tag 'nix'"):
        connection.execute("SELECT * FROM t WHERE version = 'nix'").fetchall()
    assert connection.execute("SELECT * FROM t").fetchall() == [(1, "x")]
    other = connect()
    other.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}')")
    connection.execute("INSERT INTO t VALUES (5, 'z')")
    with pytest.raises(pysqlite3.OperationalError) as caught:
        other.execute("INSERT INTO t VALUES (6, 'z')")
    assert caught.value.sqlite_errorname == "SQLITE_BUSY"
    connection.rollback()
    other.close()
    connection.close()


def test_a_table_is_remembered_by_its_database(tmp_path: Path) -> None:
    first = connect(tmp_path / "library.db")
    first.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', a INTEGER, body TEXT)")
    with first:
        first.executemany(
            "INSERT INTO t VALUES (?, ?)", [(number, f"row {number}") for number in range(1000)]
        )
    first.close()
    second = connect(tmp_path / "library.db")
    assert second.execute("SELECT count(*), sum(a) FROM t WHERE body LIKE 'row 9%'").fetchone() == (
        111,
        9 + sum(range(90, 100)) + sum(range(900, 1000)),
    )
    assert second.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    second.close()


def test_there_is_one_runtime_in_a_python_process(python: Callable[[str], Said], tmp_path: Path) -> None:
    said = python("""
import sys, pysqlite3, apsw, audiomem_sql
modules = id(sys.modules)
old = pysqlite3.connect(":memory:")
audiomem_sql.load(old)
new = apsw.Connection(":memory:")
audiomem_sql.load(new)
old.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', a INTEGER)")
old.execute("INSERT INTO t VALUES (1), (2)")
old.commit()
new.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac')")
for row in new.execute("SELECT a FROM t"):  # a statement of one SQLite inside one of the other
    assert old.execute("SELECT count(*) FROM t WHERE a <= ?", row).fetchone() == row
with open("/proc/self/maps") as maps:
    libraries = {line.split()[-1] for line in maps if "libpython" in line}
assert len(libraries) <= 1, libraries
assert len({line for line in sys.modules if line == "audiomem_sql"}) == 1 and id(sys.modules) == modules
print("fine")
""")
    assert said == Said(0, "fine\n", "")


def test_a_process_that_ends_in_the_middle_ends_well(python: Callable[[str], Said]) -> None:
    said = python("""
import warnings, pysqlite3, audiomem_sql
warnings.simplefilter("ignore")
kept = pysqlite3.connect(":memory:")
audiomem_sql.load(kept)
kept.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', a INTEGER, b TEXT)")
kept.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 100) for n in range(20000)])
kept.commit()
reading = kept.execute("SELECT b FROM t")
next(reading)
kept.execute("INSERT INTO t VALUES (1, 'never committed')")
print("fine")
""")
    assert said == Said(0, "fine\n", "")


def test_threads_of_a_pool(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(
        f"sqlite:///{tmp_path / 'library.db'}", module=pysqlite3, connect_args={"check_same_thread": False}
    )
    sqlalchemy.event.listen(engine, "connect", lambda connection, _: audiomem_sql.load(connection))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', "
            "id INTEGER PRIMARY KEY, thread INTEGER, n INTEGER)"
        )
    failed: list[BaseException] = []
    commits = 40

    def hammer(number: int) -> None:
        try:
            for n in range(commits):
                with engine.begin() as connection:
                    for _ in range(3):
                        connection.exec_driver_sql("INSERT INTO t(thread, n) VALUES (?, ?)", (number, n))
                with engine.connect() as connection:
                    query = "SELECT thread, n, count(*) FROM t GROUP BY 1, 2"
                    seen = connection.exec_driver_sql(query).fetchall()
                    assert all(count == 3 for _, _, count in seen), "half a commit"
                    assert sum(thread == number for thread, _, _ in seen) == n + 1, "own commits are seen"
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    engine.dispose()
    with audiomem_sql.open(tmp_path / "t.flac") as table:
        assert len(table) == 4 * commits * 3


def test_debians_python_borrows_the_packages(tmp_path: Path) -> None:
    code = f"""
import sqlite3, sys
connection = sqlite3.connect(":memory:")
connection.enable_load_extension(True)
connection.load_extension({loadable.loadable_path()!r})
connection.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', a TEXT)")
connection.execute("INSERT INTO t VALUES ('borrowed')")
print(connection.execute("SELECT a FROM t").fetchall())
"""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    version = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True).stdout
    if version.startswith(f"Python 3.{sys.version_info.minor}."):
        assert (done.stdout, done.stderr) == ("[('borrowed',)]\n", "")
    else:
        assert "Install it there, or set AUDIOMEM_PYTHON" in done.stderr


def test_a_connection_that_cannot_load_is_told_what_can() -> None:
    class Closed:
        """As pyenv's sqlite3.Connection: without enable_load_extension."""

    with pytest.raises(UnsupportedError, match="pysqlite3-binary"):
        audiomem_sql.load(Closed())
    if not hasattr(sqlite3.Connection, "enable_load_extension"):
        connection = sqlite3.connect(":memory:")
        with pytest.raises(UnsupportedError, match="pysqlite3-binary"):
            audiomem_sql.load(connection)
        connection.close()


def test_loading_is_allowed_for_this_file_alone() -> None:
    connection = connect()
    with pytest.raises(pysqlite3.OperationalError, match="not authorized"):
        connection.execute("SELECT load_extension('x')")
    connection.close()


@pytest.mark.parametrize("module", ["pysqlite3", "sqlean"])
def test_every_connection_of_a_module_from_now_on(python: Callable[[str], Said], module: str) -> None:
    said = python(f"""
import threading, audiomem_sql, {module} as module
before = module.connect("library.db")
known = "SELECT count(*) FROM pragma_module_list WHERE name = 'audiomem'"
first = module.connect(":memory:")
audiomem_sql.load(first)
assert module.connect("library.db").execute(known).fetchone() == (0,)
audiomem_sql.load(first, every_connection=True)
later = module.connect("library.db")
later.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', a INTEGER, seen TIMESTAMP)")
later.execute("INSERT INTO t VALUES (1, '2024-01-01')")
later.commit()
found = []
def other():
    connection = module.connect("library.db")
    found.extend(connection.execute("SELECT a FROM t WHERE seen = '2024-01-01T00:00:00'").fetchall())
    found.extend(connection.execute("SELECT name FROM pragma_table_info('t')").fetchall())
thread = threading.Thread(target=other)
thread.start()
thread.join()
assert found == [(1,), ("a",), ("seen",)], found
assert before.execute(known).fetchone() == (0,)
try:
    later.execute("SELECT load_extension('x')")
except module.OperationalError as error:
    assert "not authorized" in str(error)
print("fine")
""")
    assert said == Said(0, "fine\n", "")


def test_every_connection_of_apsw_and_of_duckdb(python: Callable[[str], Said]) -> None:
    said = python("""
import apsw, duckdb, audiomem_sql
from audiomem_sql.errors import UnsupportedError
audiomem_sql.load(apsw.Connection(""), every_connection=True)
apsw.Connection("").execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', a INTEGER)")
try:
    audiomem_sql.load(duckdb.connect(config={"allow_unsigned_extensions": "true"}), every_connection=True)
except UnsupportedError as error:
    assert "one database" in str(error)
    print("fine")
""")
    assert said == Said(0, "fine\n", "")


def test_without_the_file_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loadable, "__file__", str(tmp_path / "loadable.py"))
    with pytest.raises(MissingExtraError, match="libsqlite3-dev"):
        audiomem_sql.loadable_path()
    connection = apsw.Connection(":memory:")
    audiomem_sql.load(connection)  # apsw has the table in Python
    assert connection.execute("SELECT typeof(embed('x', 'hashing'))").fetchone() == ("blob",)
    connection.close()


def test_the_path_is_printed(python: Callable[[str], Said]) -> None:
    said = python(
        "import sys; from audiomem_sql.cli.main import run; sys.exit(run(['extension-path', 'sqlite']))"
    )
    assert said.out == loadable.loadable_path() + "\n"
    said = python(
        "import sys; from audiomem_sql.cli.main import run; sys.exit(run(['extension-path', 'oracle']))"
    )
    assert said.code == 2
    assert "oracle" in said.err
    assert os.path.isabs(loadable.loadable_path())
