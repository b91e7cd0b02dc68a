"""Who is the last that wrote to a log: among open tables of one process, several processes, and forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from open_files import open_below

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.machine.presence import Presence

ANOTHER = """
import os, sys
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.machine.presence import Presence
presence = Presence(sys.argv[1])
presence.enter(file_identity(sys.argv[1]))
print("here", flush=True)
for line in sys.stdin:
    if line == "last?\\n":
        print(presence.is_last(), flush=True)
    else:
        presence.leave()
        print("left", flush=True)
"""


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "t.flac-wal"
    path.write_bytes(b"log")
    return str(path)


def entered(log: str) -> Presence:
    presence = Presence(log)
    presence.enter(file_identity(log))
    return presence


class Another:
    """Another process that is present."""

    def __init__(self, log: str) -> None:
        command = [sys.executable, "-c", ANOTHER, log]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._stream(self.process.stdout).readline() == "here\n"

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream

    def asked(self, question: str) -> str:
        sink = self._stream(self.process.stdin)
        sink.write(f"{question}\n")
        sink.flush()
        return self._stream(self.process.stdout).readline().strip()

    def killed(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def another(log: str) -> Iterator[Another]:
    process = Another(log)
    yield process
    process.killed()


def test_the_only_one_is_the_last(log: str) -> None:
    presence = entered(log)
    assert presence.is_last()
    assert presence.is_last()
    presence.leave()


def test_who_was_never_there_is_in_nobodys_way(log: str) -> None:
    absent, presence = Presence(log), entered(log)
    assert absent.is_last()
    assert presence.is_last()
    presence.leave()
    presence.leave()
    assert presence.is_last()


def test_of_two_in_one_process_the_second_is_the_last(log: str) -> None:
    first, second = entered(log), entered(log)
    assert not first.is_last()
    assert not second.is_last()
    first.leave()
    assert second.is_last()
    again = entered(log)  # who asked has the log shared again
    assert not second.is_last()
    again.leave()
    second.leave()


def test_of_two_processes_the_second_is_the_last(log: str, another: Another) -> None:
    presence = entered(log)
    assert not presence.is_last()
    assert another.asked("last?") == "False"
    presence.leave()
    assert another.asked("last?") == "True"
    assert another.asked("leave") == "left"


def test_asking_keeps_the_own_presence(log: str, another: Another) -> None:
    """Neither the answer yes nor the answer no lets go of the log."""
    presence = entered(log)
    assert not presence.is_last()
    assert another.asked("last?") == "False"
    assert another.asked("leave") == "left"
    assert presence.is_last()
    third = Another(log)
    assert third.asked("last?") == "False"
    third.killed()
    presence.leave()


def test_a_process_that_is_killed_is_gone(log: str, another: Another) -> None:
    presence = entered(log)
    assert not presence.is_last()
    another.killed()
    assert presence.is_last()
    presence.leave()


def test_one_that_is_dropped_is_gone(log: str) -> None:
    presence, other = entered(log), entered(log)
    del other
    assert presence.is_last()
    presence.leave()


def test_a_fork_is_not_present_and_takes_nothing_away(log: str) -> None:
    """The child has not written. It enters by itself, and its end is not the parent's."""
    presence = entered(log)
    for writes in (False, True):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            said = b"failed"
            try:
                if writes:
                    presence.enter(file_identity(log))
                said = b"last" if presence.is_last() else b"not last"
                presence.leave()
            finally:
                os.write(write, said)
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 10) == (b"not last" if writes else b"last")
        os.close(read)
        os.close(write)
        other = entered(log)
        assert not other.is_last()
        other.leave()
    assert presence.is_last()
    presence.leave()


def test_a_log_that_another_took_the_place_of(log: str) -> None:
    """After a fold there is a new log: presence at the old one is none there."""
    presence, old = entered(log), entered(log)
    os.unlink(log)
    Path(log).write_bytes(b"new")
    presence.enter(file_identity(log))
    assert presence.is_last()
    assert old.is_last()
    new = entered(log)
    assert not presence.is_last()
    new.leave()
    old.leave()
    presence.leave()


def test_entering_twice_opens_nothing(log: str) -> None:
    presence = entered(log)
    before = len(open_below(os.path.dirname(log)))
    assert before
    os.unlink(log)  # it would be missed
    inode = presence._identity
    presence.enter(inode)
    assert len(open_below(os.path.dirname(log))) == before
    presence.leave()


@pytest.mark.parametrize("what", ["missing", "link", "pipe", "folder"])
def test_what_is_no_log_is_refused_and_nothing_is_held(log: str, tmp_path: Path, what: str) -> None:
    presence = entered(log)
    os.rename(log, tmp_path / "moved")
    if what == "link":
        os.symlink(tmp_path / "moved", log)
    elif what == "pipe":
        os.mkfifo(log)
    elif what == "folder":
        os.mkdir(log)
    with pytest.raises(StorageError, match=r"t\.flac-wal") as told:
        presence.enter((1, 1))
    assert told.value.remedy
    assert presence.is_last()
    other = Presence(str(tmp_path / "moved"))
    other.enter(file_identity(str(tmp_path / "moved")))
    assert other.is_last()  # the first let go of the old log when it looked for a new one
    other.leave()


def test_a_log_that_can_only_be_read(log: str) -> None:
    """A shared or an exclusive flock needs no right to write."""
    os.chmod(log, 0o444)
    first, second = entered(log), entered(log)
    assert not first.is_last()
    second.leave()
    assert first.is_last()
    first.leave()
    assert Path(log).read_bytes() == b"log"
