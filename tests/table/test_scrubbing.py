"""Scrubbing finds what verify finds, at the rate that it is given, and stops when told to."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from samples import arrow, content, rows

from audiomem_sql.errors import AudioMemError
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.table.scrubbing import Scrubber, scrub
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import Problem, problems


def damaged(path: Path) -> bytes:
    """A table with some damage; what the file was before."""
    write_flac(arrow(rows(2000)), path, primary_key="id", profile="embedded", protection="archive").close()
    whole = path.read_bytes()
    data, rng = bytearray(whole), random.Random(3)
    for _ in range(40):
        data[rng.randrange(len(data))] ^= 0x55
    path.write_bytes(data)
    return whole


@pytest.mark.damages
def test_it_keeps_to_its_rate(tmp_path: Path) -> None:
    damaged(tmp_path / "t.flac")
    with Table(tmp_path / "t.flac") as table:
        size, waits = table.files.size(), list[float]()
        found = [str(problem) for problem in scrub(table, rate=size * 2, sleep=waits.append)]
        assert found == [str(problem) for problem in problems(table)]
        # it does not really sleep, so each wait grows to what should have passed by then
        assert 0.1 < max(waits) < 0.7


@pytest.mark.damages
def test_a_thread_that_repairs(tmp_path: Path) -> None:
    whole = damaged(tmp_path / "t.flac")
    told: list[Problem | AudioMemError] = []
    thread = Scrubber(str(tmp_path / "t.flac"), rate=1e12, interval=0.01, repair=True, on_problem=told.append)
    thread.start()
    end = time.monotonic() + 30
    while thread.rounds < 2 and time.monotonic() < end:
        time.sleep(0.01)
    thread.stop(10)
    assert not thread.is_alive()
    assert told
    assert all(isinstance(problem, Problem) for problem in told)
    assert (tmp_path / "t.flac").read_bytes() == whole
    with Table(tmp_path / "t.flac") as table:
        assert len(content(table)) == 2000


@pytest.mark.damages
def test_it_stops_at_once_and_tells_of_errors(tmp_path: Path) -> None:
    damaged(tmp_path / "t.flac")
    slow = Scrubber(str(tmp_path / "t.flac"), rate=1.0)
    slow.start()
    time.sleep(0.2)
    slow.stop(5)
    assert not slow.is_alive()
    told: list[Problem | AudioMemError] = []
    missing = Scrubber(str(tmp_path / "none.flac"), interval=60, on_problem=told.append)
    missing.start()
    end = time.monotonic() + 10
    while not told and time.monotonic() < end:
        time.sleep(0.01)
    missing.stop(5)
    assert isinstance(told[0], AudioMemError)
