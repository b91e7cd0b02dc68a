"""Two writers as processes on a real store, through ``Table``, killed with SIGKILL again and again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import audiomem_sql as am
from remote.conftest import BUCKET
from remote.proxy import FaultyProxy

COLUMNS = ["id INTEGER PRIMARY KEY", "token TEXT", "kind TEXT", "n INTEGER"]
KILLS = 10
SHARDED_KILLS = int(os.environ.get("AUDIOMEM_SHARDED_KILLS", "3"))


@pytest.mark.parametrize(
    ("name", "options", "kills"),
    [
        ("kb.flac", {}, KILLS),
        ("kb.shards", {"shards": 3, "shard_key": "token", "profile": "embedded"}, SHARDED_KILLS),
    ],
)
def test_killed_writers(
    proxy: FaultyProxy, tmp_path: Path, name: str, options: dict[str, object], kills: int
) -> None:
    """Nothing acknowledged is lost or there twice; what was refused is not there; no count is lost."""
    url = f"s3://{BUCKET}/crash/{name}"
    with am.Table.create(url, COLUMNS, options) as table:
        table.append([{"id": 1, "token": "count", "kind": "", "n": 0}])
    crew = Path(__file__).with_name("stored_crew.py")
    done = subprocess.run(
        [sys.executable, crew, url, tmp_path, str(kills)],
        capture_output=True,
        text=True,
        timeout=120 + 3 * kills,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for path in tmp_path.glob("journal*") for line in path.read_text().splitlines()]
    told: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        assert not line.startswith("broken"), line
        what, kind, token, *more = line.split(" ", 3)
        told.setdefault(what, {})[token] = [kind, *more]
    acknowledged, refused = told.get("done", {}), told.get("busy", {})
    with am.Table(url) as table:
        rows = table.to_arrow().to_pylist()
        found = Counter(row["token"] for row in rows if row["token"] != "count")
        assert set(found.values()) == {1}
        assert acknowledged.keys() <= found.keys() <= told["try"].keys()
        assert not refused.keys() & found.keys()
        (count,) = [row["n"] for row in rows if row["token"] == "count"]
        assert count == sum(told["try"][token][0] == "count" for token in found)
        messages = {version.message: version.number for version in table.versions if version.message}
        assert messages == {token: messages[token] for token in found}
        for token, (kind, version) in acknowledged.items():
            same = messages[token] == int(version)
            assert same or (kind == "count" and messages[token] < int(version))
        assert [version.number for version in table.versions] == list(range(1, table.version + 1))
        assert len(acknowledged) >= kills
        table.vacuum()
        assert sorted(table.to_arrow().to_pylist(), key=str) == sorted(rows, key=str)
