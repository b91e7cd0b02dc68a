"""The state of a file: what of a change is seen by a look at its front, its size and its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiomem_sql.bytes.file_state import FRONT_BYTES, FileState
from audiomem_sql.errors import StorageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "f"
    path.write_bytes(bytes(range(256)) * 3)
    return path


def test_a_file_as_it_is(path: Path) -> None:
    state = FileState.of(str(path))
    assert state is not None
    status = path.stat()
    there = (status.st_dev, status.st_ino), 768, path.read_bytes()[:512]
    assert state == FileState(*there, touched=0)  # that is not compared
    assert state.touched == status.st_ctime_ns
    assert FRONT_BYTES == 512
    with path.open("rb") as file:
        file.seek(100)
        assert FileState.of_handle(file.fileno()) == state
        assert file.tell() == 100


def test_changes(path: Path) -> None:
    state = FileState.of(str(path))
    for at in (0, 255, 511):
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        with path.open("r+b") as file:
            file.write(data)
        assert FileState.of(str(path)) != state
        data[at] ^= 1
        with path.open("r+b") as file:
            file.write(data)
        assert FileState.of(str(path)) == state
    os.truncate(path, 767)
    assert FileState.of(str(path)) != state


def test_what_takes_its_place(path: Path) -> None:
    state = FileState.of(str(path))
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    assert FileState.of(str(other)) != state
    other.replace(path)
    assert FileState.of(str(path)) != state


def test_a_short_file(path: Path) -> None:
    path.write_bytes(b"abc")
    state = FileState.of(str(path))
    assert state is not None
    assert (state.size, state.front) == (3, b"abc")


def test_a_link_is_followed(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    assert FileState.of(str(link)) == FileState.of(str(path))


def test_none_and_what_is_no_file(path: Path) -> None:
    assert FileState.of(str(path.with_name("none"))) is None
    with pytest.raises(StorageError, match="folder"):
        FileState.of(str(path.parent))
    with pytest.raises(StorageError):
        FileState.of(str(path / "below"))


def test_every_handle_is_closed(path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        FileState.of(str(path))
    assert len(os.listdir("/dev/fd")) == before
