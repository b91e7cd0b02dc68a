"""Threads and processes that share one table for a while, and what each was told in the end."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql
from audiomem_sql.errors import AudioMemError, ConstraintError, OptionError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.writing import log_limits
from writing.callers import Call, create, rows, rows_at


def of(names: set[str]) -> list[dict[str, Any]]:
    """Rows, each of which says how many there are."""
    return [{"name": name, "v": len(names)} for name in sorted(names, reverse=True)]


OTHER = """
import sys
from audiomem_sql.table.table import Table
with Table(sys.argv[1], busy_timeout=60) as table:
    for number in range(int(sys.argv[2])):
        print(table.append([{"name": f"other {number}", "v": number}]), flush=True)
"""


class Writers:
    """Threads that write to ``table``, and what they were told: names added and removed, by version."""

    def __init__(self, table: Table, seed: int) -> None:
        self.commits: dict[int, tuple[set[str], set[str]]] = {}
        self.refused: list[str] = []
        self._table = table
        self._seed = seed

    def write(self, writer: int) -> None:
        rng = random.Random(f"{self._seed}:{writer}")
        for step in range(30):
            try:
                self._step(rng, f"{writer}:{step}", f"{writer}:{step - 1}:0")
            except ConstraintError as error:
                self.refused.append(str(error))

    def _step(self, rng: random.Random, name: str, before: str) -> None:
        """One commit; or one that is refused, or a checkpoint."""
        table, kind = self._table, rng.random()
        added, removed = {f"{name}:{number}" for number in range(rng.randrange(1, 4))}, set[str]()
        if kind < 0.7:
            version = table.append(of(added))
        elif kind < 0.8:
            table.append(of(added | {"0:0"}))
            raise AssertionError("a key that is there was taken")
        elif kind < 0.9:
            removed = {before}
            version = table.append(of(added), replace="name = ?", parameters=[before])
        elif kind < 0.94:
            added = {f"{name}:{number}" for number in range(60)}
            version = table.append(of(added))
        elif kind < 0.97:
            transaction = table.begin()
            for each in added:
                transaction.insert(None, (None, each, len(added)))
            version = table.commit()
        else:
            table.checkpoint()
            return
        assert version not in self.commits
        self.commits[version] = added, removed


def check_whole(table: Table) -> None:
    """Of every append that a reader sees it sees all rows."""
    numbers: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for row in table.to_arrow(["name", "v"]).to_pylist():
        append, _, number = row["name"].rpartition(":")
        numbers.setdefault(append, []).append(number)
        sizes[append] = row["v"]
    for append, found in numbers.items():
        if append.count(":") == 1:
            assert len(set(found)) == len(found)
            assert len(found) + ("0" not in found) == sizes[append]  # the first may have been replaced


def read(table: Table, done: threading.Event) -> set[int]:
    """Look again and again; the versions that were there."""
    versions: set[int] = set()
    last, rng = 0, random.Random()
    while not done.is_set():
        if rng.random() < 0.5:
            table.refresh()
        assert table.version >= last
        last = table.version
        check_whole(table)
        versions.add(last)
    return versions


def append_elsewhere(path: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path), str(count)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("seed", range(3))
def test_what_every_thread_was_told(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads and another process append, replace and fail.

    Checkpoints, merges and large appends come in between. In the end every version holds exactly what the
    thread that was given it had asked for, and readers in other threads saw nothing but versions.
    """
    monkeypatch.setattr(log_limits, "CHECKPOINT_COMMITS", 40)
    monkeypatch.setattr(compaction, "MERGED_AT_ONCE", 3)
    monkeypatch.setattr(log_limits, "LOGGED_ROWS", 30)
    table = create(tmp_path / "t.flac")
    table.busy_timeout = 60
    table.append([{"name": "0:0", "v": 0}])
    writers, done = Writers(table, seed), threading.Event()
    writers.commits[2] = {"0:0"}, set()
    other = append_elsewhere(tmp_path / "t.flac", 15)
    readers = [Call(lambda: read(table, done)) for _ in range(2)]
    calls = [Call(lambda number=number: writers.write(number)) for number in range(8)]  # type: ignore[misc]
    for call in calls:
        call.result()
    assert other.stdout is not None
    with other.stdout:
        for number, line in enumerate(other.stdout.read().split()):
            writers.commits[int(line)] = {f"other {number}"}, set()
    assert other.wait() == 0
    done.set()
    assert len(set[int]().union(*(reader.result() for reader in readers))) > 5
    table.refresh()
    assert sorted(writers.commits) == list(range(2, table.version + 1))
    assert writers.refused
    assert all("'0:0'" in error for error in writers.refused)
    check_versions(table, writers)
    table.close()


def check_versions(table: Table, writers: Writers) -> None:
    """Old versions, and the newest, have the rows that were committed up to them."""
    expected: set[str] = set()
    for version in sorted(writers.commits):
        added, removed = writers.commits[version]
        expected = (expected - removed) | added
        if version % 29 == 0 or version == table.version:
            assert {row[1] for row in rows_at(table, version)} == expected
    assert {row[1] for row in rows(table)} == expected


def test_a_table_that_cannot_be_written_tells_everyone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with create(tmp_path / "t.flac") as table:
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        calls = [Call(lambda: table.append([{"v": 1}])) for _ in range(4)]
        for call in calls:
            with pytest.raises(AudioMemError, match="cannot be written"):
                call.result()
        monkeypatch.undo()
        assert table.append([{"v": 1}]) == 2


def test_a_connection_that_threads_hand_on(tmp_path: Path) -> None:
    """SQLite lets a connection pass from thread to thread, also in the middle of a transaction."""
    path = tmp_path / "t.flac"
    create(path).close()
    connection = audiomem_sql.connect(path)
    for statement in (
        "BEGIN",
        "INSERT INTO t(v) VALUES (1)",
        "INSERT INTO t(t, rank) VALUES ('tag', 'x')",
        "SAVEPOINT s",
        "INSERT INTO t(v) VALUES (2)",
        "UPDATE t SET v = v + 10",
        "COMMIT",
    ):
        call = Call(lambda statement=statement: connection.execute(statement).fetchall())  # type: ignore[misc]
        if "tag" in statement:
            with pytest.raises(OptionError, match="a command needs a transaction of its own"):
                call.result()
        else:
            call.result()
    assert Call(lambda: connection.execute("SELECT v FROM t").fetchall()).result() == [(11,), (12,)]
    connection.close()
