"""What a stranger's schema may call: nothing that loads a model, or opens a file by a name of its own."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
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
        "embed": DIRECT_ONLY,
        "vec_from_json": INNOCUOUS,
        "vec_to_json": INNOCUOUS,
        "cosine_distance": INNOCUOUS,
        "l2_distance": INNOCUOUS,
        "highlight": 0,
        "snippet": 0,
    }
    assert (apsw.SQLITE_DIRECTONLY, apsw.SQLITE_INNOCUOUS) == (DIRECT_ONLY, INNOCUOUS)
