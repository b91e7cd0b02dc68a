"""SQLite connects to its tables again when the schema changes, also in a transaction that wrote to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import audiomem_sql as am
from audiomem_sql.connections import register


@pytest.fixture(params=[100, 0], ids=["statements are kept", "statements are not kept"])
def sql(request: pytest.FixtureRequest, tmp_path: Path, door: str) -> Iterator[apsw.Connection]:
    """Statements that are kept hold on to the table that they were prepared for."""
    connection = apsw.Connection(str(tmp_path / "main.db"), statementcachesize=request.param)
    register(connection)
    connection.set_busy_timeout(0)
    yield connection
    connection.close()


def ids(sql: apsw.Connection, name: str = "t") -> list[int]:
    return [row[0] for row in sql.execute(f"SELECT id FROM {name} ORDER BY id")]


CREATE = "CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY)"


def test_back_to_a_savepoint_after_create(sql: apsw.Connection, tmp_path: Path) -> None:
    sql.execute(f"BEGIN; {CREATE}; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2)")
    sql.execute("ROLLBACK TO s")
    assert ids(sql) == [1]
    sql.execute("INSERT INTO t VALUES (3)")
    assert ids(sql) == [1, 3]
    sql.execute("ROLLBACK TO s")
    assert ids(sql) == [1]
    sql.execute("INSERT INTO t SELECT 4 UNION SELECT 5; COMMIT")
    assert ids(sql) == [1, 4, 5]
    sql.close()
    assert am.read_flac(tmp_path / "t.flac")["id"].tolist() == [1, 4, 5]


def test_drop_closes_the_table_after_all_that(sql: apsw.Connection, tmp_path: Path) -> None:
    sql.execute(f"BEGIN; {CREATE}; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2)")
    sql.execute("ROLLBACK TO s; INSERT INTO t VALUES (3); COMMIT")
    assert (tmp_path / "t.flac-wal").exists()
    sql.execute("DROP TABLE t")
    assert not (tmp_path / "t.flac-wal").exists()
    assert am.read_flac(tmp_path / "t.flac")["id"].tolist() == [1, 3]


def test_rename_in_a_transaction(sql: apsw.Connection, tmp_path: Path) -> None:
    sql.execute(f"{CREATE}; BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2)")
    sql.execute("ALTER TABLE t RENAME TO u")
    assert ids(sql, "u") == [1, 2]
    sql.execute("INSERT INTO u VALUES (3)")  # joins in: the savepoint stays where it was
    assert ids(sql, "u") == [1, 2, 3]
    sql.execute("ROLLBACK TO s")
    assert ids(sql) == [1]
    sql.execute("INSERT INTO t VALUES (4); RELEASE s; COMMIT")
    sql.execute("BEGIN; INSERT INTO t VALUES (5); CREATE TABLE other(a); ALTER TABLE other RENAME TO more")
    sql.execute("INSERT INTO t VALUES (6); ROLLBACK")
    assert ids(sql) == [1, 4]
    sql.close()
    assert am.read_flac(tmp_path / "t.flac")["id"].tolist() == [1, 4]


def test_a_copy_takes_the_place_of_a_table(sql: apsw.Connection, tmp_path: Path) -> None:
    """What migrations do; the table is closed when it is dropped, so its file can be used by others."""
    sql.execute(f"{CREATE}; INSERT INTO t VALUES (1)")
    sql.execute("BEGIN; CREATE VIRTUAL TABLE n USING audiomem('n.flac', id INTEGER PRIMARY KEY, a TEXT)")
    sql.execute("INSERT INTO n SELECT id, 'x' FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t")
    assert sql.execute("SELECT * FROM t").fetchall() == [(1, "x")]
    sql.execute("UPDATE t SET a = 'y'; INSERT INTO t VALUES (2, 'z'); COMMIT")
    assert sql.execute("SELECT * FROM t").fetchall() == [(1, "y"), (2, "z")]
    am.drop(tmp_path / "t.flac")
    sql.execute("BEGIN; INSERT INTO t VALUES (3, 'w'); ALTER TABLE t RENAME TO u; DROP TABLE u; COMMIT")
    am.drop(tmp_path / "n.flac")
    assert list(tmp_path.glob("*.flac*")) == []


def test_another_table_of_the_same_file_is_another_one(sql: apsw.Connection) -> None:
    sql.execute(f"{CREATE}; CREATE VIRTUAL TABLE u USING audiomem('t.flac', version=1)")
    sql.execute("BEGIN; INSERT INTO t VALUES (1); CREATE TABLE other(a); ALTER TABLE other RENAME TO more")
    assert ids(sql) == [1]
    assert ids(sql, "u") == []
    sql.execute("DROP TABLE u")
    assert ids(sql) == [1]
    sql.execute("COMMIT")
    assert ids(sql) == [1]


DOORS = ("extension", "python")


@pytest.mark.parametrize("before", ["", "INSERT INTO t VALUES (9);"])
def test_a_savepoint_from_before_the_first_change_stays_where_it_was(
    sql: apsw.Connection, before: str
) -> None:
    """A rollback after a rename connects the table again, which then joined as if the savepoint were new."""
    sql.execute(f"{CREATE}; INSERT INTO t VALUES (1); BEGIN; {before} ALTER TABLE t RENAME TO u; SAVEPOINT s")
    kept = [1, 9] if before else [1]
    sql.execute("UPDATE u SET id = id + 20; SAVEPOINT inner")  # with a savepoint of its own
    sql.execute("ROLLBACK TO inner; RELEASE inner; INSERT INTO u VALUES (7)")
    assert ids(sql, "u") == [7, *(number + 20 for number in kept)]
    sql.execute("ROLLBACK TO s")
    assert ids(sql, "u") == kept
    sql.execute("INSERT INTO u VALUES (8); RELEASE s; COMMIT")
    assert ids(sql, "u") == sorted({*kept, 8})
