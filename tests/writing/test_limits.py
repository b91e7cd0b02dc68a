"""A row over the limit is refused whichever way it comes, and nothing changes.

The limit is lowered to fit a test.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from audiomem_sql.connections import connect
from audiomem_sql.errors import LimitError
from audiomem_sql.table.table import Table
from audiomem_sql.writing import transaction

LIMIT = 1000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(transaction, "MAX_ROW_BYTES", LIMIT)
    Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "a TEXT", "b BLOB"]).close()
    return tmp_path / "t.flac"


def test_append(path: Path) -> None:
    half = LIMIT // 2
    fits = {"id": 1, "a": "x" * half, "b": bytes(LIMIT - half)}
    with Table(path) as table:
        with pytest.raises(
            LimitError, match=r"t\.flac: row 1: a row of 1,001 bytes is over the limit of 1,000"
        ):
            table.append([fits, {"id": 2, "a": "é" * (half // 2), "b": bytes(half + 1)}, {"id": 3}])
        assert len(table) == 0
        assert table.version == 1
        table.append([fits, {"id": 2, "a": None, "b": bytes(LIMIT)}, {"id": 3}])
        assert len(table) == 3


def test_insert(path: Path) -> None:
    connection = connect(path)
    with pytest.raises(LimitError, match=r"a row of 1,001 bytes is over the limit of 1,000"):
        connection.execute("INSERT INTO t(a, b) VALUES (?, ?)", ("é" * 250, bytes(501)))
    connection.execute("INSERT INTO t(a, b) VALUES (?, ?)", ("é" * 250, bytes(500)))
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
    connection.close()
