"""Keys, rowids and their names as STRICT tables take them."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from model import ModelColumn, Twins

from audiomem_sql.columns.arrow_input import schema_of_arrow
from audiomem_sql.connections import register
from audiomem_sql.errors import LimitError, SchemaError, UnsupportedError
from audiomem_sql.table.table import Table


def create(twins: Twins, columns: str, name: str = "t") -> None:
    """The same columns on both sides, as they are written."""
    twins.connection.execute(f"CREATE TABLE n_{name}({columns}) STRICT")
    path = str(twins.path(name))
    twins.connection.execute(
        f"CREATE VIRTUAL TABLE a_{name} USING audiomem('{path}', {columns}, profile=embedded)"
    )
    twins.tables[name] = ()


@pytest.mark.parametrize(
    ("columns", "is_rowid"),
    [
        ("a INTEGER PRIMARY KEY", True),
        ("a integer primary key asc", True),
        ("a INTEGER, PRIMARY KEY (a)", True),
        ("a INTEGER, PRIMARY KEY (a DESC)", True),
        ("a INT PRIMARY KEY", False),
        ("a INT, PRIMARY KEY (a)", False),
        ("a INTEGER PRIMARY KEY DESC", False),
        ("a INTEGER, PRIMARY KEY (a, a)", False),
    ],
)
def test_only_integer_primary_key_is_the_rowid(twins: Twins, columns: str, is_rowid: bool) -> None:
    create(twins, columns)
    twins.write("INSERT INTO {t} VALUES (70)")
    outcome = twins.write("INSERT INTO {t} VALUES (NULL)")
    assert (outcome.error is None) is is_rowid
    twins.write("INSERT INTO {t} VALUES (70)")
    twins.write("INSERT INTO {t}(rowid, a) VALUES (5, 50)" if not is_rowid else "INSERT INTO {t} VALUES (5)")
    twins.write("UPDATE {t} SET a = 50 WHERE a = 70")
    twins.write("UPDATE {t} SET a = 51 WHERE a = 50")
    twins.reopen()
    twins.write("INSERT INTO {t} VALUES (51)")
    for query in (
        "SELECT rowid, a FROM {t}",
        "SELECT a FROM {t} WHERE a = 51 AND rowid < 60",
        "SELECT rowid FROM {t} WHERE a IN (5, 50, 51) ORDER BY a DESC",
        "SELECT x.a FROM {t} AS x JOIN {t} AS y ON x.a = y.rowid",
    ):
        twins.same(query)


@pytest.mark.parametrize("columns", ["a INTEGER", "id INTEGER PRIMARY KEY, a INTEGER"])
def test_update_sets_the_rowid_to_integers_only(twins: Twins, columns: str) -> None:
    """SQLite hands on whatever SET rowid says."""
    create(twins, columns)
    twins.write("INSERT INTO {t}(rowid, a) VALUES (1, 10), (2, 20)")
    for value in ("NULL", "1.5", "'x'", "''", "x'31'", "1e30", "'1.5'"):
        for verb in ("UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE"):
            outcome = twins.write(f"{verb} {{t}} SET rowid = {value}, a = 30 WHERE a = 10")
            assert outcome.error is not None, (verb, value)
    for value in ("5", "' 6 '", "7.0", "'8e0'", "rowid", "-9"):
        outcome = twins.write(f"UPDATE {{t}} SET rowid = {value} WHERE a = 10")
        assert outcome.error is None, value
        twins.same("SELECT rowid, * FROM {t} ORDER BY rowid")
    twins.write("UPDATE OR IGNORE {t} SET rowid = '2' WHERE a = 10")
    twins.write("UPDATE OR REPLACE {t} SET rowid = '2' WHERE a = 10")
    twins.same("SELECT rowid, * FROM {t}")


def test_bigint_is_no_rowid_either(tmp_path: Path) -> None:
    """In SQLite BIGINT PRIMARY KEY is a key of its own, too; a STRICT table does not know the type."""
    with Table.create(tmp_path / "t.flac", ["a BIGINT PRIMARY KEY", "b TEXT"]) as table:
        table.append([{"a": 7, "b": "x"}])
        assert table.schema.rowid_column is None
        assert table.to_arrow().to_pylist() == [{"a": 7, "b": "x"}]


@pytest.mark.parametrize(
    "columns",
    [
        "a TEXT, b INTEGER, UNIQUE (a, b DESC)",
        "a TEXT, b INTEGER, UNIQUE (b ASC, A DESC, a)",
        "a TEXT, b INTEGER, PRIMARY KEY (a, b, a)",
        "a TEXT, b INTEGER, UNIQUE (a, A)",
        "a TEXT UNIQUE UNIQUE DEFAULT 'x' DEFAULT 'y', b INTEGER NOT NULL NOT NULL DEFAULT 1",
        "a TEXT COLLATE NOCASE COLLATE RTRIM UNIQUE, b INTEGER COLLATE NOCASE",
        "a TEXT, b INTEGER UNIQUE COLLATE NOCASE",
        "a TEXT, b REAL COLLATE NOCASE, UNIQUE (b, a)",
        "a BLOB COLLATE RTRIM UNIQUE, b INTEGER",
    ],
)
def test_definitions_that_a_strict_table_takes(twins: Twins, columns: str) -> None:
    create(twins, columns)
    for start in ("", "BEGIN"):
        if start:
            twins.connection.execute(start)
        for row in (
            "'a', 1",
            "'A', 1",
            "'a ', 1",
            "'a', 2",
            "'a', 1",
            "NULL, 1",
            "'b', NULL",
            "x'61', 3",
            "'a', 3e20",
        ):
            twins.write(f"INSERT INTO {{t}} VALUES ({row})")
        twins.write("INSERT INTO {t}(b) VALUES (9)")
        for query in (
            "SELECT * FROM {t}",
            "SELECT a FROM {t} WHERE b = '1' OR b COLLATE NOCASE > 'A'",
            "SELECT a FROM {t} WHERE CAST(b AS TEXT) = '3.0E+20' OR CAST(a AS TEXT) = 'A'",
            "SELECT DISTINCT a FROM {t} ORDER BY a, b",
            "SELECT x.b FROM {t} AS x JOIN {t} AS y ON x.b = y.a",
        ):
            twins.same(query)


def test_a_column_may_be_called_like_the_rowid(twins: Twins) -> None:
    create(twins, "rowid TEXT UNIQUE, b INTEGER DEFAULT 5 CHECK (_rowid_ < 100)")
    create(twins, '"RowID" INTEGER PRIMARY KEY, oid TEXT CHECK (rowid < 9)', "u")
    create(twins, "rowid INTEGER, oid TEXT, _rowid_ TEXT, CHECK (rowid <> oid)", "v")
    for statement in (
        "INSERT INTO {t} VALUES ('b', 2), ('a', 1)",
        "INSERT INTO {t}(oid, rowid) VALUES (7, 'c'), (NULL, 'd')",
        "INSERT INTO {t}(oid, rowid) VALUES (100, 'e')",
        "INSERT INTO {t}(rowid) VALUES ('a')",
        "UPDATE {t} SET rowid = 'z' WHERE rowid = 'a'",
        "UPDATE {t} SET oid = 50 WHERE rowid = 'b'",
        "DELETE FROM {t} WHERE rowid > 'y'",
        "INSERT INTO {u} VALUES (NULL, 'x'), (5, 'y')",
        "INSERT INTO {u} VALUES (9, 'z')",
        "INSERT INTO {v} VALUES (1, '2', '3'), (4, '5', '6')",
        "INSERT INTO {v} VALUES (1, '1', '3')",
        "DELETE FROM {v} WHERE _rowid_ = '6'",
    ):
        twins.write(statement)
    twins.connection.execute("BEGIN")
    twins.write("INSERT INTO {t} VALUES ('pending', 1)")
    for query in (
        "SELECT oid, rowid, b FROM {t} ORDER BY rowid DESC",
        "SELECT rowid FROM {t} ORDER BY _rowid_ DESC LIMIT 2",
        "SELECT b FROM {t} WHERE rowid IN ('b', 'c') AND oid > 1 ORDER BY oid",
        "SELECT b FROM {t} WHERE rowid BETWEEN 'b' AND 'd' AND oid = 50",
        "SELECT rowid, _rowid_, oid FROM {u} WHERE rowid = 5",
        "SELECT rowid, _rowid_, oid FROM {v} WHERE rowid < 4",
        "SELECT count(*) FROM {v}",
    ):
        twins.same(query)
    twins.connection.execute("COMMIT")
    with Table(twins.path("t")) as table:
        assert table.to_arrow(columns=["b"], where="rowid = 'b' AND oid = 50").to_pylist() == [{"b": 2}]
        assert table.to_arrow(columns=["rowid"], where="rowid > 'c'").num_rows == 2
        assert table.schema.names == ("rowid", "b")


def test_a_check_may_fail_for_every_row(twins: Twins) -> None:
    create(twins, "a INTEGER CHECK (abs(-9223372036854775808) > a)")
    for verb in ("INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"):
        outcome = twins.write(f"{verb} INTO {{t}} VALUES (1)")
        assert "integer overflow" in outcome.message
    assert "integer overflow" in twins.run("INSERT INTO a_t VALUES (1)").message
    twins.same("SELECT count(*) FROM {t}")


def test_autoincrement_gives_no_rowid_again(twins: Twins) -> None:
    create(twins, "id INTEGER PRIMARY KEY AUTOINCREMENT, u TEXT")
    create(twins, "id INTEGER, u TEXT, PRIMARY KEY (id AUTOINCREMENT) ON CONFLICT IGNORE", "v")
    for name in "tv":
        for statement in (
            "INSERT INTO {t}(u) VALUES ('a'), ('b'), ('c')",
            "DELETE FROM {t} WHERE id = 3",
            "INSERT INTO {t}(u) VALUES ('d')",
            "INSERT INTO {t} VALUES (-7, 'e')",
            "DELETE FROM {t}",
        ):
            twins.write(statement.replace("{t}", f"{{{name}}}"))
            twins.same(f"SELECT * FROM {{{name}}}")
    twins.connection.execute("INSERT INTO a_t(a_t) VALUES ('checkpoint')")
    twins.reopen()
    twins.write("INSERT INTO {t}(u) VALUES ('after')")
    twins.write("INSERT INTO {v}(u) VALUES ('after')")
    assert twins.connection.execute("SELECT id FROM a_t").get > 4
    twins.write("INSERT INTO {t} VALUES (9223372036854775807, 'last')")
    outcome = twins.write("INSERT INTO {t}(u) VALUES ('none left')")
    assert outcome.message == "database or disk is full"
    with pytest.raises(LimitError, match="the greatest rowid there can be is taken"):
        twins.connection.execute("INSERT INTO a_t(u) VALUES ('none left')")


@pytest.mark.parametrize("command", ["vacuum", "merge"])
def test_autoincrement_outlives_the_versions_of_a_row(twins: Twins, command: str) -> None:
    create(twins, "id INTEGER PRIMARY KEY AUTOINCREMENT, u TEXT")
    for _ in range(2):
        twins.write("INSERT INTO {t}(u) VALUES ('a'), ('b'), ('c')")
        twins.write("DELETE FROM {t} WHERE id > 2")
        twins.connection.execute("INSERT INTO a_t(a_t) VALUES ('checkpoint')")
        twins.connection.execute(f"INSERT INTO a_t(a_t, rank) VALUES ('{command}', NULL)")
        twins.connection.execute("INSERT INTO a_t(a_t, rank) VALUES ('vacuum', '1')")
        twins.reopen()
    twins.write("DELETE FROM {t}")
    twins.connection.execute("INSERT INTO a_t(a_t, rank) VALUES ('vacuum', '1')")
    twins.write("INSERT INTO {t}(u) VALUES ('next')")
    assert twins.connection.execute("SELECT id FROM a_t").get == 7
    with Table(twins.path("t")) as table:
        table.append([{"u": "in Python"}])
    twins.connection.execute("INSERT INTO n_t(u) VALUES ('in Python')")
    twins.same("SELECT * FROM {t}")


def test_without_it_a_rowid_is_taken_at_random_at_the_end(twins: Twins) -> None:
    create(twins, "id INTEGER PRIMARY KEY, u TEXT")
    twins.write("INSERT INTO {t} VALUES (9223372036854775807, 'last')")
    twins.connection.execute("INSERT INTO a_t(u) VALUES ('somewhere')")
    rowid = twins.connection.last_insert_rowid()
    assert 0 < rowid < 2**63 - 1
    twins.connection.execute(f"INSERT INTO n_t VALUES ({rowid}, 'somewhere')")


def test_rowids_follow_the_greatest_that_there_was(tmp_path: Path) -> None:
    """As documented: without AUTOINCREMENT, too."""
    connection = apsw.Connection(":memory:")
    register(connection)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/t.flac', a TEXT, profile=embedded)"
    )
    connection.execute("INSERT INTO t(rowid, a) VALUES (-5, 'a')")
    connection.execute("INSERT INTO t(a) VALUES ('b'), ('c')")
    connection.execute("DELETE FROM t WHERE rowid = 2")
    connection.execute("INSERT INTO t(a) VALUES ('d')")
    assert connection.execute("SELECT rowid, a FROM t ORDER BY rowid").fetchall() == [
        (-5, "a"),
        (1, "b"),
        (3, "d"),
    ]
    connection.close()


#: What SQLite refuses itself, before it asks the table: its words, which docs/SQL.md quotes.
FORBIDDEN = {
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END": "cannot create triggers on virtual tables",
    "CREATE INDEX i ON t(a)": "virtual tables may not be indexed",
    "INSERT INTO t VALUES (1, 'x') ON CONFLICT DO NOTHING": "UPSERT not implemented for virtual table",
    "INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET a = 'y'": "UPSERT not implemented",
    "UPDATE t SET a = 'y' RETURNING a": "UPDATE RETURNING is not available on virtual tables",
    "DELETE FROM t RETURNING a": "DELETE RETURNING is not available on virtual tables",
    "ALTER TABLE t ADD COLUMN b TEXT": "virtual tables may not be altered",
    "ALTER TABLE t DROP COLUMN a": "cannot drop column from virtual table",
    "ALTER TABLE t RENAME COLUMN a TO b": "cannot rename columns of virtual table",
}
#: What it asks us for.
REFUSED = {
    "INSERT INTO t(a) VALUES ('x') RETURNING id": "INSERT … RETURNING cannot be answered for t",
    "CREATE VIRTUAL TABLE u USING audiomem('u.flac', a INTEGER, b INTEGER AS (a + 1))": "generated columns",
    "CREATE VIRTUAL TABLE u USING audiomem('u.flac', a INTEGER GENERATED ALWAYS AS (1))": "generated columns",
    "CREATE VIRTUAL TABLE u USING audiomem('u.flac', a INTEGER REFERENCES n(a))": "REFERENCES is not supported",
    "CREATE VIRTUAL TABLE u USING audiomem('u.flac', a TEXT PRIMARY KEY AUTOINCREMENT)": "AUTOINCREMENT is for",
}


def test_what_sqlite_forbids_is_refused_by_name(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "n.db"))
    register(connection)
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, a TEXT, profile=embedded)"
    )
    connection.execute("INSERT INTO t VALUES (1, 'a')")
    for statement, words in FORBIDDEN.items():
        with pytest.raises(apsw.SQLError, match=words):
            connection.execute(statement)
    for statement, words in REFUSED.items():
        with pytest.raises((SchemaError, UnsupportedError), match=words):
            connection.execute(statement)
    assert connection.execute("SELECT * FROM t").fetchall() == [(1, "a")]
    assert not (tmp_path / "u.flac").exists()
    connection.close()


def test_arrow_data_keep_what_keys_say(tmp_path: Path) -> None:
    definitions = ["a INT PRIMARY KEY ON CONFLICT IGNORE", "b TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'd'"]
    with Table.create(tmp_path / "t.flac", definitions) as table:
        table.append([{"a": 7}])
        data = table.to_arrow()
    assert schema_of_arrow(data.schema).sql() == ", ".join(definitions)
    # a key that is named anew is the rowid, as that of any other data
    assert schema_of_arrow(data.schema, "a").rowid_column == 0


def test_model_columns() -> None:
    assert not ModelColumn("a", "INTEGER", ("PRIMARY KEY DESC",)).is_rowid
    assert ModelColumn("a", "INTEGER", ("PRIMARY KEY AUTOINCREMENT",)).is_rowid


@pytest.mark.parametrize("columns", ["id INTEGER PRIMARY KEY, n INTEGER", "id TEXT, n INTEGER"])
def test_the_least_integer_as_a_real_is_a_rowid_and_no_other_integer(twins: Twins, columns: str) -> None:
    create(twins, columns)
    for value, done in (
        ("-9223372036854775808.0", True),
        ("'-9223372036854775808.0'", False),
        ("9223372036854775807.0", False),
    ):
        names = ["rowid", *(["id"] if "PRIMARY" in columns else [])]
        for name in names:
            assert (twins.write(f"INSERT INTO {{t}}({name}) VALUES ({value})").rows is not None) == done
            twins.write("DELETE FROM {t}")
            twins.write("INSERT INTO {t}(rowid) VALUES (1)")
            assert (twins.write(f"UPDATE {{t}} SET {name} = {value}").rows is not None) == done
            twins.same("SELECT rowid, * FROM {t}")
            twins.write("DELETE FROM {t}")
        assert twins.write(f"INSERT INTO {{t}}(n) VALUES ({value})").rows is None
