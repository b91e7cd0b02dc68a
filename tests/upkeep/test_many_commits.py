"""Many small commits leave few files behind, however often the table is closed in between."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from audiomem_sql.table.table import Table
from audiomem_sql.writing import log_limits

#: The base, the log, the folder of the deltas; deltas are merged when there are eight small ones.
MOST_FILES = 12


@pytest.mark.parametrize("closing", [0.0, 0.02, 0.3])
def test_files_after_many_commits(tmp_path: Path, closing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many checkpoints as 10,000 commits make, or more.

    Closing: how likely the table is closed after a commit.
    """
    monkeypatch.setattr(log_limits, "CHECKPOINT_COMMITS", 10)
    path, rng, most = tmp_path / "t.flac", random.Random(closing), 0
    table = Table.create(path, ["id INTEGER PRIMARY KEY", "v INTEGER"], {"profile": "embedded"})
    for number in range(300):
        table.append([{"v": number}])
        if rng.random() < closing:
            table.close()
            table = Table(path)
        most = max(most, sum(1 for _ in tmp_path.rglob("*")))
    assert most <= MOST_FILES
    assert table.version == 301
    assert table.to_arrow(["v"]).column(0).to_pylist() == list(range(300))
    table.close()
