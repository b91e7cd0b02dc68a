"""Damaged rows in SQLite: with on_damage=skip every kind of query leaves them out, and says which."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import DamagedFileError, DamageWarning
from audiomem_sql.indexes.vectors import DECODED_LISTS
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.table.table import Table
from audiomem_sql.warn_once import warned

pytestmark = pytest.mark.damages
ROWS = 400


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A table of which one block of texts is damaged."""
    rng = random.Random(4)
    path = tmp_path / "t.flac"
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "year INTEGER"]
    with Table.create(path, columns, {"model": "hashing", "protection": "none"}) as table:
        table.append([{"body": f"page {rng.randbytes(600).hex()}", "year": 2000} for _ in range(ROWS)])
        table.vacuum()
        segment = table.snapshot.segments[0]
        directory = segment.directory(1)
        assert directory is not None
        assert directory.count > 2
        stored = segment.file.read(segment.data_cell, int(directory.offsets[1]), int(directory.stored[1]))
    data = bytearray(path.read_bytes())
    position = data.index(stored[8:72]) + 16
    data[position : position + 8] = bytes(8)
    path.write_bytes(data)
    SHARED.clear()
    DECODED_LISTS.clear()
    warned.clear()
    return path


@pytest.fixture
def connection(damaged: Path) -> Iterator[apsw.Connection]:
    made = apsw.Connection(":memory:")
    register(made)
    made.execute(f"CREATE VIRTUAL TABLE strict USING audiomem('{damaged}')")
    made.execute(f"CREATE VIRTUAL TABLE skipping USING audiomem('{damaged}', on_damage=skip)")
    yield made
    made.close()


def test_a_search_leaves_damaged_rows_out(connection: apsw.Connection) -> None:
    with pytest.warns(DamageWarning, match=r"t\.flac: rows \d+ to \d+ are left out"):
        scanned = [row[0] for row in connection.execute("SELECT id, body FROM skipping")]
    assert 0 < len(scanned) < ROWS
    warned.clear()
    query = "SELECT id, body, distance FROM skipping WHERE skipping MATCH 'page'"
    with pytest.warns(DamageWarning, match="left out"):
        rows = connection.execute(query).fetchall()
    assert sorted(row[0] for row in rows) == scanned
    assert [row[2] for row in rows] == sorted(row[2] for row in rows)
    assert all(row[1].startswith("page ") for row in rows)


def test_a_search_that_names_no_damaged_column_has_all_rows(connection: apsw.Connection) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for table in ("skipping", "strict"):
            rows = connection.execute(f"SELECT id, year FROM {table} WHERE {table} MATCH 'page'").fetchall()
            assert sorted(rows) == [(number, 2000) for number in range(1, ROWS + 1)]


def test_limits_count_the_rows_that_are_there(connection: apsw.Connection) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        lost = ROWS - connection.execute("SELECT count(body) FROM skipping").fetchall()[0][0]
        query = f"SELECT id, body FROM skipping WHERE skipping MATCH 'page' LIMIT {ROWS - lost}"
        assert len(connection.execute(query).fetchall()) == ROWS - lost
        query = f"SELECT id, body FROM skipping WHERE skipping MATCH 'page' AND k = {ROWS}"
        assert len(connection.execute(query).fetchall()) == ROWS - lost


def test_a_search_fails_without_the_option(connection: apsw.Connection) -> None:
    with pytest.raises(DamagedFileError, match=r"t\.flac: page \d+"):
        connection.execute("SELECT body FROM strict WHERE strict MATCH 'page'").fetchall()
