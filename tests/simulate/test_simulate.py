"""250 seeds of what ``make simulate`` runs; that a seed says everything; and whether mistakes are noticed."""

from __future__ import annotations

import errno
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crash.faulty import Operation
from crash.workload import Model, create

from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.storage.log import writer as log_writer
from audiomem_sql.storage.segment import new_file
from audiomem_sql.table.session import Session
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import TableFiles
from simulate.calls import SimulatedCalls
from simulate.disk import PowerDisk
from simulate.faults import Killed, Plan, Process, full_disk
from simulate.ledger import Ledger
from simulate.places import Difference, check_refusal, open_table, rows_differ
from simulate.run import Simulator

SEEDS = 250
#: A mistake must be noticed by so many.
MOST_SEEDS = 500


def test_seeds() -> None:
    with Simulator() as simulator:
        failures = [outcome for seed in range(SEEDS) if (outcome := simulator.run(seed)).failure]
    assert not failures, "\n".join(
        [f"seed {failures[0].seed}", *failures[0].schedule, str(failures[0].failure)]
    )


def test_a_seed_is_the_same_run_every_time() -> None:
    """Whatever ran before it in the same process, and runs beside it."""
    with Simulator() as simulator:
        first = [simulator.run(seed) for seed in range(40)]
    with Simulator() as simulator, _thread_that_asks_for_time_and_chance():
        for seed in reversed(range(40)):
            again = simulator.run(seed)
            assert (again.schedule, again.digest) == (first[seed].schedule, first[seed].digest)


