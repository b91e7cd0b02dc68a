"""Which log goes with a file: every row of the table in FORMAT.md, with real files and logs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.log import LogContent, LogRecord, LogWriter, Predecessor, read_log
from audiomem_sql.storage.pages import HeadRecord
from audiomem_sql.storage.segment import Folded, Seal, TableFile, open_table_file
from audiomem_sql.table.table import Table
from audiomem_sql.versions.head_file import head_of
from audiomem_sql.versions.log_of_file import announced_session, continues, log_of_file

pytestmark = pytest.mark.damages
V1 = Path(__file__).parents[1] / "fixtures" / "v1"
OURS, OTHER = b"session1", b"session2"
QUANTUM = 1 << 16


def made(path: Path) -> Path:
    """A table with versions 1 to 3, the last of which came by a log."""
    with Table.create(path, ["id INTEGER PRIMARY KEY"], {"profile": "embedded"}) as table:
        table.append([{"id": 1}])
    with Table(path) as table:
        table.append([{"id": 2}])
        shutil.copy(f"{path}-wal", f"{path}-folded")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Iterator[TableFile]:
    opened = open_table_file(str(made(tmp_path / "t.flac")), BlockCache(0))
    yield opened
    opened.close()


def end_of(file: TableFile) -> Predecessor:
    newest = file.newest
    return Predecessor(newest.catalog.segment_id, newest.digest, newest.catalog.last_version)


def log_after(file: TableFile, before: Predecessor, session: bytes = OURS, commits: int = 1) -> LogContent:
    """What is read of a new log beside ``file``."""
    path = f"{file.path}-wal"
    Path(path).unlink(missing_ok=True)
    writer = LogWriter(path, file.newest.catalog.table_id, like=file.path)
    content = writer.create(session, before, QUANTUM)
    for number in range(commits):
        record = LogRecord(
            before.version + 1 + number, 10**15 + number, [(9 + number, (9 + number,))], [], None
        )
        content = writer.append_group(content, [record])
    writer.close()
    read = read_log(path, file.newest.catalog.table_id)
    assert read is not None
    return read


def announced(file: TableFile, session: bytes = OURS) -> HeadRecord:
    return replace(file.head, generation=file.generation + 1, session=session)


def log_of(file: TableFile, log: LogContent | None) -> LogContent | None:
    return log_of_file(file, file.segments, log, f"{file.path}-wal")


def refused(file: TableFile, log: LogContent | None, words: str) -> DamagedFileError:
    with pytest.raises(DamagedFileError, match=words) as caught:
        log_of(file, log)
    assert caught.value.remedy
    return caught.value


# -- nothing is announced ------------------------------------------------------------------------------------


def test_not_announced_and_no_log(file: TableFile) -> None:
    assert log_of(file, None) is None


@pytest.mark.parametrize("commits", [0, 1, 3])
def test_not_announced_and_a_log_that_continues(file: TableFile, commits: int) -> None:
    log = log_after(file, end_of(file), commits=commits)
    assert log_of(file, log) is log


def test_not_announced_and_a_log_that_became_a_segment(file: TableFile, tmp_path: Path) -> None:
    folded = read_log(str(tmp_path / "t.flac-folded"), file.newest.catalog.table_id)
    assert folded is not None
    assert folded.version == 3
    assert log_of(file, folded) is None


@pytest.mark.parametrize("part", ["session", "version", "digest"])
def test_all_of_what_was_folded_must_agree(file: TableFile, tmp_path: Path, part: str) -> None:
    """A log of the session that went on is of another history; so is one with another commit."""
    folded = read_log(str(tmp_path / "t.flac-folded"), file.newest.catalog.table_id)
    assert folded is not None
    other: dict[str, object] = {
        "session": {"session": OTHER},
        "version": {"records": [replace(folded.records[0], version=7)]},
        "digest": {"digest": bytes(16)},
    }
    refused(file, replace(folded, **other[part]), "it is of another history")  # type: ignore[arg-type]


def test_a_log_that_an_earlier_segment_has(file: TableFile) -> None:
    """Folds go on: the newest segment need not be the one that says so."""
    log = log_after(file, Predecessor(b"earlier!", bytes(16), 1))
    refused(file, log, "it is of another history")
    assert log.folded is not None
    first = file.newest
    segments = (with_seal(file, Folded(*log.folded)).newest, first)
    assert log_of_file(file, segments, log, "log") is None


def with_seal(file: TableFile, folded: Folded | None) -> TableFile:
    """The same file, whose newest segment says that ``folded`` is in it; opened once more."""
    other = open_table_file(file.path, BlockCache(0))
    seal = other.newest.catalog.seal
    assert isinstance(seal, Seal)
    other.newest.catalog = replace(other.newest.catalog, seal=replace(seal, folded=folded))
    return other


@pytest.mark.parametrize("part", ["segment", "digest", "version"])
def test_not_announced_and_any_other_log(file: TableFile, part: str) -> None:
    """Both sides are named."""
    end = end_of(file)
    before = {
        "segment": replace(end, segment_id=b"another!"),
        "digest": replace(end, digest=bytes(16)),
        "version": replace(end, version=end.version - 1),
    }[part]
    log = log_after(file, before)
    assert not continues(log, file.newest)
    told = refused(file, log, "it is of another history, or they were copied at different moments")
    assert told.file == f"{file.path}-wal"
    assert f"version {before.version} of segment {before.segment_id.hex()}" in told.what
    assert f"{file.path} ends with version {end.version} of segment {end.segment_id.hex()}" in told.what


# -- a log is announced --------------------------------------------------------------------------------------

STATES = ["announced", "front", "beside"]


def open_state(file: TableFile, how: str) -> TableFile:
    """The file, of which an announce page, the front alone or a head file among deltas announces a log."""
    record = announced(file)
    if how == "announced":
        return replace(file, announced=record)
    return replace(file, front=record) if how == "front" else replace(file, beside=record)


@pytest.mark.parametrize("how", STATES)
def test_announced_and_this_log(file: TableFile, how: str) -> None:
    log = log_after(file, end_of(file))
    state = open_state(file, how)
    assert announced_session(state) == OURS
    assert log_of(state, log) is log


@pytest.mark.parametrize("how", STATES)
def test_announced_and_none(file: TableFile, how: str) -> None:
    told = refused(
        open_state(file, how), None, "version 4 and those after it are in .*-wal, which is not here"
    )
    assert told.file == file.path


@pytest.mark.parametrize("how", STATES)
def test_announced_and_of_another_session(file: TableFile, how: str) -> None:
    """Also if it continues the file: of two copies of the same state each has a session of its own."""
    log = log_after(file, end_of(file), OTHER)
    told = refused(open_state(file, how), log, "the log is of session")
    assert told.file == f"{file.path}-wal"
    assert OTHER.hex() in told.what
    assert OURS.hex() in told.what
    assert file.path in told.what


@pytest.mark.parametrize("how", STATES)
def test_announced_and_of_this_session_but_another_segment(file: TableFile, how: str) -> None:
    log = log_after(file, replace(end_of(file), segment_id=b"another!"))
    refused(open_state(file, how), log, "it is of another history")


@pytest.mark.parametrize("how", STATES)
def test_announced_and_folded(file: TableFile, how: str) -> None:
    """What was announced must be there; a leftover is none, even if its commits are in the file."""
    log = log_after(file, Predecessor(b"earlier!", bytes(16), 1))
    assert log.folded is not None
    with_folded = with_seal(file, Folded(*log.folded))
    assert log_of(with_folded, log) is None
    refused(open_state(with_folded, how), log, "it is of another history")


def test_announced_and_cut_or_damaged(tmp_path: Path) -> None:
    path = made(tmp_path / "t.flac")
    with Table(path) as table:
        for number in range(5, 9):
            table.append([{"id": number}])
        for name in ("t.flac", "t.flac-wal"):
            shutil.copy(tmp_path / name, tmp_path / f"cut-{name}")
    cut = tmp_path / "cut-t.flac-wal"
    os.truncate(cut, 700)
    with pytest.raises(DamagedFileError, match="version") as told:
        Table(tmp_path / "cut-t.flac")
    assert told.value.file == str(cut)
    assert told.value.place


# -- what the front says -------------------------------------------------------------------------------------


def test_a_front_of_the_same_generation_or_behind_says_nothing(file: TableFile) -> None:
    for generation in (file.generation, file.generation - 1):
        front = replace(announced(file), generation=generation)
        assert announced_session(replace(file, front=front)) is None
        assert announced_session(replace(file, front=front, announced=announced(file, OTHER))) == OTHER


def test_an_announcement_that_was_taken_back(file: TableFile) -> None:
    """The front is ahead, of the same segment, and closed."""
    front = replace(file.head, generation=file.generation + 2)
    assert announced_session(replace(file, front=front)) is None
    assert announced_session(replace(file, front=front, announced=announced(file))) is None
    log = log_after(file, end_of(file), OTHER)
    assert log_of(replace(file, front=front), log) is log


def test_a_front_that_is_ahead_of_another_segment(file: TableFile) -> None:
    front = replace(file.head, generation=file.generation + 1, segment_id=b"another!", last_version=12)
    for log in (None, log_after(file, end_of(file))):
        told = refused(replace(file, front=front), log, "it ended with version 12, and has versions up to 3")
        assert told.file == file.path
    # Of a file that is told to be mixed, and read, the front is not believed.
    assert announced_session(replace(file, front=front, mixed="of another state")) is None
    assert announced_session(replace(file, front=front, mixed="x", announced=announced(file))) == OURS


def test_a_head_file_that_says_closed(file: TableFile) -> None:
    """It counts, not the samples: commits leave these alone."""
    closed = replace(head_of(file.newest), generation=file.generation)
    assert announced_session(replace(file, beside=closed)) is None
    log = log_after(file, end_of(file))
    assert log_of(replace(file, beside=closed), log) is log


# -- logs of format version 1 --------------------------------------------------------------------------------


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[tuple[TableFile, LogContent]]:
    for name in ("versions.flac", "versions.flac-wal"):
        shutil.copy(V1 / name, tmp_path / name)
    file = open_table_file(str(tmp_path / "versions.flac"), BlockCache(0))
    log = read_log(f"{file.path}-wal", file.newest.catalog.table_id)
    assert log is not None
    assert log.session is None
    yield file, log
    file.close()


def test_a_log_of_version_1_beside_such_a_file(plain: tuple[TableFile, LogContent]) -> None:
    file, log = plain
    assert log_of(file, log) is log
    assert not continues(log, file.newest)


def test_a_log_of_version_1_beside_a_newer_file(file: TableFile, plain: tuple[TableFile, LogContent]) -> None:
    _, log = plain
    last = file.newest.catalog.last_version
    for version in (last - 1, last):
        assert log_of(file, replace(log, records=[], count=0, after=version)) is None
    told = refused(file, log, f"goes up to version {log.version}, but .* ends with version {last}")
    assert told.file == f"{file.path}-wal"
    refused(file, replace(log, records=[], count=0, after=last + 1), "format version 1")
