"""A part of what ``make crash`` does: crashes, calls that fail, killed writers.

Also whether a mistake would be noticed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.table.table import Table
from crash import threads
from crash.faulty import FileLayer
from crash.kill import run
from crash.sweep import check_crash, crash_states, quick, record, sweep_crashes, sweep_failures
from crash.workload import STEPS, create

# A crash may leave a torn record; tests/storage/log/test_torn_log.py says when that is told.
pytestmark = pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")


@pytest.mark.damages
@pytest.mark.parametrize("which", STEPS)
def test_crashes(tmp_path: Path, which: str) -> None:
    assert sweep_crashes(tmp_path, which, every=20) > 12


@pytest.mark.damages
@pytest.mark.parametrize("protection", ["none", "standard"])
@pytest.mark.parametrize("which", STEPS)
def test_crashes_where_segments_are_appended(tmp_path: Path, which: str, protection: str) -> None:
    assert sweep_crashes(tmp_path, which, every=70, protection=protection, appended=True) > 5


@pytest.mark.damages
def test_crashes_with_a_log_in_copies(tmp_path: Path) -> None:
    assert sweep_crashes(tmp_path, "by small commits", every=40, protection="standard") > 20


@pytest.mark.damages
@pytest.mark.parametrize("modulation", ["flat", "mission"])
def test_crashes_where_pages_are_frequencies(tmp_path: Path, modulation: str) -> None:
    assert sweep_crashes(tmp_path, "by large commits", every=130, modulation=modulation) > 2


def test_calls_that_fail_where_pages_are_frequencies(tmp_path: Path) -> None:
    failed = sweep_failures(tmp_path, "by large commits", every=130, modulation="mission")
    assert sum(failed.values()) > 5


def test_calls_that_fail_with_a_log_in_copies(tmp_path: Path) -> None:
    failed = sweep_failures(tmp_path, "by small commits", every=120, protection="standard")
    assert sum(failed.values()) > 5


@pytest.mark.parametrize("which", STEPS)
def test_calls_that_fail(tmp_path: Path, which: str) -> None:
    assert sum(sweep_failures(tmp_path, which, every=45).values()) > 5


@pytest.mark.parametrize("protection", ["none", "standard"])
@pytest.mark.parametrize("which", STEPS)
def test_calls_that_fail_where_segments_are_appended(tmp_path: Path, which: str, protection: str) -> None:
    failed = sweep_failures(tmp_path, which, every=90, protection=protection, appended=True)
    assert sum(failed.values()) > 5


@pytest.mark.damages
def test_killed_writers(tmp_path: Path) -> None:
    assert run(20, 1, tmp_path / "killed")["commits"] > 20


@pytest.mark.damages
def test_crashes_of_threads(tmp_path: Path) -> None:
    for attempt in range(8):  # whether appends meet in a flush is up to the scheduler
        found = threads.sweep_crashes(tmp_path / str(attempt), steps=6, every=8)
        assert found["crashes"] > 30
        if found["several that were not acknowledged"]:
            return
    pytest.fail("no two appends ever shared a flush")


@pytest.mark.parametrize("seed", range(3))
def test_syncs_that_fail_under_threads(tmp_path: Path, seed: int) -> None:
    told = Counter[str]()
    for attempt in range(8):  # how many appends meet in a flush is up to the scheduler
        (tmp_path / str(attempt)).mkdir()
        told += threads.fail_syncs(tmp_path / str(attempt), seed + 10 * attempt, steps=20)
        if told["done"] > 10 and told["failed"] > 10:
            return
    pytest.fail(f"{told}: hardly any sync failed")


@pytest.mark.damages
def test_killed_threads(tmp_path: Path) -> None:
    assert threads.kill(8, 1, tmp_path / "killed")["appends"] > 20


@pytest.mark.damages
@pytest.mark.parametrize("forgotten", ["sync", "folder"])
def test_a_forgotten_fsync_would_be_noticed(tmp_path: Path, forgotten: str) -> None:
    with quick():
        (tmp_path / "recorded").mkdir()
        operations, _ = record(tmp_path / "recorded", "by small commits")
        kept = [operation for operation in operations if operation.kind != forgotten]
        lost = 0
        for number, (_, tree, allowed, maybe_none) in enumerate(crash_states(kept)):
            if number % 40 == 0:
                try:
                    check_crash(tmp_path / "left", tree, allowed, maybe_none=maybe_none)
                except (AssertionError, AudioMemError):
                    lost += 1
        assert lost > 3


def test_names_that_a_killed_writer_gave_are_made_durable(tmp_path: Path) -> None:
    """The writer may have been killed between a rename and the fsync of the folder.

    What is built on that name needs the fsync.
    """
    path = tmp_path / "t.flac"
    with create(path) as table, Table(path) as other:
        for first in (1, 100):
            table.append([{"id": first, "name": f"a{first}", "v": 1, "b": b""}])
            table.checkpoint()
        for expected in (["."], []):
            with FileLayer(tmp_path) as layer:
                other.begin()
                other.rollback()
            assert sorted(o.path for o in layer.operations if o.kind == "folder") == expected
        table.append([{"id": 200, "name": "b", "v": 1, "b": b""}])
        table.checkpoint()
        with FileLayer(tmp_path) as layer:
            other.begin()
            other.rollback()
        assert sorted(o.path for o in layer.operations if o.kind == "folder") == ["."]


@pytest.mark.parametrize("removable", [True, False])
def test_a_table_whose_creation_failed(tmp_path: Path, removable: bool) -> None:
    """Whichever call fails: no table is left, or the error says that there is one. Then it can be created."""
    path = tmp_path / "t.flac"
    with FileLayer(tmp_path) as layer:
        create(path).close()
    path.unlink()
    told = 0
    for at, call in enumerate(layer.calls):
        if call == "pwrite":
            continue  # one that fails writes a part; what comes after writes the rest
        count = -1

        def fails(name: str, at: int = at) -> bool:
            nonlocal count
            count += 1
            return count == at or (count > at and name == "unlink" and not removable)

        with FileLayer(tmp_path, fails), pytest.raises(StorageError) as raised:
            create(path)
        if path.exists():
            assert not removable
            assert "what was made cannot be removed (Input/output error)" in str(raised.value)
            Table(path).close()
            path.unlink()
            told += 1
        for left in tmp_path.iterdir():
            assert not removable or call == "unlink", call
            assert left.name.endswith(".tmp")
            left.unlink()
        create(path).close()
        path.unlink()
    assert told == (0 if removable else 2)
