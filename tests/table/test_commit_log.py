"""The log of a session and what the file says of it, in each of the ways in which it says so."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from crash.faulty import FileLayer

from audiomem_sql import Table
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.storage.log import read_log
from audiomem_sql.storage.segment import TableFile
from audiomem_sql.table.announcing import (
    AnnouncedAnew,
    AnnouncedBehind,
    AnnouncedBeside,
    announcement_of,
)
from audiomem_sql.versions import announced_session

from .named_tables import create, ids, names

WAYS: dict[str, tuple[dict[str, Any], type]] = {
    "behind": ({}, AnnouncedBehind),
    "protected": ({"protection": "standard"}, AnnouncedBehind),
    "anew": ({"modulation": "spectrum"}, AnnouncedAnew),
    "beside": ({"deltas": "beside"}, AnnouncedBeside),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path, way: str) -> Path:
    path = tmp_path / "t.flac"
    create(path, 3, **WAYS[way][0])
    return path


def file_of(table: Table) -> TableFile:
    file = table.snapshot.table_file
    assert file is not None
    return file


def taken_back(table: Table) -> None:
    """A commit that another participant of the transaction refused: only the log is left of it."""
    table.begin().insert(10, (10, "taken back"))
    table.prepare()
    table.rollback()


def test_the_way_of_a_table(path: Path, way: str) -> None:
    with Table(path) as table:
        file, beside = file_of(table), way == "beside"
        made = announcement_of(table._opened, file, os.replace, beside=beside)
        assert type(made) is WAYS[way][1]


@pytest.mark.parametrize("way", ["behind", "protected", "anew"], indirect=True)
def test_the_file_names_the_log(path: Path) -> None:
    with Table(path) as table:
        table.append([{"id": 11}])
        file, log = file_of(table), table.snapshot.log
        assert log is not None
        assert log.session is not None
        assert announced_session(file) == log.session
        with Table(path) as other:
            assert announced_session(file_of(other)) == log.session
            assert file_of(other).generation == file.generation
            assert sorted(other.to_arrow()["id"].to_pylist()) == [1, 2, 3, 11]
        copy = shutil.copy(path, path.with_name("copy.flac"))
        with pytest.raises(DamagedFileError, match=r"version 3 and those after it are in .*copy\.flac-wal"):
            Table(copy)
        os.unlink(copy)
    assert ids(path) == [1, 2, 3, 11]


def test_it_is_announced_once(path: Path) -> None:
    with FileLayer(path.parent) as layer, Table(path) as table:
        table.append([{"id": 11}])
        state, calls = file_of(table).state, len(layer.calls)
        for number in range(12, 15):
            table.append([{"id": number}])
        assert file_of(table).state == state
        later = layer.calls[calls:]
        assert later.count("fdatasync") == 3
        assert set(later) == {"pwrite", "fdatasync"}
    assert ids(path) == [1, 2, 3, 11, 12, 13, 14]


def test_a_log_without_commits_is_taken_back(path: Path, way: str) -> None:
    """The file says that no log goes with it before the log is deleted."""
    before = names(path.parent)
    with FileLayer(path.parent) as layer, Table(path) as table:
        taken_back(table)
        log = table.snapshot.log
        assert log is not None
        assert not log.count
        assert announced_session(file_of(table)) is not None
        layer.mark("checkpoint")
        assert not table.checkpoint()
        done = [each.kind for each in layer.operations]
        done = done[done.index("mark") :]
        deleted = len(done) - 1 - done[::-1].index("name")  # the name of the log
        assert "sync" in done[:deleted]
        with Table(path) as other:
            assert announced_session(file_of(other)) is None
    assert names(path.parent) - {"t.flac.d"} == before - {"t.flac.d"}
    assert ids(path) == [1, 2, 3]
    with Table(path) as table:
        taken_back(table)
    assert not os.path.lexists(f"{path}-wal")
    assert ids(path) == [1, 2, 3]
    with Table(path) as table:
        table.append([{"id": 4}])
    assert ids(path) == [1, 2, 3, 4]


def test_a_log_that_lost_its_name(path: Path) -> None:
    """The commit is refused, and was none; with the log in its place the next one is made."""
    log = Path(f"{path}-wal")
    with Table(path) as table:
        table.append([{"id": 11}])
        aside = log.rename(log.with_name("aside"))
        with pytest.raises((StorageError, DamagedFileError)):
            table.append([{"id": 12}])
        aside.rename(log)
        table.refresh()
        assert sorted(table.to_arrow()["id"].to_pylist()) == [1, 2, 3, 11]
        table.append([{"id": 13}])
    assert ids(path) == [1, 2, 3, 11, 13]


@pytest.mark.parametrize("place", ["t.flac-wal", "t.flac"])
def test_a_file_that_is_replaced_while_a_commit_is_written(path: Path, place: str) -> None:
    """It is noticed before the commit is acknowledged."""
    replaced, armed = path.with_name(place), False

    def replace(name: str) -> bool:
        nonlocal armed
        if armed and name == "fdatasync":
            armed = False
            copy = path.with_name("copy")
            shutil.copy(replaced, copy)
            real_replace(copy, replaced)
        return False

    real_replace = os.replace
    with FileLayer(path.parent, replace), Table(path) as table:
        table.append([{"id": 11}])
        armed = True
        with pytest.raises(StorageError, match="replaced while it was written to; nothing was committed"):
            table.append([{"id": 12}])


@pytest.mark.parametrize("number", range(1, 9))
def test_a_first_commit_that_fails(path: Path, number: int) -> None:
    """Each call in turn: nothing was committed, the log has no record, and the next commit is one."""
    calls = 0

    def fail(name: str) -> bool:
        nonlocal calls
        calls += 1
        return calls == number

    with Table(path) as table:
        with FileLayer(path.parent, fail) as layer:
            try:
                table.append([{"id": 11}])
            except StorageError:
                failed = True
            else:
                failed = False
        assert len(layer.calls) >= number
        table.refresh()
        expected = [1, 2, 3] if failed else [1, 2, 3, 11]
        assert sorted(table.to_arrow()["id"].to_pylist()) == expected
        found = read_log(f"{path}-wal", table.snapshot.segments[0].catalog.table_id)
        assert (found is None or not found.count) == failed
        table.append([{"id": 12}])
    assert ids(path) == [*expected, 12]


def test_every_handle_is_closed(path: Path) -> None:
    """That of the log, and that by which a session is present at it."""
    numbers = iter(range(100, 200))

    def session() -> int:
        with Table(path) as table:
            table.append([{"id": next(numbers)}])
        gc.collect()
        return len(os.listdir("/dev/fd"))

    session()
    assert len({session() for _ in range(3)}) == 1
