"""Kills a writer at random moments, again and again on the same files; run by ``make crash``.

    AUDIOMEM_CRASH_KILLS=1000 python tests/crash/kill.py [seed]

The writer makes random commits, small and large, checkpoints, merges and vacuums, and prints a line after
each commit. What each commit does follows from its version and the seed alone. So the one that kills knows
what must be there: the rows of the last commit that was acknowledged, or of the one after it, whole.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest

from audiomem_sql.errors import DamageWarning, QueryError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from crash.forked import SERVE, Writers, serve
from crash.workload import Rows, create, faults, rows_at, small_limits

MAX_SECONDS = 0.6


@dataclass(frozen=True, slots=True)
class Change:
    """A commit: rows deleted, then rows added."""

    deleted: list[int]
    added: Rows


def change(seed: int, version: int, rows: Rows) -> Change:
    """What the commit that makes ``version`` of ``rows`` does."""
    rng = random.Random(f"{seed}:{version}")
    kind = rng.random()
    if kind < 0.02:
        return Change(sorted(rows), {1: (1, f"first{version}", version, b"")})
    updated = rng.sample(sorted(rows), min(len(rows), rng.randrange(4)))
    deleted = rng.sample(sorted(rows), min(len(rows), rng.randrange(4 if len(rows) < 500 else 200)))
    added: Rows = {}
    for rowid in updated:
        if rowid not in deleted:
            added[rowid] = (rowid, f"updated{version}:{rowid}", version, None)
    count = rng.randrange(80, 120) if kind < 0.12 else rng.randrange(1, 5)
    for number in range(count):
        rowid = version * 1000 + number
        added[rowid] = (rowid, f"k{version}:{number}", rng.randrange(1000), rng.randbytes(rng.randrange(60)))
    return Change(sorted({*deleted, *added} & rows.keys()), added)


def apply(rows: Rows, made: Change) -> Rows:
    """The rows after the commit."""
    left = dict(rows)
    for rowid in made.deleted:
        del left[rowid]
    return left | made.added


def write(path: str, seed: int, life: int) -> None:
    """The writer: goes on until it is killed."""
    with pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter(
            "ignore", DamageWarning
        )  # the writer before may have been killed in the middle of a record
        small_limits(patch, appended=life % 3 == 1)
        if life % 3 == 0:
            patch.undo()  # the limits as they are for users
        rng = random.Random(f"{seed}:{life}:{os.getpid()}")
        table = Table(path)
        rows = rows_at(table.snapshot)
        print("ready", table.version, flush=True)
        while True:
            event = rng.random()
            if event < 0.06:
                table.checkpoint()
            elif event < 0.10:
                table.merge()
            elif event < 0.13:
                table.vacuum(retain=Retention(count=rng.choice([1, 5, 50, None])), level=1)
            elif event < 0.16:
                table.close()
                table = Table(path)
            made = change(seed, table.version + 1, rows)
            transaction = table.begin()
            for rowid in made.deleted:
                transaction.delete(rowid)
            for rowid, row in made.added.items():
                transaction.insert(rowid, row)
            if event > 0.97:
                table.prepare()
                table.rollback()
                continue
            table.commit()
            rows = apply(rows, made)
            print("done", table.version, flush=True)


@dataclass(slots=True)
class Campaign:
    """Writers, one after the other, on the table at ``path``."""

    path: Path
    seed: int
    version: int = 1
    rows: Rows | None = None
    commits: int = 0

    def kill_one(self, writers: Writers, life: int, rng: random.Random) -> str:
        """Let a writer write, kill it, and look at what it left; where it was."""
        first = writers.start(str(self.path), self.seed, life)
        assert first == f"ready {self.version}\n", f"the writer does not begin: {first!r}"
        time.sleep(rng.random() ** 2 * MAX_SECONDS)
        lines = writers.kill()
        acknowledged = int(lines[-1].split()[1]) if lines else self.version
        return self.look(acknowledged)

    def look(self, acknowledged: int) -> str:
        """Compare the files with what was acknowledged, as a reader and as the next writer."""
        left = "with a log" if os.path.exists(f"{self.path}-wal") else "without a log"
        if any(".tmp" in name for _, _, names in os.walk(self.path.parent) for name in names):
            left += ", in the middle of a segment"
        rows = self.rows or {}
        for version in range(self.version + 1, acknowledged + 1):
            rows = apply(rows, change(self.seed, version, rows))
        with Table(self.path) as table:
            assert table.version in (acknowledged, acknowledged + 1), (table.version, acknowledged)
            if table.version > acknowledged:
                rows = apply(rows, change(self.seed, table.version, rows))
                left += ", its last commit there but not acknowledged"
            assert rows_at(table.snapshot) == rows
            assert faults(table, torn=True) == []
            first = table.versions[0].number
            for version in {first, (first + table.version) // 2}:
                rows_at(table.at(version))
            with pytest.raises(QueryError):
                table.at(first - 1)
            self.commits += table.version - self.version
            self.version, self.rows = table.version, rows
        return left


def run(kills: int, seed: int, folder: Path, *, tell: bool = False) -> Counter[str]:
    """Kill so many writers; what was found, how often."""
    found: Counter[str] = Counter()
    rng = random.Random(seed)
    campaign = None
    with Writers(__file__) as writers:
        for life in range(kills):
            if life % 50 == 0:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                create(folder / "t.flac").close()
                campaign = Campaign(folder / "t.flac", seed + life)
            assert campaign is not None
            found[campaign.kill_one(writers, life, rng)] += 1
            found["commits"] += campaign.commits
            campaign.commits = 0
            if tell and life % 50 == 49:
                print(f"{life + 1} kills, {found['commits']} commits, nothing lost", flush=True)
    return found


def main() -> None:
    if sys.argv[1:2] == [SERVE]:
        serve(write)
        return
    kills = int(os.environ.get("AUDIOMEM_CRASH_KILLS", "1000"))
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 30)
    print(f"{kills} kills, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = run(kills, seed, Path(folder) / "killed", tell=True)
    for what, count in found.most_common():
        print(f"{count:>7,}  {what}")


if __name__ == "__main__":
    main()
