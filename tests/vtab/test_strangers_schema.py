"""What a stranger's schema may call: nothing that loads a model, or opens a file by a name of its own."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import QueryError
from audiomem_sql.table.table import Table
from audiomem_sql.udfs import functions
from audiomem_sql.udfs.function import DIRECT_ONLY, INNOCUOUS

UNSAFE = "unsafe use of"
EMBED = "embed('a', 'hashing')"


def opened(path: Path, *, trusted: bool) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    register(connection)
    connection.execute(f"PRAGMA trusted_schema = {'ON' if trusted else 'OFF'}")
    return connection


def gift(folder: Path, schema: str) -> Path:
    """A database that was made elsewhere, by a program in which all these functions were harmless."""
    Table.create(folder / "secret.flac", ["id INTEGER"], {"model": "hashing"}).close()
    path = folder / "gift.db"
    made = apsw.Connection(str(path))
    for name in ("embed", "vec_from_json", "audiomem_version"):
        made.create_scalar_function(name, lambda *_: None, deterministic=True)
    made.execute("CREATE TABLE base(a); INSERT INTO base VALUES (1)")
    made.execute(schema.replace("SECRET", str(folder / "secret.flac")))
    made.close()
    return path


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    ("schema", "statement"),
    [
        (f"CREATE VIEW v AS SELECT {EMBED} FROM base", "SELECT * FROM v"),
        (f"CREATE TRIGGER g AFTER INSERT ON base BEGIN SELECT {EMBED}; END", "INSERT INTO base VALUES (2)"),
        (f"CREATE TABLE c(a CHECK ({EMBED} IS NOT a))", "INSERT INTO c VALUES (1)"),
        (f"CREATE TABLE c(a, b AS ({EMBED}))", "SELECT b FROM c"),
        (f"CREATE TABLE c(a DEFAULT ({EMBED}))", "INSERT INTO c DEFAULT VALUES"),
        (f"CREATE INDEX i ON base({EMBED})", "INSERT INTO base VALUES (2)"),
    ],
)
def test_a_schema_cannot_embed(tmp_path: Path, schema: str, statement: str, trusted: bool) -> None:
    path = gift(tmp_path, schema)
    with pytest.raises(apsw.Error, match=f"{UNSAFE} embed"):
        opened(path, trusted=trusted).execute(statement).fetchall()


def test_an_attached_schema_cannot_either(tmp_path: Path) -> None:
    path = gift(tmp_path, f"CREATE VIEW v AS SELECT {EMBED} FROM base")
    connection = opened(Path(":memory:"), trusted=True)
    connection.execute("ATTACH ? AS gift", (str(path),))
    with pytest.raises(apsw.SQLError, match=f"{UNSAFE} embed"):
        connection.execute("SELECT * FROM gift.v").fetchall()


@pytest.mark.parametrize("function", ["audiomem_snapshots", "audiomem_changes"])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_view_cannot_open_a_file(tmp_path: Path, function: str, trusted: bool) -> None:
    path = gift(tmp_path, f"CREATE VIEW v AS SELECT * FROM {function}('SECRET')")
    with pytest.raises(apsw.SQLError, match=UNSAFE):
        opened(path, trusted=trusted).execute("SELECT * FROM v").fetchall()


def test_a_view_may_call_what_is_pure(tmp_path: Path) -> None:
    path = gift(
        tmp_path, "CREATE VIEW v AS SELECT audiomem_version() > '', length(vec_from_json('[1]')) FROM base"
    )
    assert opened(path, trusted=False).execute("SELECT * FROM v").fetchall() == [(1, 4)]


def test_who_writes_the_statement_may_embed(tmp_path: Path) -> None:
    path = gift(tmp_path, "CREATE VIEW v AS SELECT 1")
    assert opened(path, trusted=False).execute(f"SELECT length({EMBED})").fetchall() == [(1024,)]


def test_what_each_function_may_be_called_from() -> None:
    flags = {function.name: function.flags for function in functions()}
    assert flags == {
        "audiomem_version": INNOCUOUS,
        "audiomem_device": DIRECT_ONLY,
        "embed": DIRECT_ONLY,
        "vec_from_json": INNOCUOUS,
        "vec_to_json": INNOCUOUS,
        "cosine_distance": INNOCUOUS,
        "l2_distance": INNOCUOUS,
        "highlight": 0,
        "snippet": 0,
    }
    assert (apsw.SQLITE_DIRECTONLY, apsw.SQLITE_INNOCUOUS) == (DIRECT_ONLY, INNOCUOUS)


FILTERED = "CREATE VIEW v AS SELECT id FROM t WHERE filter = '{}'"


def gift_with_table(folder: Path, schema: str) -> apsw.Connection:
    """A stranger's database with a table t, attached as gift beside databases of the user's own."""
    path = folder / "gift.db"
    made = apsw.Connection(str(path))
    register(made)
    made.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{folder}/t.flac', id INTEGER PRIMARY KEY, body TEXT INDEXED);"
        "INSERT INTO t VALUES (1, 'one'), (2, 'two'); CREATE TABLE base(a); INSERT INTO base VALUES (2)"
    )
    made.execute(schema)
    made.close()
    connection = opened(folder / "own.db", trusted=True)
    connection.execute(
        "CREATE TABLE secrets(a); INSERT INTO secrets VALUES (1); CREATE TABLE word(a); CREATE TABLE base(a);"
        "INSERT INTO base VALUES (1); CREATE TEMP TABLE passing(a); INSERT INTO passing VALUES (1)"
    )
    connection.execute("ATTACH ? AS gift", (str(path),))
    connection.execute(
        "ATTACH ':memory:' AS last; CREATE TABLE last.late(a); INSERT INTO last.late VALUES (1)"
    )
    return connection


@pytest.mark.parametrize(
    "condition",
    [
        "id IN (SELECT a FROM secrets)",
        "id IN (SELECT a FROM main.secrets)",
        "id IN main.secrets",
        "id IN [secrets]",
        "id IN ''secrets''",
        "EXISTS (SELECT 1 FROM ''main''.''secrets'' WHERE a = t.id)",
        "(SELECT count(*) FROM base JOIN /* */ ''secrets'')",
        "(SELECT count(*) FROM base, ''SECRETS'')",
        "(SELECT count(*) FROM (''secrets''))",
        "id IN (WITH w AS (SELECT a FROM secrets) SELECT a FROM w)",
        "id IN (SELECT a FROM passing)",
        "id IN (SELECT a FROM temp.passing)",
        "id IN (SELECT a FROM late)",
        "id IN (SELECT a FROM last.late)",
        "id IN (SELECT a FROM base)",
        "(SELECT gift.a FROM ''secrets'' AS gift)",
        "id IN (SELECT a FROM gift.base UNION SELECT a FROM main.base)",
        "(SELECT count(*) FROM sqlite_master)",
        "(SELECT count(*) FROM sqlite_temp_master)",
        "(SELECT count(*) FROM main.sqlite_master)",
        "(SELECT count(*) FROM pragma_table_info(''secrets''))",
        "(SELECT count(*) FROM ''pragma_database_list'')",
        "(SELECT count(*) FROM ''audiomem_snapshots''(''t''))",
        "id IN (SELECT seq FROM ''audiomem_verify'')",
    ],
)
def test_the_filter_of_a_view_reads_no_other_database(tmp_path: Path, condition: str) -> None:
    connection = gift_with_table(tmp_path, FILTERED.format(condition))
    with pytest.raises(QueryError, match="a filter may not use"):
        connection.execute("SELECT * FROM gift.v").fetchall()
    with pytest.raises(QueryError, match="a filter may not use"):
        connection.execute(
            "SELECT id FROM gift.t WHERE filter = ?", (condition.replace("''", "'"),)
        ).fetchall()
    connection.execute("PRAGMA trusted_schema = OFF")
    with pytest.raises(apsw.SQLError, match=UNSAFE):
        connection.execute("SELECT * FROM gift.v").fetchall()


@pytest.mark.parametrize(
    "condition",
    [
        "id IN (SELECT a FROM gift.base)",
        "id = 2 AND body IN (SELECT ''secrets'' UNION ALL SELECT ''two'')",
        "id = 2 * (SELECT count(*) FROM gift.base WHERE a = t.id)",
        "id IN (SELECT value FROM json_each(''[2]''))",
        "length(body) = 3 AND id > 1",
    ],
)
def test_the_filter_of_a_view_reads_its_own(tmp_path: Path, condition: str) -> None:
    connection = gift_with_table(tmp_path, FILTERED.format(condition))
    assert connection.execute("SELECT * FROM gift.v").fetchall() == [(2,)]


def test_a_trigger_carries_nothing_away(tmp_path: Path) -> None:
    connection = gift_with_table(
        tmp_path,
        "CREATE TRIGGER g AFTER INSERT ON base BEGIN INSERT INTO base"
        " SELECT id FROM t WHERE t MATCH 'one' AND filter = 'id IN (SELECT a FROM secrets)'; END",
    )
    with pytest.raises(QueryError, match="a filter may not use secrets"):
        connection.execute("INSERT INTO gift.base VALUES (7)")
    assert connection.execute("SELECT a FROM gift.base").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "schema",
    ["CREATE VIEW v AS SELECT a FROM base", "CREATE TABLE gone(a)", "CREATE VIEW v AS SELECT 1 AS audiomem"],
)
def test_where_no_view_names_the_table_a_filter_reads_all(tmp_path: Path, schema: str) -> None:
    """Such a text is the user's. (The name of the table here is in none of these.)"""
    connection = gift_with_table(tmp_path, f"ALTER TABLE t RENAME TO lines; {schema}")
    for name in ("secrets", "passing", "late", "last.late", "temp.passing", "'secrets'"):
        sql = "SELECT id FROM gift.lines WHERE filter = ?"
        assert connection.execute(sql, (f"id IN (SELECT a FROM {name})",)).fetchall() == [(1,)]
    connection.execute("CREATE TEMP VIEW mine AS SELECT id FROM gift.lines WHERE filter = 'id IN secrets'")
    assert connection.execute("SELECT * FROM mine").fetchall() == [(1,)]


@pytest.mark.parametrize("name", ['a"b', "[x", "it's", "Ünï", "LINES"])
def test_however_the_view_spells_the_name(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    view = quoted.lower() if name == "LINES" else quoted
    connection = gift_with_table(
        tmp_path,
        f"ALTER TABLE t RENAME TO {quoted};"
        f"CREATE VIEW v AS SELECT id FROM {view} WHERE audiomem_filter = 'id IN secrets'",
    )
    with pytest.raises(QueryError, match="a filter may not use secrets"):
        connection.execute("SELECT * FROM gift.v").fetchall()


def test_a_temp_table_of_the_same_name_is_no_table_of_the_schema(tmp_path: Path) -> None:
    """The view means its own table, and SQLite would look in temp first."""
    gift_with_table(tmp_path, FILTERED.format("id IN (SELECT a FROM base)")).close()
    connection = opened(tmp_path / "gift.db", trusted=True)
    assert connection.execute("SELECT * FROM v").fetchall() == [(2,)]
    connection.execute("CREATE TEMP TABLE base(a); INSERT INTO base VALUES (1)")
    with pytest.raises(QueryError, match="a filter may not use base"):
        connection.execute("SELECT * FROM v").fetchall()
