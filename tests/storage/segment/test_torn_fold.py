"""A power loss while a segment is appended: any of its pages may be there, and the front is the old one."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from samples import arrow, content, rows

from audiomem_sql.audio import VerbatimPages
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import placement

pytestmark = pytest.mark.damages


@dataclass
class Fold:
    """A file before a fold appended to it and after that, the log, and where the new pages are."""

    before: bytes
    after: bytes
    log: bytes
    offsets: list[int]
    truth: list[dict[str, object]]

    def torn(self, path: Path, kept: set[int], *, cut: bool = False, front: bool = False) -> None:
        """Write the file with these of the new pages, and zeros for the others."""
        data = bytearray(self.before) + bytearray(len(self.after) - len(self.before))
        for page in kept:
            start, stop = self.offsets[page : page + 2]
            data[start:stop] = self.after[start:stop]
        if cut:
            del data[self.offsets[max(kept, default=-1) + 1] :]
        if front:
            data[:512] = self.after[:512]
        path.write_bytes(data)
        Path(f"{path}-wal").write_bytes(self.log)


@pytest.fixture(params=["none", "archive"])
def fold(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fold:
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(placement, "REWRITTEN_BYTES", 0)
    monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)
    path = tmp_path / "made.flac"
    table = write_flac(arrow(rows(300)), path, primary_key="id", profile="embedded", protection=request.param)
    with table:
        table.checkpoint()
        table.append(arrow(rows(400, 1, 1001)))
        before, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
        table.checkpoint()
        assert table.snapshot.table_file is not None
        last = table.snapshot.table_file.newest.file
        assert isinstance(last.source, VerbatimPages)
        assert (len(table.snapshot.segments), last.header.is_whole) == (2, False)
        offsets = [last.source.offset(last.first + page) for page in range(last.page_count + 1)]
        assert offsets[0] == len(before)
        return Fold(before, path.read_bytes(), log, offsets, content(table))


def read(path: Path) -> tuple[int, bool, list[dict[str, object]]]:
    """How many segments a file has, whether it is torn, and its rows."""
    with Table(path) as table:
        file = table.snapshot.table_file
        assert file is not None
        return len(file.segments), file.torn, content(table)


def test_any_subset_of_the_pages(tmp_path: Path, fold: Fold) -> None:
    """All rows are there, and the next writer folds the log again."""
    path, rng, pages = tmp_path / "t.flac", random.Random(5), len(fold.offsets) - 1
    subsets = [
        set(range(pages)),
        {pages - 1},
        set(range(1, pages)),
        set(range(pages - 1)),
        {0, pages - 1},
        set(),
    ]
    subsets += [{page for page in range(pages) if rng.random() < share} for share in (0.5, 0.8, 0.9) * 4]
    seen = set()
    for number, kept in enumerate(subsets):
        fold.torn(path, kept, cut=number % 2 == 1)
        segments, torn, found = read(path)
        assert found == fold.truth
        seen.add((segments, torn))
        assert segments == 2 or torn or not kept
        with Table(path) as table:
            table.append([{"id": 90_000}])
        assert not Path(f"{path}-wal").exists()
        with Table(path) as table:
            assert len(table) == len(fold.truth) + 1
            assert all(
                problem.repair for problem in problems(table)
            )  # parity stands for pages of a fold, too
    assert seen >= {(2, False), (1, True)}


def test_one_bit_in_the_middle(tmp_path: Path, fold: Fold) -> None:
    """One wrong cell is enough: the log has what is in the segment, and is written anew without damage."""
    path, pages = tmp_path / "t.flac", len(fold.offsets) - 1
    fold.torn(path, set(range(pages)))
    data = bytearray(path.read_bytes())
    data[fold.offsets[pages // 2] + 3000] ^= 1
    path.write_bytes(data)
    segments, torn, found = read(path)
    assert found == fold.truth
    assert (segments, torn) == (1, True)


def test_what_the_front_knows_is_not_torn(tmp_path: Path, fold: Fold) -> None:
    """Pages that are lost later are damage: an error, and never the state before."""
    path, pages = tmp_path / "t.flac", len(fold.offsets) - 1
    fold.torn(path, {0, pages - 1}, front=True)
    with pytest.raises(DamagedFileError):
        read(path)
    shutil.copy(path, tmp_path / "alone.flac")
    with pytest.raises(DamagedFileError):
        read(tmp_path / "alone.flac")


def test_without_its_log(tmp_path: Path, fold: Fold) -> None:
    """A torn fold whose log is gone: an error that names the log."""
    path = tmp_path / "t.flac"
    fold.torn(path, {len(fold.offsets) - 2})
    Path(f"{path}-wal").unlink()
    with pytest.raises(DamagedFileError, match=r"t\.flac-wal, which is not here"):
        read(path)
