"""Files for the tests of hostile catalogs."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import arrow, create, rows


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files: one whose rowids are a run, and one whose rowids are stored, with a delta that deletes."""
    folder = tmp_path_factory.mktemp("hostile")
    with create(folder / "run.flac", 50) as table:
        assert len(table) == 50
    spread = [dict(row, id=row["id"] * 3) for row in rows(50)]
    with create(folder / "spread.flac", 0, deltas="beside") as table:
        table.append(arrow(spread))
        table.checkpoint()
        table.begin()
        assert table.transaction is not None
        for rowid in range(3, 60, 3):
            table.transaction.delete(rowid)
        table.commit()
    return folder
