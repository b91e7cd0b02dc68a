"""``audiomem_attach('folder')``: a schema with a view for each table of a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import soundfile

import audiomem_sql as am

from .conftest import HAS_SECOND_INTERFACE

#: SQLite has no part in this.
DOORS = ("extension",)


@pytest.fixture
def con(loaded: Any) -> Any:
    """With a folder of two tables, music, and a folder in it."""
    os.makedirs("my [tables]/inner")
    am.write_flac([{"a": 1}], "my [tables]/x y.flac").close()
    am.write_flac([{"b": 2}], 'my [tables]/it\'s "so".flac').close()
    am.write_flac([{"c": 3}], "my [tables]/inner/z.flac").close()
    soundfile.write("my [tables]/song.flac", np.zeros((4800, 2)), 48000)
    return loaded


def attach(connection: Any, arguments: str) -> None:
    """As in a release whose interface runs no statements for an extension."""
    for (statement,) in connection.execute(f"SELECT statement FROM audiomem_attach({arguments})").fetchall():
        connection.execute(statement)


def test_a_view_for_each_table(con: Any) -> None:
    attach(con, "'my [tables]'")
    found = con.execute(
        "SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL"
    ).fetchall()
    assert found == [("my [tables]", 'it\'s "so"'), ("my [tables]", "x y")]
    assert con.execute('FROM "my [tables]"."x y"').fetchall() == [(1,)]
    assert con.execute('FROM "my [tables]"."it\'s ""so"""').fetchall() == [(2,)]
    with am.open("my [tables]/x y.flac") as table:
        table.append([{"a": 5}])
    assert con.execute('SELECT a FROM "my [tables]"."x y" WHERE a > 1').fetchall() == [(5,)]
    attach(con, "'my [tables]/inner', schema := 'mine'")
    assert con.execute("FROM mine.z").fetchall() == [(3,)]


def test_rows_and_what_is_refused(con: Any) -> None:
    rows = con.execute("CALL audiomem_attach('my [tables]')").fetchall()
    assert [(name, path and os.path.basename(path)) for name, path, _ in rows] == [
        ("my [tables]", None), ('it\'s "so"', 'it\'s "so".flac'), ("x y", "x y.flac"),
    ]  # fmt: skip
    for folder, message in (("'nowhere'", "there is no such folder"), ("NULL", "there is no folder")):
        with pytest.raises(duckdb.Error, match=message):
            con.execute(f"FROM audiomem_attach({folder})")
    Path("my [tables]/X Y.flac").write_bytes(Path("my [tables]/x y.flac").read_bytes())
    with pytest.raises(duckdb.Error, match="Rename one of the files"):
        con.execute("FROM audiomem_attach('my [tables]')")


@pytest.mark.damages
def test_a_table_that_cannot_be_opened(con: Any) -> None:
    """Its view says why, and the others are there."""
    damaged = Path("my [tables]/damaged.flac")
    am.write_flac([{"d": 4}], damaged).close()
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    attach(con, "'my [tables]'")
    assert con.execute('FROM "my [tables]"."x y"').fetchall() == [(1,)]
    for query in ("FROM damaged", "SELECT count(*) FROM damaged", "DELETE FROM t WHERE a IN (FROM damaged)"):
        con.execute("CREATE OR REPLACE TEMP TABLE t AS SELECT 'x' AS a")
        with pytest.raises(duckdb.Error, match=r"my \[tables\]/damaged\.flac.*attach the folder again"):
            con.execute(query.replace("damaged", '"my [tables]".damaged')).fetchall()
    with pytest.raises(duckdb.Error, match=r"my \[tables\]/damaged\.flac"):
        con.execute("SELECT count(*) FROM 'my ?tables?/*.flac'")
    damaged.write_bytes(whole)
    attach(con, "'my [tables]'")
    assert con.execute('SELECT d FROM "my [tables]".damaged').fetchall() == [(4,)]
    con.execute('DROP SCHEMA "my [tables]" CASCADE')
    assert con.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'my [tables]'"
    ).fetchone() == (0,)
    assert con.execute("FROM 'my [tables]/damaged.flac'").fetchall() == [(4,)]


@pytest.mark.damages
def test_the_pragma_runs_them(con: Any) -> None:
    if not HAS_SECOND_INTERFACE:
        with pytest.raises(duckdb.CatalogException, match="audiomem_attach does not exist"):
            con.execute("PRAGMA audiomem_attach('my [tables]')")
        return
    con.execute("PRAGMA audiomem_attach('my [tables]')")
    assert con.execute('SELECT a FROM "my [tables]"."x y"').fetchall() == [(1,)]
    con.execute("PRAGMA audiomem_attach('my [tables]')")
    with pytest.raises(duckdb.Error, match="there is no such folder"):
        con.execute("PRAGMA audiomem_attach('nowhere')")
    Path("my [tables]/x y.flac").write_bytes(Path("my [tables]/x y.flac").read_bytes()[:5000])
    con.execute("BEGIN")
    con.execute("PRAGMA audiomem_attach('my [tables]')")
    assert con.execute('FROM "my [tables]"."it\'s ""so"""').fetchall() == [(2,)]
    con.execute("ROLLBACK")
