"""Threads that append to one table while it crashes, while its disk fails, and until they are killed.

    AUDIOMEM_CRASH_KILLS=200 python tests/crash/threads.py [seed]

Which thread gets which version is chance. So every row says which append it belongs to and of how many rows
that is. A table must keep this: all appends that were acknowledged are there, nothing is there that was not
asked for, and each is there with all of its rows or with none.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest

from audiomem_sql.errors import DamageWarning, StorageError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from crash.faulty import SYNCS, Disk, FileLayer, Operation, Tree
from crash.forked import SERVE, Writers, serve
from crash.workload import create, faults, small_limits

NAME = "t.flac"
MAX_SECONDS = 0.8


def rows_of(append: str, count: int, size: int) -> list[dict[str, Any]]:
    """The rows of an append."""
    return [{"name": f"{append}:{number}", "v": count, "b": bytes(size)} for number in range(count)]


def appends_in(table: Table) -> set[str]:
    """The appends that are there; each must be whole."""
    found = table.to_arrow(["name", "v"]).to_pylist()
    counts = Counter(row["name"].rpartition(":")[0] for row in found)
    assert len({row["name"] for row in found}) == len(found) == len(table)
    for row in found:
        assert counts[row["name"].rpartition(":")[0]] == row["v"], row
    return set(counts)


def work(table: Table, who: str, steps: int, told: Callable[[str, str], None]) -> None:
    """What one thread does: appends, small ones mostly.

    ``told`` is given "try", "done" or "failed", and which append.
    """
    rng = random.Random(who)
    for step in range(steps):
        append = f"{who}.{step}"
        large = rng.random() < 0.05
        rows = rows_of(append, 40 if large else rng.randrange(1, 4), rng.choice([0, 10, 300]))
        told("try", append)
        try:
            table.append(rows)
        except StorageError:
            told("failed", append)
        else:
            told("done", append)


def run_threads(table: Table, prefix: str, steps: int, told: Callable[[str, str], None]) -> None:
    """Four threads at once; what is no StorageError is raised here."""
    wrong: list[BaseException] = []

    def run(who: str) -> None:
        try:
            work(table, who, steps, told)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(f"{prefix}{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def slow_syncs(patch: pytest.MonkeyPatch) -> None:
    """Small limits; a sync takes long enough for others to queue up behind it, and does nothing else."""
    small_limits(patch)
    for name in SYNCS:
        patch.setattr(os, name, lambda handle: time.sleep(0.0005))


def record(folder: Path, steps: int) -> list[Operation]:
    """Everything that four threads ask of the disk, with marks: ("try", append), ("done", append)."""
    with FileLayer(folder) as layer:
        table = create(folder / NAME)
        layer.mark(("created", ""))
        run_threads(table, "r", steps, lambda what, append: layer.mark((what, append)))
        table.close()
    return layer.operations


def check_crash(folder: Path, tree: Tree, done: set[str], tried: set[str], *, created: bool) -> int:
    """The files that a crash left hold what was acknowledged; how many appends there were that were not."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, data in sorted(tree.items()):
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)
    if NAME not in tree and not created:
        return 0
    with Table(folder / NAME) as table:
        there = appends_in(table)
        assert done <= there <= tried, (done - there, there - tried)
        assert len(there) == table.version - 1
        assert faults(table, torn=True) == []
        table.append(rows_of("after", 2, 0))
    assert os.listdir(folder) == [NAME]
    with Table(folder / NAME) as table:
        assert appends_in(table) == there | {"after"}
        assert faults(table, torn=False) == []
    return len(there - done)


def sweep_crashes(folder: Path, *, steps: int, every: int = 1, ways: int = 3) -> Counter[str]:
    """Check each crash, or one in ``every``; how often which was seen."""
    found: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        slow_syncs(patch)
        (folder / "recorded").mkdir(parents=True)
        operations = record(folder / "recorded", steps)
        patch.setattr(time, "sleep", lambda seconds: None)
        disk, rng = Disk(), random.Random(ways)
        done: set[str] = set()
        tried: set[str] = set()
        created, number = False, 0
        for operation in operations:
            if operation.kind == "mark":
                what, append = operation.data
                {"try": tried, "done": done}.get(what, set()).add(append)
                created = created or what == "created"
                continue
            disk.apply(operation)
            for way, tree in disk.crashes(rng, ways):
                number += 1
                if number % every == 0:
                    try:
                        more = check_crash(folder / "left", tree, done, tried, created=created)
                    except Exception as error:
                        raise AssertionError(
                            f"crash {number}, {way}: {type(error).__name__}: {error}"
                        ) from error
                    found["crashes"] += 1
                    found["several that were not acknowledged"] += more > 1
    return found


