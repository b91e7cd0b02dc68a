"""Whether the newest segment was finished, where the front of the file does not say so."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from audiomem_sql.audio import VerbatimPages
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.pages import FRONT_BYTES
from audiomem_sql.storage.pages.front import HEAD_AT
from audiomem_sql.table.table import Table
from storage.segment.test_table_file import chain, opened

pytestmark = pytest.mark.damages


class Appended:
    """A file of two segments, the second behind an announcement, and its front before that was written."""

    def __init__(self, path: Path, protection: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = chain(path, "appended", protection, monkeypatch, segments=1)
        self.old_front = path.read_bytes()[:FRONT_BYTES]
        with Table(path) as table:
            table.append([{"id": 5000 + n, "text": random.Random(n).randbytes(40).hex()} for n in range(900)])
        file = opened(path)
        source = file.newest.file.source
        assert isinstance(source, VerbatimPages)
        self.pages = [source.offset(page) for page in range(file.newest.file.first, file.stop)]
        file.close()

    def front(self, which: str) -> None:
        """Put the old front in its place, or none."""
        with self.path.open("r+b") as file:
            if which == "behind":
                file.write(self.old_front)
            elif which == "none":
                file.seek(HEAD_AT)
                file.write(bytes(8))

    def damage(self, at: int, size: int = 1) -> None:
        data = bytearray(self.path.read_bytes())
        data[at : at + size] = bytes(byte ^ 0xFF for byte in data[at : at + size])
        self.path.write_bytes(data)

    def segments(self) -> int:
        """How many are believed; behind them is what was torn, or nothing."""
        file = opened(self.path)
        assert file.torn == (len(file.segments) == 1)
        assert (file.announced is None) == (len(file.segments) == 2)
        count = len(file.segments)
        file.close()
        return count


@pytest.fixture(params=["none", "archive"])
def protection(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(tmp_path: Path, protection: str, monkeypatch: pytest.MonkeyPatch) -> Appended:
    return Appended(tmp_path / "t.flac", protection, monkeypatch)


@pytest.mark.parametrize("front", ["newest", "behind", "none"])
def test_a_whole_segment_is_believed(made: Appended, front: str) -> None:
    made.front(front)
    assert made.segments() == 2


@pytest.mark.parametrize(("front", "believed"), [("newest", True), ("behind", False), ("none", None)])
def test_one_with_a_wrong_byte(made: Appended, front: str, believed: bool | None, protection: str) -> None:
    """Where the front is lost it counts if its cells can be recovered: there may be no log any more."""
    made.front(front)
    made.damage(made.pages[0] + 7000)
    expected = protection == "archive" if believed is None else believed
    assert made.segments() == (2 if expected else 1)


@pytest.mark.parametrize("front", ["behind", "none"])
def test_one_without_its_end(made: Appended, front: str) -> None:
    made.front(front)
    with made.path.open("r+b") as file:
        file.truncate(made.pages[-1])
    assert made.segments() == 1


def test_more_is_lost_than_parity_brings_back(made: Appended) -> None:
    """The catalog is there, in the first page."""
    made.front("none")
    for page in made.pages[1:]:
        made.damage(page + 60, 8000)
    assert made.segments() == 1


@pytest.mark.parametrize("front", ["newest", "behind", "none"])
def test_the_first_segment_is_never_doubted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, front: str
) -> None:
    """It came with the file, whatever the front says: damage in it is damage."""
    path = chain(tmp_path / "t.flac", "appended", "none", monkeypatch, segments=1)
    file = opened(path)
    source = file.newest.file.source
    assert isinstance(source, VerbatimPages)
    middle, stop, head = source.offset(file.stop // 2), file.stop, file.head
    file.close()
    data = bytearray(path.read_bytes())
    if front == "behind":
        packed = replace(head, sealed=stop - 1).pack()
        data[HEAD_AT : HEAD_AT + len(packed)] = packed
    elif front == "none":
        data[HEAD_AT : HEAD_AT + 8] = bytes(8)
    data[middle + 7000] ^= 0xFF
    path.write_bytes(data)
    again = opened(path)
    assert (len(again.segments), again.torn) == (1, False)
    assert list(again.newest.file.damage())
    again.close()


def test_a_finished_segment_that_cannot_be_read(made: Appended, protection: str) -> None:
    """The front says that it was finished: that is damage, and no older state."""
    for page in made.pages:
        made.damage(page + 60, 8000)
    with pytest.raises(DamagedFileError):
        opened(made.path)
