"""The writer's lock among processes: who waits gets it in turn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiomem_sql.errors import BusyError
from audiomem_sql.machine.writer_lock import WriterLock

TURNS = """
import os, sys
from audiomem_sql.machine.writer_lock import WriterLock
base, order, name = sys.argv[1:]
lock = WriterLock(base)
sys.stdin.readline()
for _ in range(30):
    lock.acquire(60)
    with open(order, "a") as file:
        file.write(name)
    lock.release()
"""


def test_each_process_gets_its_turns(tmp_path: Path) -> None:
    base, order = tmp_path / "t.flac", tmp_path / "order"
    base.touch()
    held = WriterLock(str(base))
    held.acquire(0)
    running = [
        subprocess.Popen([sys.executable, "-c", TURNS, base, order, name], stdin=subprocess.PIPE)
        for name in "abc"
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    while len(held._queue.names()) < 3:
        pass
    held.release()
    assert [process.wait() for process in running] == [0] * 3
    turns = order.read_text()
    assert {name: turns.count(name) for name in "abc"} == dict.fromkeys("abc", 30)
    first = turns[: min(turns.rindex(name) for name in "abc")]
    assert all(first[at : at + 3].count(first[at]) == 1 for at in range(len(first) - 2)), turns
    assert sorted(os.listdir(tmp_path)) == ["order", "t.flac"]


def test_who_was_killed_in_the_queue_is_passed_over(tmp_path: Path) -> None:
    base = tmp_path / "t.flac"
    base.touch()
    held, other = WriterLock(str(base)), WriterLock(str(base))
    held.acquire(0)
    dead = tmp_path / "t.flac-queue" / f"{0:020d}-{1:010d}-00000000"
    dead.parent.mkdir()
    dead.touch()
    with pytest.raises(BusyError, match="is writing"):
        other.acquire(0)
    assert not dead.exists()
    assert not dead.parent.exists()
    held.release()
    dead.parent.mkdir()
    dead.touch()
    other.acquire(0)
    assert not dead.parent.exists()


def test_nobody_takes_the_lock_before_those_who_wait(tmp_path: Path) -> None:
    base = tmp_path / "t.flac"
    base.touch()
    lock = WriterLock(str(base))
    place = lock._queue.enter()
    with pytest.raises(BusyError):
        lock.acquire(0)
    place.leave()
    lock.acquire(0)


def test_without_room_for_a_queue(tmp_path: Path) -> None:
    base = tmp_path / "t.flac"
    base.touch()
    (tmp_path / "t.flac-queue").touch()  # no folder can be made
    lock = WriterLock(str(base))
    lock.acquire(0)
    lock.release()
