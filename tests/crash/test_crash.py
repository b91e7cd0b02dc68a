"""A part of what ``make crash`` does: crashes, calls that fail, killed writers; and whether they would be noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiomem_sql.errors import AudioMemError
from crash.kill import run
from crash.sweep import check_crash, crash_states, quick, record, sweep_crashes, sweep_failures
from crash.workload import STEPS


@pytest.mark.damages
@pytest.mark.parametrize("which", STEPS)
def test_crashes(tmp_path: Path, which: str) -> None:
    assert sweep_crashes(tmp_path, which, every=8) > 30


@pytest.mark.parametrize("which", STEPS)
def test_calls_that_fail(tmp_path: Path, which: str) -> None:
    assert sum(sweep_failures(tmp_path, which, every=16).values()) > 20


def test_killed_writers(tmp_path: Path) -> None:
    assert run(20, 1, tmp_path / "killed")["commits"] > 20


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
