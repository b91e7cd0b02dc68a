"""The front of an older state, and damage to the newest segment: told; no older state is shown in silence."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from samples import arrow, content, rows

from audiomem_sql.audio import VerbatimPages
from audiomem_sql.errors import DamagedFileError, DamageWarning
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.storage.pages import HeadRecord
from audiomem_sql.storage.pages.front import FRONT_BYTES, HEAD_AT
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import log_limits, placement

pytestmark = [pytest.mark.damages, pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")]

#: The states whose fronts are put back, over each damage: the oldest, with a log announced, the newest.
FRONTS = (0, 2, 4)


@dataclass
class History:
    """A file that was appended to: its fronts, the rows of its states, and where its pages are."""

    path: Path
    is_protected: bool
    fronts: list[bytes] = field(default_factory=list)
    states: list[list[dict[str, object]]] = field(default_factory=list)
    whole: bytes = b""
    offsets: list[int] = field(default_factory=list)
    #: First page and the page behind the last one of each segment.
    places: list[tuple[int, int]] = field(default_factory=list)

    def note(self, table: Table) -> None:
        self.fronts.append(self.path.read_bytes()[:FRONT_BYTES])
        self.states.append(content(table))

    def write(self, front: int, *lost: tuple[int, int], cut: int | None = None, fill: str = "random") -> None:
        """Write the file with the front of a state, without these pages, and cut behind a page."""
        data = bytearray(self.whole)
        data[:FRONT_BYTES] = self.fronts[front]
        for first, stop in lost:
            low, high = self.offsets[first], self.offsets[stop]
            data[low:high] = (
                bytes(high - low) if fill == "zeros" else random.Random(low).randbytes(high - low)
            )
        if cut is not None:
            del data[self.offsets[cut] + 100 :]
        self.path.write_bytes(data)

    def check(self) -> None:
        """What is read is the newest state, or an error; salvage shows rows of the table only."""
        told = False
        try:
            with Table(self.path) as table:
                found = content(table)
        except DamagedFileError as error:
            told = bool(error.remedy)
        assert told or found == self.states[-1]
        assert told or self.is_protected
        known = {row["id"] for state in self.states for row in state}
        with Table(self.path, salvage=True, on_damage="skip") as table:
            assert {row["id"] for row in content(table)} <= known


@pytest.fixture(params=["none", "archive"])
def history(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """A base, a large commit behind it, a fold behind an announce page, and a large commit behind that."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(placement, "REWRITTEN_BYTES", 0)
    monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)
    monkeypatch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 256 << 10)
    path = tmp_path / "t.flac"
    made = History(path, request.param != "none")
    write_flac(arrow(rows(300)), path, primary_key="id", profile="embedded", protection=request.param).close()
    with Table(path) as table:
        made.note(table)
        large(table, 1000)
        made.note(table)
        table.append([{"id": 5000}])
        made.note(table)
        table.checkpoint()
        made.note(table)
        large(table, 6000)
        made.note(table)
        file = table.snapshot.table_file
        assert file is not None
        made.places = [(segment.file.place.first, segment.file.place.stop) for segment in file.segments]
        source = file.newest.file.source
        assert isinstance(source, VerbatimPages)
        made.offsets = [source.offset(page) for page in range(file.stop + 1)]
    made.whole = path.read_bytes()
    assert len(made.places) == 4
    assert [first - stop for (_, stop), (first, _) in zip(made.places, made.places[1:], strict=False)] == [
        0,
        1,
        0,
    ]
    return made


def large(table: Table, first: int) -> None:
    """A commit that is a segment of its own."""
    table.begin()
    assert table.transaction is not None
    for number in range(first, first + 300):
        table.transaction.insert(
            number, [number, None, None, random.Random(number).randbytes(700).hex(), *[None] * 7]
        )
    table.commit()


