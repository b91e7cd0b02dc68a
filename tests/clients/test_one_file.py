"""After a clean close, by whichever door, a table is one file, which has all commits in a copy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pysqlite3
import pytest
import sqlalchemy as sa

import audiomem_sql as am
import audiomem_sql.pandas  # the accessor
from audiomem_sql import dbapi
from audiomem_sql.cli.main import run
from audiomem_sql.errors import DamagedFileError, DamageWarning
from audiomem_sql.loadable import loadable_path

from .conftest import Shell

NAME = "notes.flac"
CREATE = f"CREATE VIRTUAL TABLE notes USING audiomem('{NAME}', id INTEGER PRIMARY KEY, body TEXT)"
ROWS = [{"id": 1, "body": "one"}, {"id": 2, "body": "two"}]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["small", "large"])
def notes(request: pytest.FixtureRequest) -> list[int]:
    """Makes a table, one that is written anew when it is closed or one that is too large for one segment.

    Its ids.
    """
    rows = list(ROWS)
    if request.param == "large":
        rows += [{"id": number, "body": f"{number**60:x}" * 20} for number in range(3, 1500)]
    am.write_flac(rows, NAME, primary_key="id").close()
    return [row["id"] for row in rows]  # type: ignore[misc]


def check(ids: list[int], *others: str) -> None:
    """The table is one file in this folder, also after it was copied: ids are those of its rows."""
    assert sorted(entry.name for entry in Path().iterdir()) == sorted([NAME, *others])
    copies = Path("copies")
    copies.mkdir()
    shutil.copy(NAME, copies / NAME)
    with am.open(copies / NAME) as table:
        assert table.to_arrow(["id"])["id"].to_pylist() == ids
    assert run(["verify", str(copies / NAME)]) == 0
    shutil.rmtree(copies)


def log() -> Path:
    return Path(f"{NAME}-wal")


def appended() -> None:
    with am.open(NAME) as table:
        table.append([{"id": 9000, "body": "new"}])
        assert log().exists()


def in_sql_of_the_command() -> None:
    assert run(["sql", NAME, "INSERT INTO notes VALUES (9000, 'new')"]) == 0


def in_the_shell_of_the_command() -> None:
    command = [sys.executable, "-m", "audiomem_sql", "shell", NAME]
    subprocess.run(command, input="INSERT INTO notes VALUES (9000, 'new');\n", text=True, check=True)


def in_dbapi() -> None:
    connection = dbapi.connect(NAME)
    connection.execute("INSERT INTO notes VALUES (?, ?)", (9000, "new"))
    connection.commit()
    assert log().exists()
    connection.close()


def in_sqlalchemy() -> None:
    engine = sa.create_engine(f"audiomem:///{NAME}", module=dbapi)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO notes VALUES (9000, 'new')"))
    engine.dispose()


def from_pandas() -> None:
    pd.DataFrame({"id": [9000], "body": ["new"]}).audiomem.append_to(NAME)


def from_polars() -> None:
    am.write_flac(pl.DataFrame({"id": [9000], "body": ["new"]}), NAME, if_exists="append").close()


def from_arrow() -> None:
    am.write_flac(pa.table({"id": [9000], "body": ["new"]}), NAME, if_exists="append").close()


def from_duckdb() -> None:
    duck = duckdb.connect()
    am.attach(duck, NAME)
    relation = duck.sql(
        "SELECT 9000 AS id, 'new' AS body WHERE 2 = (SELECT count(*) FROM notes WHERE id < 3)"
    )
    am.write_flac(relation, NAME, if_exists="append").close()
    duck.close()


def by_way_of_a_transaction_of_the_table() -> None:
    with am.open(NAME) as table:
        table.begin().insert(None, (9000, "thrown away"))
        table.rollback()
        transaction = table.begin()
        transaction.insert(None, (9000, "new"))
        table.commit()


DOORS: list[Callable[[], None]] = [
    appended,
    in_sql_of_the_command,
    in_the_shell_of_the_command,
    in_dbapi,
    in_sqlalchemy,
    from_pandas,
    from_polars,
    from_arrow,
    from_duckdb,
    by_way_of_a_transaction_of_the_table,
]


@pytest.mark.parametrize("write", DOORS, ids=lambda door: door.__name__)
def test_every_door_leaves_one_file(notes: list[int], write: Callable[[], None]) -> None:
    write()
    check([*notes, 9000])


@pytest.mark.parametrize("end", ["close", "DROP TABLE notes", "DETACH other"])
@pytest.mark.parametrize("door", ["extension in sqlite3", "extension in apsw", "python in apsw"])
def test_sqlite_leaves_one_file(
    notes: list[int], monkeypatch: pytest.MonkeyPatch, door: str, end: str
) -> None:
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "off" if door.startswith("python") else "on")
    connection: Any
    if door.endswith("sqlite3"):
        connection = pysqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
        am.load(connection)
    else:
        connection = apsw.Connection(":memory:", statementcachesize=0)
        am.register(connection)
    connection.execute("ATTACH ':memory:' AS other")
    where = "other." if end.startswith("DETACH") else ""
    connection.execute(CREATE.replace("TABLE ", f"TABLE {where}"))
    connection.execute("INSERT INTO notes VALUES (9000, 'new')")
    assert log().exists()
    if end != "close":
        connection.execute(end)
    if end != "close" and (door, end) != ("extension in sqlite3", "DETACH other"):  # it keeps a statement
        connection.execute("SELECT 1").fetchall()  # when SQLite lets go of what was detached
        check([*notes, 9000])
    connection.close()
    check([*notes, 9000])


def test_two_connections_leave_one_file_when_the_second_is_closed(notes: list[int]) -> None:
    first, second = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    for number, connection in enumerate((first, second)):
        am.register(connection)
        connection.execute(CREATE)
        connection.execute("INSERT INTO notes VALUES (?, 'new')", (9000 + number,))
    first.close()
    assert log().exists()
    with am.open(NAME) as reader:  # who only reads does not keep the log, nor fold it
        assert len(reader) == len(notes) + 2
    assert log().exists()
    second.close()
    check([*notes, 9000, 9001])


def test_a_reader_that_stays_open_does_not_keep_the_log(notes: list[int]) -> None:
    with am.open(NAME) as reader:
        appended()
        check([*notes, 9000])
        assert reader.refresh()
        assert len(reader) == len(notes) + 1


def test_the_stock_shell_leaves_one_file(shell: Shell, notes: list[int]) -> None:
    said = shell(
        f"CREATE VIRTUAL TABLE notes USING audiomem('{NAME}');", "INSERT INTO notes VALUES (9000, 'x');"
    )
    assert (said.code, said.err) == (0, "")
    check([*notes, 9000])


def test_a_new_table_is_one_file(tmp_path: Path) -> None:
    am.write_flac(ROWS, NAME, primary_key="id").close()
    check([1, 2])
    pd.DataFrame(ROWS).audiomem.to_flac("frame.flac", primary_key="id")
    check([1, 2], "frame.flac")


def test_ingest_leaves_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    docs = Path("docs")
    docs.mkdir()
    for number in range(30):
        (docs / f"{number}.md").write_text(f"# Part {number}\n\nA text about {number}.\n")
    assert run(["ingest", NAME, "docs", "--commit-every", "0.001"]) == 0
    (docs / "3.md").write_text("# Part 3\n\nAnother text.\n")
    assert run(["ingest", NAME, "docs"]) == 0
    shutil.rmtree(docs)
    with am.open(NAME) as table:
        ids = table.to_arrow(["id"])["id"].to_pylist()
    assert len(ids) == 30
    check(ids)


@pytest.mark.damages
def test_while_a_session_is_open_a_copy_of_the_file_says_that_it_is_not_all(notes: list[int]) -> None:
    """The copy names the versions that it has not, and salvage reads the others."""
    with am.open(NAME) as table:
        version = table.version
        table.append([{"id": 9000, "body": "new"}])
        shutil.copy(NAME, "alone.flac")
        with pytest.raises(DamagedFileError, match=f"version {version + 1} and those after it are in .*-wal"):
            am.open("alone.flac")
        with pytest.warns(DamageWarning), am.open("alone.flac", salvage=True) as left:
            assert left.to_arrow(["id"])["id"].to_pylist() == notes
        shutil.copy(log(), "alone.flac-wal")
        with am.open("alone.flac") as both:
            assert both.get(9000) == {"id": 9000, "body": "new"}


def test_duckdb_with_the_extension_reads_one_file(notes: list[int]) -> None:
    """It makes no file, sees what an open writer commits, and refuses a copy without its log."""
    duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    duck.execute(f"LOAD '{loadable_path('duckdb')}'")

    def found(path: str = NAME) -> list[int]:
        query = f"SELECT id FROM audiomem_scan('{path}') ORDER BY id"
        return [row[0] for row in duck.execute(query).fetchall()]

    assert found() == notes
    writer = am.open(NAME)
    writer.append([{"id": 9000, "body": "new"}])
    assert found() == [*notes, 9000]
    shutil.copy(NAME, "alone.flac")
    with pytest.raises(duckdb.Error, match=r"alone\.flac-wal, which is not here"):
        found("alone.flac")
    Path("alone.flac").unlink()
    relation = duck.sql("SELECT 9001 AS id, 'by DuckDB' AS body")
    am.write_flac(relation, NAME, if_exists="append").close()
    assert found() == [*notes, 9000, 9001]
    writer.close()
    assert found() == [*notes, 9000, 9001]
    check([*notes, 9000, 9001])
    duck.close()
    check([*notes, 9000, 9001])
