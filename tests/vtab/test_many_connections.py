"""PRAGMA integrity_check on more connections than apsw has places for: it never says ok of what it did not ask."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import UnsupportedError

PLACES = 33
CHECKS = (
    "PRAGMA integrity_check",
    "pragma main . quick_check(5)",
    '/* all */ PRAGMA "temp".integrity_check',
    "-- all\nPRAGMA integrity_check('t')",
    "SELECT * FROM pragma_integrity_check",
    "SELECT * FROM pragma_quick_check('t')",
)
OTHERS = ("SELECT 'PRAGMA integrity_check'", "PRAGMA table_info(integrity_check)", "PRAGMA foreign_key_check")


def missing(folder: Path) -> apsw.Connection:
    """A connection that knows of a table whose file is gone."""
    connection = apsw.Connection(str(folder / "d.sqlite"))
    register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE gone USING audiomem('{folder}/gone.flac', a TEXT)")
    connection.close()
    (folder / "gone.flac").unlink()
    connection = apsw.Connection(str(folder / "d.sqlite"))
    register(connection)
    return connection


def test_a_check_that_would_pass_over_the_tables(tmp_path: Path, door: str) -> None:
    connections = []
    for number in range(PLACES + 2):
        connection = apsw.Connection(":memory:")
        register(connection)
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/{number}.flac', a TEXT)")
        connections.append(connection)
    last = connections[-1]
    for check in CHECKS:
        if door == "extension":
            assert last.execute(check).get == "ok"
        else:
            with pytest.raises(UnsupportedError, match="does not reach the audiomem tables"):
                last.execute(check).fetchall()
    for other in OTHERS:
        last.execute(other).fetchall()
    last.execute("INSERT INTO t VALUES ('PRAGMA integrity_check'); UPDATE t SET a = 'quick_check'")
    assert last.execute("SELECT * FROM audiomem_verify('t')").fetchall() == []
    if door == "python":
        with pytest.raises(UnsupportedError, match="does not reach the audiomem tables"):
            missing(tmp_path).execute("PRAGMA integrity_check").fetchall()
    else:
        assert "there is no such file" in missing(tmp_path).execute("PRAGMA integrity_check").get
    for connection in connections:
        connection.close()
    again = apsw.Connection(":memory:")
    register(again)
    again.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/1.flac')")
    assert again.execute("PRAGMA integrity_check").get == "ok"
    again.close()