def fail_syncs(folder: Path, seed: int, *, steps: int) -> Counter[str]:
    """Let every fifth sync fail, and count the appends that were acknowledged and those that were not.

    Afterwards exactly those appends are there that were acknowledged.
    """
    rng, said = random.Random(seed), []
    with pytest.MonkeyPatch.context() as patch:
        slow_syncs(patch)
        table = create(folder / NAME)
        with FileLayer(folder, lambda name: name in SYNCS and rng.random() < 0.2):
            run_threads(table, f"f{seed}.", steps, lambda what, append: said.append((what, append)))
        done = {append for what, append in said if what == "done"}
        for reopened in (False, True):
            table.refresh()
            assert appends_in(table) == done
            assert table.version == len(done) + 1
            if not reopened:
                table.close()
                table = Table(folder / NAME)
        assert faults(table, torn=False) == []
        table.close()
    return Counter(what for what, _ in said)


def write(path: str, life: int) -> None:
    """The writer: six threads that append, and this one, which keeps files in shape until it is killed."""
    with pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter(
            "ignore", DamageWarning
        )  # the writer before may have been killed in the middle of a record
        if life % 3:
            small_limits(patch, appended=life % 3 == 1)
        table = Table(path, busy_timeout=60)
        table.append(rows_of(f"k{life}.first", 1, 0))  # everything that is imported late is imported by now
        print("ready", flush=True)
        said = threading.Lock()

        def told(what: str, append: str) -> None:
            if what != "try":
                with said:
                    print(what, append, flush=True)

        for number in range(6):
            threading.Thread(
                target=work, args=(table, f"k{life}.{number}", 1 << 30, told), daemon=True
            ).start()
        rng = random.Random(life)
        while True:
            time.sleep(rng.random() * 0.1)
            rng.choice(
                [table.checkpoint, table.merge, lambda: table.vacuum(retain=Retention(count=5), level=1)]
            )()


def kill(kills: int, seed: int, folder: Path, *, tell: bool = False) -> Counter[str]:
    """Kill so many writers; what was found, how often."""
    found: Counter[str] = Counter()
    rng = random.Random(seed)
    there: set[str] = set()
    with Writers(__file__) as writers:
        for life in range(kills):
            if life % 25 == 0:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                create(folder / NAME).close()
                there = set()
            assert writers.start(str(folder / NAME), life) == "ready\n"
            time.sleep(rng.random() ** 2 * MAX_SECONDS)
            said = [line.split() for line in writers.kill()]
            assert not [append for what, append in said if what == "failed"]
            acknowledged = there | {f"k{life}.first"} | {append for _, append in said}
            with Table(folder / NAME) as table:
                there = appends_in(table)
                assert acknowledged <= there, acknowledged - there
                assert len(there - acknowledged) <= 6
                assert faults(table, torn=True) == []
            found["appends"] += len(said)
            found[f"{len(there - acknowledged)} there but not acknowledged"] += 1
            if tell and life % 25 == 24:
                print(f"{life + 1} kills of threads, {found['appends']} appends, nothing lost", flush=True)
    return found


def main() -> None:
    """Everything of this module; stops at the first thing that is lost."""
    if sys.argv[1:2] == [SERVE]:
        serve(write)
        return
    kills = int(os.environ.get("AUDIOMEM_CRASH_KILLS", "1000")) // 5
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 30)
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        total += sweep_crashes(Path(name), steps=12, ways=8)
    for number in range(40):
        with tempfile.TemporaryDirectory() as name:
            total += fail_syncs(Path(name), seed + number, steps=30)
    print(f"threads: {', '.join(f'{count:,} × {what}' for what, count in total.items())}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for what, count in kill(kills, seed, Path(name) / "killed", tell=True).most_common():
            print(f"{count:>7,}  {what}")


if __name__ == "__main__":
    main()
