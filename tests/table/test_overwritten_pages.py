"""Somebody writes into the middle of the file under an open writer: size, front and inode stay as they were."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql.bytes.file_state import FRONT_BYTES
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError
from audiomem_sql.table.table import Table

pytestmark = pytest.mark.damages
ROWS = 20_000


@pytest.fixture(params=["none", "archive"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A table of some hundred pages, and beside it one of the same size."""
    for name in ("t.flac", "other.flac"):
        rows = [{"id": n, "body": os.urandom(75).hex()} for n in range(ROWS)]
        am.write_flac(rows, tmp_path / name, primary_key="id", protection=request.param).close()
    return tmp_path / "t.flac"


def put_pages(path: Path, data: bytes | None = None) -> None:
    """Pages of the other table, or ``data``, in the middle of the file."""
    first = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(first)
        file.write(data or (path.parent / "other.flac").read_bytes()[first : first + 100_000])


def put_noise(path: Path) -> None:
    put_pages(path, os.urandom(100_000))


def put_noise_and_times(path: Path) -> None:
    """As a program does that keeps the times of a file."""
    times = path.stat()
    put_noise(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES = pytest.mark.parametrize("change", [put_pages, put_noise, put_noise_and_times])
COMMITS: dict[str, Callable[[Table], object]] = {
    "small": lambda table: table.append([{"id": ROWS + 5, "body": "x"}]),
    "large": lambda table: table.append([{"id": n, "body": os.urandom(500).hex()} for n in range(-3000, 0)]),
    "tag": lambda table: table.tag("late"),
}


@CHANGES
@pytest.mark.parametrize("commit", COMMITS)
@pytest.mark.parametrize("logged", [False, True])
def test_the_next_commit_is_refused(
    path: Path, change: Callable[[Path], None], commit: str, logged: bool
) -> None:
    with Table(path) as table:
        if logged:
            table.append([{"id": ROWS, "body": "there"}])
        version = table.version
        change(path)
        there = path.read_bytes()
        for _ in range(2):
            with pytest.raises((StorageError, DamagedFileError), match=r"t\.flac"):
                COMMITS[commit](table)
        assert table.version == version
        assert path.read_bytes() == there


@CHANGES
@pytest.mark.parametrize("commit", ["small", "large"])
@pytest.mark.parametrize("logged", [False, True])
def test_a_transaction_that_had_begun_is_refused(
    path: Path, change: Callable[[Path], None], commit: str, logged: bool
) -> None:
    with Table(path) as table:
        if logged:
            table.append([{"id": ROWS, "body": "there"}])
        version = table.version
        transaction = table.begin()
        for n in range(1 if commit == "small" else 3000):
            transaction.insert(None, (ROWS + 5 + n, os.urandom(500).hex()))
        change(path)
        there = path.read_bytes()
        with pytest.raises(StorageError, match="changed or replaced while it was written to"):
            table.commit()
        assert path.read_bytes() == there
        assert table.version == version


@CHANGES
def test_what_was_logged_is_not_folded_into_it(path: Path, change: Callable[[Path], None]) -> None:
    with Table(path) as table:
        table.append([{"id": ROWS, "body": "there"}])
        change(path)
        there = path.read_bytes()
        with pytest.raises(AudioMemError, match=r"t\.flac"):
            table.checkpoint()
        assert path.read_bytes() == there
        log = Path(f"{path}-wal").read_bytes()
        with pytest.warns(am.UpkeepWarning, match=r"t\.flac"):
            table.close()
    assert path.read_bytes() == there
    assert Path(f"{path}-wal").read_bytes() == log


def test_what_is_no_change(path: Path) -> None:
    """Mode, links that are gone again, times, and the same bytes once more."""
    with Table(path) as table:
        for number, change in enumerate(
            (
                lambda: os.chmod(path, 0o600),
                lambda: (os.link(path, path.parent / "link"), os.unlink(path.parent / "link")),
                lambda: os.utime(path),
                lambda: put_pages(path, path.read_bytes()[path.stat().st_size // 2 :][:100_000]),
                lambda: None,
            )
        ):
            table.begin().insert(None, (ROWS + number, "new"))
            change()
            table.commit()
            table.append([{"id": -1 - number, "body": "new"}])
    with Table(path) as table:
        assert table.to_arrow(columns=["id"]).num_rows == ROWS + 10


def test_damage_that_was_there_is_no_change(tmp_path: Path) -> None:
    """A header that could not be read when the table was opened is not held against the next commit."""
    rows = [{"id": n, "body": os.urandom(75).hex()} for n in range(ROWS)]
    path = tmp_path / "t.flac"
    am.write_flac(rows, path, primary_key="id", protection="archive").close()
    put_noise(path)
    with Table(path) as table:
        table.append([{"id": ROWS, "body": "new"}])
        table.begin().insert(None, (ROWS + 1, "new"))
        os.utime(path)
        table.commit()
    assert path.stat().st_size > FRONT_BYTES
    with Table(path) as table:
        assert table.to_arrow(columns=["id"]).num_rows == ROWS + 2


TOUCHES: dict[str, Callable[[Path], None]] = {
    "mode": lambda path: os.chmod(path, 0o600),
    "link": lambda path: (os.link(path, path.parent / "link"), os.unlink(path.parent / "link"))[0],
}


def damaged(tmp_path: Path, protection: str) -> Path:
    """A table of one column of which some pages are lost, and that can be written to all the same."""
    path = tmp_path / "t.flac"
    rows = [{"id": n, "body": os.urandom(75).hex()} for n in range(ROWS)]
    am.write_flac(rows, path, primary_key="id", protection=protection).close()
    put_noise(path)
    return path


def test_damaged_and_touched_before_the_first_commit(tmp_path: Path) -> None:
    """Nobody counted what was unreadable before, and a time can be put back: it is refused until opened anew."""
    path = damaged(tmp_path, "none")
    with Table(path) as table:
        os.chmod(path, 0o600)
        with pytest.raises(StorageError, match="Open it again"):
            table.append([{"id": ROWS, "body": "new"}])
    with Table(path) as table:
        table.append([{"id": ROWS, "body": "new"}])
    with Table(path) as table:
        assert table.get(ROWS) == {"id": ROWS, "body": "new"}


@pytest.mark.parametrize("touch", [*TOUCHES, "times"])
@pytest.mark.parametrize("protection", ["none", "archive"])
def test_damaged_and_touched_after_its_own_fold(tmp_path: Path, protection: str, touch: str) -> None:
    """What was unreadable in the segments that stay is known when the file is opened anew."""
    path = damaged(tmp_path, protection)
    with Table(path) as table:
        for n in range(3):
            table.append([{"id": ROWS + n, "body": "new"}])
            assert table.checkpoint()
            TOUCHES.get(touch, os.utime)(path)
    with Table(path) as table:
        assert table.get(ROWS + 2) == {"id": ROWS + 2, "body": "new"}


@CHANGES
def test_noticed_after_its_own_fold(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """One more lost page is told from those that were lost."""
    am.write_flac(
        [{"id": n, "body": os.urandom(75).hex()} for n in range(ROWS)],
        tmp_path / "other.flac",
        primary_key="id",
    ).close()
    path = damaged(tmp_path, "none")
    with Table(path) as table:
        table.append([{"id": ROWS, "body": "new"}])
        assert table.checkpoint()
        first = path.stat().st_size // 4
        with path.open("r+b") as file:
            file.seek(first)
            file.write(
                os.urandom(60_000)
                if change is put_noise
                else (tmp_path / "other.flac").read_bytes()[first : first + 60_000]
            )
        there = path.read_bytes()
        with pytest.raises((StorageError, DamagedFileError), match=r"t\.flac"):
            table.append([{"id": ROWS + 1, "body": "new"}])
    assert path.read_bytes() == there
