"""Versions, the log, checkpoints, merges and vacuums, against a plain model that remembers every version."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from samples import MODULATIONS

from audiomem_sql.errors import QueryError
from audiomem_sql.scan import scan
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.versions import Snapshot, changes

COLUMNS = ["id INTEGER PRIMARY KEY", "name TEXT UNIQUE", "v INTEGER"]


def rows_at(snapshot: Snapshot) -> dict[int, tuple[Any, ...]]:
    found: dict[int, tuple[Any, ...]] = {}
    for batch in scan(snapshot, [1, 2]):
        for rowid, k, v in zip(batch.rowids.tolist(), *(a.to_pylist() for a in batch.arrays), strict=True):
            assert rowid not in found
            found[rowid] = (rowid, k, v)
    assert len(found) == snapshot.rows
    return found


class Model:
    """Every version as a plain dict."""

    def __init__(self) -> None:
        self.versions: dict[int, dict[int, tuple[Any, ...]]] = {1: {}}

    @property
    def newest(self) -> dict[int, tuple[Any, ...]]:
        return self.versions[max(self.versions)]


def commit_at_random(table: Table, model: Model, rng: random.Random) -> None:
    """One transaction of inserts, updates and deletes, in the table and in the model."""
    rows = dict(model.newest)
    transaction = table.begin()
    for _ in range(rng.randint(1, 6)):
        what = rng.random()
        if what < 0.5 or not rows:
            rowid = rng.randint(1, 60) if rng.random() < 0.7 else None
            if rowid in rows:
                continue
            row = (rowid, f"k{rng.random()}", rng.randint(-9, 9))
            made = transaction.insert(rowid, row)
            assert made is not None
            rows[made] = (made, *row[1:])
        elif what < 0.8:
            rowid = rng.choice(sorted(rows))
            row = (rowid, rows[rowid][1], rng.randint(100, 999))
            transaction.update(rowid, rowid, row)
            rows[rowid] = row
        else:
            rowid = rng.choice(sorted(rows))
            transaction.delete(rowid)
            del rows[rowid]
    changed = transaction.changed
    version = table.commit()
    if changed:
        assert version == max(model.versions) + 1
        model.versions[version] = rows


def expected_changes(model: Model, version: int) -> list[tuple[Any, ...]]:
    """What one commit changed, from the two versions around it."""
    before, after = model.versions[version - 1], model.versions[version]
    found: list[tuple[Any, ...]] = []
    for rowid in sorted(before.keys() | after.keys()):
        old, new = before.get(rowid), after.get(rowid)
        if old is not None and new is not None:
            if old != new:
                found += [(version, rowid, "update_preimage", old), (version, rowid, "update_postimage", new)]
        elif old is not None:
            found.append((version, rowid, "delete", old))
        elif new is not None:
            found.append((version, rowid, "insert", new))
    return found


def check_changes(table: Table, model: Model, oldest: int) -> None:
    first, last = oldest + 1, max(model.versions)
    if first > last:
        return
    found = [(c.version, c.rowid, c.kind, c.values) for c in changes(table.snapshot, first, last)]
    without = [
        (c.version, c.rowid, c.kind, c.values) for c in changes(table.snapshot, first, last, values=False)
    ]
    assert without == [(*change[:3], ()) for change in found]
    # a row that a commit deleted and inserted as it was, or updated to what it was, counts as replaced
    found = [
        change
        for at, change in enumerate(found)
        if not (change[2] == "update_preimage" and found[at + 1][3] == change[3])
        and not (change[2] == "update_postimage" and found[at - 1][3] == change[3])
    ]
    assert found == [
        change for version in range(first, last + 1) for change in expected_changes(model, version)
    ]


def check(table: Table, model: Model, oldest: int = 1) -> None:
    for version, rows in model.versions.items():
        if version >= oldest:
            assert rows_at(table.at(version)) == rows, version
        else:
            with pytest.raises(QueryError, match="not kept"):
                table.at(version)
    assert rows_at(table.snapshot) == model.newest
    for rowid in list(model.newest)[:5]:
        assert table.get(rowid) == dict(zip(("id", "name", "v"), model.newest[rowid], strict=True))


@pytest.mark.parametrize(
    ("modulation", "seed"),
    [*(("pcm", seed) for seed in range(12)), ("flat", 12), ("flat", 13), ("mission", 14)],
)
def test_every_version_reads_the_same(tmp_path: Path, modulation: str, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "t.flac"
    table = Table.create(path, COLUMNS, {"profile": "embedded", **MODULATIONS[modulation]})
    model, oldest = Model(), 1
    for step in range(60):
        commit_at_random(table, model, rng)
        event = rng.random()
        if event < 0.15:
            table.checkpoint()
        elif event < 0.22:
            table.merge()
        elif event < 0.27:
            table.close()
            table = Table(path)
        elif event < 0.31:
            other = Table(path)
            check(other, model, oldest)
            commit_at_random(other, model, rng)
            other.close()
            table.refresh()
        elif event < 0.35:
            count = rng.choice([None, 1, 5, 20])
            oldest = max(oldest, table.vacuum(retain=Retention(count=count), level=1))
            assert len(table.snapshot.segments) == 1
        elif event < 0.38 and max(model.versions) > oldest:
            version = rng.randint(oldest, max(model.versions))
            if table.restore(version) > max(model.versions):
                model.versions[table.version] = model.versions[version]
        elif event < 0.40:
            table.tag(f"step{step}")
            model.versions[table.version] = model.newest
            assert rows_at(table.at(f"step{step}")) == model.newest
        if step % 7 == 0:
            check(table, model, oldest)
            check_changes(table, model, oldest)
    check(table, model, oldest)
    table.close()
    assert not (tmp_path / "t.flac-wal").exists()
    table = Table(path)
    check(table, model, oldest)
    table.close()