@contextmanager
def _thread_that_asks_for_time_and_chance() -> Iterator[None]:
    """As a server does that an earlier test started."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.001):
            assert time.time() > 0
            assert time.time_ns() > 0
            os.urandom(1)
            os.listdir("/")
            time.sleep(0)
            tempfile.mktemp()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _first_failure(count: int) -> str:
    with Simulator() as simulator:
        for seed in range(count):
            if failure := simulator.run(seed).failure:
                return failure
    return ""


def _nothing(*arguments: Any, **options: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("where", "name", "mistake"),
    [
        (log_writer, "flush_data", _nothing),
        (log_writer, "fsync_folder", _nothing),
        (new_file, "flush", _nothing),
        (log_writer.LogWriter, "_cut", _nothing),
        (TableFiles, "sweep", _nothing),
        (Session, "_lock_files", lambda self, timeout, damaged=False: self.opened.refresh()),
    ],
    ids=["commit", "name of a log", "segment", "undoing", "sweep", "lock"],
)
def test_a_mistake_is_noticed(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, mistake: Callable[..., None]
) -> None:
    monkeypatch.setattr(where, name, mistake)
    assert _first_failure(MOST_SEEDS)


class TestDisk:
    def test_what_was_flushed_is_there_after_every_power_loss(self) -> None:
        disk = PowerDisk()
        for operation in (
            Operation("name", 1, "t"),
            Operation("write", 1, offset=0, data=b"a" * 2000),
            Operation("sync", 1),
            Operation("folder", path="."),
            Operation("write", 1, offset=1000, data=b"b" * 2000),
        ):
            disk.apply(operation)
        seen = set()
        for seed in range(200):
            _, tree = disk.power_loss(random.Random(seed))
            data = tree["t"]
            assert data is not None
            assert data[:1000] == b"a" * 1000
            assert set(data[1000:2000]) <= {ord("a"), ord("b")}
            assert set(data[2000:]) <= {0, ord("b")}
            seen.add(bytes(data[1000::100]))
        assert len(seen) > 10

    def test_a_name_is_lost_apart_from_its_bytes(self) -> None:
        disk = PowerDisk()
        for operation in (
            Operation("name", 1, "t"),
            Operation("write", 1, offset=0, data=b"a"),
            Operation("sync", 1),
        ):
            disk.apply(operation)
        assert {"t" in disk.power_loss(random.Random(seed))[1] for seed in range(50)} == {True, False}

    def test_no_later_flush_settles_what_a_failed_one_left(self) -> None:
        disk = PowerDisk()
        for operation in (
            Operation("name", 1, "t"),
            Operation("folder", path="."),
            Operation("write", 1, offset=0, data=b"a"),
        ):
            disk.apply(operation)
        disk.doubt(1)
        disk.apply(Operation("write", 1, offset=5, data=b"b"))
        disk.apply(Operation("sync", 1))
        left = {disk.power_loss(random.Random(seed))[1]["t"] for seed in range(50)}
        assert left == {b"a\0\0\0\0b", b"\0\0\0\0\0b"}

    def test_a_cut_that_is_flushed_takes_away_what_a_failed_flush_left(self) -> None:
        disk = PowerDisk()
        for operation in (Operation("name", 1, "t"), Operation("folder", path=".")):
            disk.apply(operation)
        disk.apply(Operation("write", 1, offset=0, data=b"a"))
        disk.doubt(1)
        disk.apply(Operation("size", 1, offset=0))
        disk.apply(Operation("sync", 1))
        assert {disk.power_loss(random.Random(seed))[1]["t"] for seed in range(50)} == {b""}


def test_plans_count_the_calls_that_they_are_about() -> None:
    plan = full_disk(1)
    assert [plan.meets(name) for name in ("pwrite", "fsync", "pwrite", "fsync", "create")] == [
        False, False, True, False, True,
    ]  # fmt: skip
    assert plan.error == errno.ENOSPC


class TestLedger:
    """Which mixtures of files are allowed."""

    def setup_method(self) -> None:
        self.ledger = Ledger()
        self.history = self.ledger.new_history()
        self.models = [Model()]
        for _ in range(3):
            self.models.append(self.models[-1].with_commit({}))
        for model, files in zip(
            self.models,
            (
                {"t": b"closed 1"},
                {"t": b"open 2", "t-wal": b"2"},
                {"t": b"open 2", "t-wal": b"2, 3"},
                {"t": b"closed 4"},
            ),
            strict=True,
        ):
            self.ledger.note(self.history, files, model)

    def allowed(self, **files: bytes) -> tuple[list[int], bool]:
        named = {name.replace("_", "-"): data for name, data in files.items()}
        allowed = self.ledger.allowed("t", self.ledger.digests(named))
        return [model.newest for model in allowed.models], allowed.refusal

    def test_files_of_one_moment_mean_its_state(self) -> None:
        assert self.allowed(t=b"closed 1") == ([1], False)
        assert self.allowed(t=b"open 2", t_wal=b"2, 3") == ([3], False)

    def test_a_base_without_the_log_that_it_announces_is_refused(self) -> None:
        assert self.allowed(t=b"open 2") == ([3], True)  # 3 is in the log alone, so it cannot be shown

    def test_a_base_without_a_log_that_nobody_was_told_of_may_be_read(self) -> None:
        # the writer of 5 was killed before it said in the file that there is a log
        self.ledger.note(self.history, {"t": b"closed 4 again"}, self.models[3], 4)
        killed = self.models[3].with_commit({})
        self.ledger.note(self.history, {"t": b"open 4", "t-wal": b"5"}, killed, 4)
        assert self.allowed(t=b"open 4") == ([4, 4, 5], True)
        self.ledger.note(self.history, {"t": b"open 4", "t-wal": b"5, 6"}, killed.with_commit({}), 6)
        assert self.allowed(t=b"open 4") == ([6], True)

    def test_a_mixture_is_never_older_than_a_part_of_it(self) -> None:
        assert self.allowed(t=b"closed 1", t_wal=b"2, 3") == ([3, 4], True)
        assert self.allowed(t=b"open 2", t_wal=b"4") == ([], True)
        assert self.allowed(t=b"closed 4", t_wal=b"2") == ([4], True)

    def test_files_of_two_copies_are_refused(self) -> None:
        copy = self.ledger.new_history(self.history)
        self.ledger.note(copy, {"t": b"closed 4", "t-wal": b"5 of the copy"}, self.models[-1].with_commit({}))
        self.ledger.note(
            self.history, {"t": b"closed 5 of the first"}, self.models[-1].with_commit({1: (1, "a", 1, b"")})
        )
        assert self.allowed(t=b"closed 5 of the first", t_wal=b"5 of the copy") == ([], True)


def test_a_refusal_names_file_fault_and_remedy() -> None:
    check_refusal(DamagedFileError("broken", file="t.flac", remedy="Restore it."))
    with pytest.raises(Difference, match="without remedy"):
        check_refusal(DamagedFileError("broken", file="t.flac"))
    with pytest.raises(Difference, match="without file"):
        check_refusal(DamagedFileError("broken", remedy="Restore it."))


def test_a_difference_names_a_row() -> None:
    assert rows_differ({1: (1,)}, {1: (1,)}) is None
    assert (
        rows_differ({1: (1,), 2: (2,)}, {1: (1,), 2: (3,)}) == "1 rows differ; row 2 is (2,), expected (3,)"
    )


@pytest.mark.parametrize("protection", ["none", "standard"])
def test_a_failed_flush_does_not_lose_what_a_killed_writer_left(tmp_path: Path, protection: str) -> None:
    """The next commit stands behind it, and is acknowledged.

    Found by a seed. A system that could not write a page takes it for clean afterwards.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    with SimulatedCalls(folder, 1) as calls:
        create(folder / "t.flac", protection).close()
        killed, failing = Process("killed"), Process("failing")
        table = open_table(folder / "t.flac")
        table.append([{"id": 1, "name": "flushed"}])
        calls.disk.settle()
        with calls.acting(killed, Plan("kill", 0, ("fdatasync",))), pytest.raises(Killed):
            open_table(folder / "t.flac").append([{"id": 2, "name": "written"}])
        calls.end(killed)
        with calls.acting(failing, Plan("fail", 0, ("fdatasync",))):
            other = open_table(folder / "t.flac")
            assert len(other) == 2
            with pytest.raises(StorageError, match="copy the table to another disk"):
                other.tag("refused")
        version = open_table(folder / "t.flac").append([{"id": 3, "name": "acknowledged"}])
        for seed in range(20):
            _, tree = calls.disk.power_loss(random.Random(seed))
            left = tmp_path / f"left{seed}"
            left.mkdir()
            for name, data in tree.items():
                (left / name).write_bytes(data or b"")
            found = open_table(left / "t.flac")
            assert (found.version, len(found)) == (version, 3)
            # that the last commit is durable was not: its watermark may be in some copies alone
            wrong = [str(problem) for problem in problems(found)]
            assert all(protection != "none" and "the header of the log: " in each for each in wrong)
            found.append([{"id": 4, "name": "after"}])
            assert list(problems(found)) == []
            found.close()
