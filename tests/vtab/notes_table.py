"""A connection that knows the module, and a file with a table of notes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register

COLUMNS = "id INTEGER PRIMARY KEY, title TEXT NOT NULL, year INTEGER"


@pytest.fixture
def con() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    register(connection)
    yield connection
    connection.close()


def create(connection: apsw.Connection, path: Path | str, rest: str = COLUMNS, name: str = "notes") -> None:
    literal = str(path).replace("'", "''")
    connection.execute(
        f"CREATE VIRTUAL TABLE \"{name}\" USING audiomem('{literal}'{', ' if rest else ''}{rest})"
    )


@pytest.fixture
def notes(con: apsw.Connection, tmp_path: Path) -> Path:
    """A file with two rows, whose table was dropped again."""
    path = tmp_path / "notes.flac"
    create(con, path)
    con.execute("INSERT INTO notes VALUES (1, 'one', 2020), (2, 'two', NULL); DROP TABLE notes")
    return path
