"""A power loss while a file is changed in place: any sectors of what was not flushed, at any length.

With the log that goes with it the table has every commit. Without it the file says what is missing, or has
it: it never shows old rows as if they were all.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.make_v2_chains import row, thresholds

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table

pytestmark = [pytest.mark.damages, pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")]
COLUMNS = ["id INTEGER PRIMARY KEY", "word TEXT", "n INTEGER", "raw BLOB"]
FRONT = 512
IMAGES = 38  # of each change, with each protection, with front or without: about 300 in all


@dataclass
class States:
    """A file closed, with an announcement, and folded; and the log."""

    closed: bytes
    announced: bytes
    folded: bytes
    log: bytes


@pytest.fixture(scope="module", params=["none", "archive"])
def states(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> States:
    path = tmp_path_factory.mktemp("states") / "t.flac"
    options = {"profile": "embedded", "protection": request.param}
    with thresholds(appended=True):
        with Table.create(path, COLUMNS, options) as table:
            table.append([row(n) for n in range(1, 21)])
        closed = path.read_bytes()
        with Table(path) as table:
            table.append([row(n) for n in range(21, 81)], replace="id = 3")
            announced, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
            table.checkpoint()
            return States(closed, announced, path.read_bytes(), log)


OLD = list(range(1, 21))
NEW = [1, 2, *range(4, 81)]


def image(rng: random.Random, before: bytes, after: bytes, *, whole_front: bytes = b"") -> bytes:
    """``before``, of which any sectors and the length may be those of ``after``."""
    sector = rng.choice([512, 4096])
    length = rng.choice([len(before), len(after), rng.randrange(len(before), len(after) + 1)])
    chance = rng.choice([0.02, 0.5, 0.9, 0.98])
    data = bytearray(before.ljust(len(after), b"\0"))
    for start in range(0, len(after), sector):
        if rng.random() < chance:
            data[start : start + sector] = after[start : start + sector]
    data[: len(whole_front)] = whole_front
    return bytes(data[:length])


def shown(path: Path) -> list[int] | None:
    """The rows of the table; None where opening says that the log is missing."""
    try:
        with TableReader(path) as table:
            rows = table.to_arrow().sort_by("id").to_pylist()
    except DamagedFileError as error:
        if "which is not here" not in str(error):
            raise
        return None
    assert rows == [row(each["id"]) for each in rows]
    return [each["id"] for each in rows]


def put(path: Path, data: bytes, log: bytes | None) -> None:
    path.write_bytes(data)
    beside = Path(f"{path}-wal")
    beside.unlink(missing_ok=True)
    if log is not None:
        beside.write_bytes(log)


def goes_on(path: Path) -> None:
    """The next writer adds a row and closes: one whole file."""
    with Table(path) as table:
        table.append([row(99)])
    assert not Path(f"{path}-wal").exists()
    assert shown(path) == [*NEW, 99]


def check(path: Path, data: bytes, states: States, alone: list[list[int] | None], *, write: bool) -> str:
    put(path, data, None)
    found = shown(path)
    assert found in alone
    put(path, data, states.log)
    assert shown(path) == NEW
    if write:
        goes_on(path)
    return "missing" if found is None else "old" if found == OLD else "new"


def stripped(data: bytes) -> bytes:
    """Without the head record: its block has another id."""
    return data.replace(b"AUDM", b"XXXX", 1)


@pytest.mark.parametrize("front", [True, False])
def test_announcement(states: States, tmp_path: Path, front: bool) -> None:
    """The commit is in the log, and not acknowledged yet: without the log the old rows may be shown."""
    rng, seen = random.Random(1), Counter[str]()
    for number in range(IMAGES):
        data = image(rng, states.closed, states.announced)
        if not front:
            data = stripped(data)
        seen[check(tmp_path / "t.flac", data, states, [OLD, None], write=number % 8 == 0)] += 1
    assert set(seen) == {"old", "missing"}


@pytest.mark.parametrize("front", [True, False])
def test_appended_segment(states: States, tmp_path: Path, front: bool) -> None:
    """The pages are written and not flushed; the front says open, as before."""
    rng, seen = random.Random(2), Counter[str]()
    for number in range(IMAGES):
        data = image(rng, states.announced, states.folded, whole_front=states.announced[:FRONT])
        if not front:
            data = stripped(data)
        seen[check(tmp_path / "t.flac", data, states, [NEW, None], write=number % 8 == 0)] += 1
    assert set(seen) <= {"new", "missing"}
    assert seen["missing"]


def test_every_page_but_one(states: States, tmp_path: Path) -> None:
    """Of an appended segment, or of the announcement before it, each sector is lost once."""
    whole = states.announced[:FRONT] + states.folded[FRONT:]
    put(tmp_path / "t.flac", whole, None)
    assert shown(tmp_path / "t.flac") == NEW
    size = len(states.announced)
    for start in range(size, len(whole), 4096):
        data = whole[:start] + bytes(min(4096, len(whole) - start)) + whole[start + 4096 :]
        check(tmp_path / "t.flac", data, states, [NEW, None], write=False)


def test_front_of_a_folded_file(states: States, tmp_path: Path) -> None:
    """The segment is durable; of the front there is the old sector, the new one, or neither."""
    path = tmp_path / "t.flac"
    for front in (states.announced[:FRONT], states.folded[:FRONT], states.closed[:FRONT], bytes(FRONT)):
        data = front + states.folded[FRONT:]
        for log in (None, states.log):
            put(path, data, log)
            assert shown(path) == NEW
        goes_on(path)


@pytest.mark.parametrize("front", [True, False])
def test_cut_anywhere(states: States, tmp_path: Path, front: bool) -> None:
    """A file that was cut behind a fold: the front knows the segment, the announcement does not."""
    path, data = tmp_path / "t.flac", states.folded if front else stripped(states.folded)
    refused = 0
    for length in range(len(states.announced), len(data), 3977):
        put(path, data[:length], None)
        try:
            found = shown(path)
        except DamagedFileError:
            refused += 1
        else:
            assert found == (NEW if front else None)
    assert bool(refused) == front
