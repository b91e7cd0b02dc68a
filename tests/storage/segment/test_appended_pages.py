"""What is written to a file that is appended to, in which order, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from crash.faulty import FileLayer

from audiomem_sql.errors import StorageError
from audiomem_sql.storage.pages import FRONT_BYTES
from audiomem_sql.storage.segment import AppendedPages, TableFile, announce, can_append, retract
from audiomem_sql.table.table import Table
from storage.segment.test_table_file import SESSION, chain, opened

pytestmark = pytest.mark.damages
PROTECTIONS = pytest.mark.parametrize("protection", ["none", "archive"])


@pytest.fixture
def path(tmp_path: Path, protection: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    return chain(tmp_path / "t.flac", "appended", protection, monkeypatch, segments=2)


def steps(layer: FileLayer) -> list[tuple[str, int]]:
    """(kind, offset) of what was done; writes that follow each other count once."""
    done: list[tuple[str, int]] = []
    for each in layer.operations:
        if each.kind != "write" or not done or done[-1][0] != "write" or not each.offset:
            done.append((each.kind, each.offset))
    return done


@PROTECTIONS
def test_how_a_log_is_announced(path: Path) -> None:
    """The page, then the front, and one flush for both."""
    file, end = opened(path), path.stat().st_size
    with FileLayer(path.parent) as layer:
        record = announce(file, SESSION, "host:1")
    assert steps(layer) == [("size", end), ("write", end), ("write", 0), ("sync", 0)]
    assert len(layer.operations[2].data) == FRONT_BYTES
    again = opened(path)
    assert (again.front, again.announced, again.stop) == (record, record, file.stop)
    assert again.newest.file.source.present == file.stop + 1
    with FileLayer(path.parent) as layer:
        retract(again)
    assert steps(layer) == [("write", 0), ("sync", 0), ("size", end), ("sync", 0)]
    assert path.stat().st_size == end
    file.close()
    again.close()


@PROTECTIONS
def test_how_a_segment_is_appended(path: Path) -> None:
    """Pages, a flush, the front, a flush; then the log is deleted."""
    table = Table(path)
    table.append([{"id": 7000, "text": "y"}])
    end = path.stat().st_size
    with FileLayer(path.parent) as layer:
        table.checkpoint()
    expected = [
        ("size", end),
        ("write", end),
        ("sync", 0),
        ("write", 0),
        ("sync", 0),
        ("name", 0),
        ("folder", 0),
    ]
    assert steps(layer) == expected
    file = table.snapshot.table_file
    assert file is not None
    assert file.front == file.head
    assert file.head.sealed == file.stop == file.newest.file.source.present
    table.close()


def _fails_at(number: int) -> Callable[[str], bool]:
    """Lets call ``number`` fail and each after it that writes or flushes."""
    calls = 0

    def fail(name: str) -> bool:
        nonlocal calls
        calls += 1
        return calls == number

    return fail


@PROTECTIONS
@pytest.mark.parametrize("number", range(1, 5))
def test_an_announcement_that_fails_leaves_the_file_as_it_was(path: Path, number: int) -> None:
    before, file = path.read_bytes(), opened(path)
    with FileLayer(path.parent, _fails_at(number)) as layer, pytest.raises(StorageError, match=r"t\.flac"):
        announce(file, SESSION, "host:1")
    assert len(layer.calls) >= number
    assert path.read_bytes() == before
    file.close()


@PROTECTIONS
@pytest.mark.parametrize("number", range(1, 5))
def test_a_retraction_that_fails_is_told(path: Path, number: int) -> None:
    """No failure leaves a file that says nothing of a log which its front or its samples had announced."""
    file = opened(path)
    announce(file, SESSION, "host:1")
    file.close()
    file, announced = opened(path), path.read_bytes()
    with FileLayer(path.parent, _fails_at(number)), pytest.raises(StorageError, match=r"t\.flac"):
        retract(file)
    if number <= 2:  # whoever tries again writes the front again: what was written may never be flushed
        assert path.read_bytes() == announced
    file.close()
    again = opened(path)
    assert len(again.segments) == 2
    again.close()


@PROTECTIONS
def test_a_file_that_was_changed(path: Path) -> None:
    file = opened(path)
    with path.open("ab") as other:
        other.write(b"more")
    before = path.read_bytes()
    for change in (lambda: announce(file, SESSION, "host:1"), lambda: retract(file)):
        with pytest.raises(StorageError, match="changed or replaced"):
            change()
    assert path.read_bytes() == before
    file.close()


@PROTECTIONS
def test_where_frames_can_be_appended(path: Path) -> None:
    whole = path.read_bytes()

    def appendable() -> bool:
        file = opened(path)
        try:
            return can_append(file)
        finally:
            file.close()

    assert appendable()
    path.write_bytes(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + whole)
    assert not appendable()
    path.write_bytes(whole[: len(whole) // 2])
    assert not appendable()


@PROTECTIONS
def test_pages_that_were_never_written(path: Path) -> None:
    file: TableFile = opened(path)
    pages = AppendedPages(file)
    pages.take_back()
    pages.abandon()
    pages.close()
    file.close()