def test_every_old_front(history: History) -> None:
    """Of a file that is whole."""
    for front in range(len(history.fronts)):
        history.write(front)
        with Table(history.path) as table:
            assert content(table) == history.states[-1]


@pytest.mark.parametrize("fill", ["random", "zeros"])
def test_the_newest_segment_is_damaged(history: History, fill: str) -> None:
    """In the middle, at its beginning, its end, and but for one page."""
    first, stop = history.places[-1]
    third = (stop - first) // 3
    for front in FRONTS:
        for lost in (
            (first + third, stop - third),
            (first, stop - third),
            (first + third, stop),
            (first + 1, stop),
            (first, stop - 1),
        ):
            history.write(front, lost, fill=fill)
            history.check()


def test_the_end_is_cut_off(history: History) -> None:
    first, stop = history.places[-1]
    for front in FRONTS:
        for cut in (stop - 1, (first + stop) // 2, first + 1):
            history.write(front, cut=cut)
            history.check()


def test_several_at_once(history: History) -> None:
    """The announce page as well, the segment in front of it, and the end."""
    first, stop = history.places[-1]
    fold, behind = history.places[-2]
    announce = fold - 1
    half = (first + stop) // 2
    for front in FRONTS:
        for lost in (
            [(announce, fold), (half - 2, stop)],
            [(announce, fold), (fold, behind), (half, stop)],
            [(fold, behind), (first + 1, half + 3)],
            [(announce, half + 2)],
        ):
            history.write(front, *lost)
            history.check()


def test_damaged_fronts(history: History) -> None:
    """Head record damaged, and the newest segment: what is behind no announcement was finished."""
    first, stop = history.places[-1]
    for lost in ((first + 2, stop - 2), (first, stop - 3), (first + 3, stop)):
        history.write(-1, lost)
        data = bytearray(history.path.read_bytes())
        data[HEAD_AT + 20] ^= 1
        history.path.write_bytes(data)
        history.check()


@pytest.mark.parametrize("lost", [0, 1])
def test_nothing_is_left_of_the_newest_segments(history: History, lost: int) -> None:
    """Where the front is that of the state before, the file is longer than that: a warning, and a fault."""
    first, stop = (history.places[-1 - lost][0], history.places[-1][1])
    history.write(-1, (first, stop), fill="zeros")
    with pytest.raises(DamagedFileError, match=r"the end of the file is missing.* it ended with version 5"):
        Table(history.path)
    history.write(-2 - 2 * lost, (first - lost, stop), fill="zeros")
    with pytest.warns(DamageWarning, match="zeros, where no writer leaves any: what was there is erased"):
        table = Table(history.path)
    with table:
        assert content(table) == history.states[-2 - 2 * lost]
        (problem,) = problems(table)
        assert (problem.page, problem.repair) == (first - lost, None)


def test_what_a_crash_leaves(history: History) -> None:
    """While a large commit is appended: the state before, and the next writer goes on."""
    first, stop = history.places[-1]
    appending = bytearray(history.fronts[-2])
    record = HeadRecord.unpack(bytes(appending[HEAD_AT:]))
    assert record is not None
    assert not record.is_open
    appending[HEAD_AT:FRONT_BYTES] = HeadRecord(
        record.generation,
        record.table_id,
        record.sealed,
        record.segment_id,
        record.digest,
        record.last_version,
        appending=True,
    ).pack()
    history.fronts.append(bytes(appending))
    rng = random.Random(3)
    for number in range(12):
        kept = rng.sample(range(first, stop), rng.randrange(stop - first))
        lost = [(page, page + 1) for page in range(first, stop) if page not in kept]
        history.write(-1, *lost, cut=None if number % 2 else rng.randrange(first, stop), fill="zeros")
        with Table(history.path) as table:
            assert content(table) == history.states[-2]
            table.append([{"id": 70_000}])
        with Table(history.path) as table:
            assert content(table)[:-1] == history.states[-2]
            assert list(problems(table)) == []
