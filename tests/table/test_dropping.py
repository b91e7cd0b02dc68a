"""Deleting a table: all of it, nothing else, and only when nobody writes to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql import Table
from audiomem_sql.errors import BusyError, DamagedFileError, NotAudioMemoryError, StorageError

from .named_tables import create, ids, names


def with_deltas(path: Path) -> None:
    """A table of a base, a delta and a log, as after a kill."""
    create(path, 5)
    with Table(path) as table:
        table.append([{"id": 10}])
        table.checkpoint()
        table.append([{"id": 11}])
        shutil.copy(path, f"{path}.open")
        shutil.copy(f"{path}-wal", f"{path}.kept")
    os.replace(f"{path}.open", path)
    os.replace(f"{path}.kept", f"{path}-wal")


def test_all_of_it_goes_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with_deltas(path)
    beside = tmp_path / "t2.flac"
    create(beside)
    (tmp_path / ".t.flac.abcdefgh.tmp").touch()
    (tmp_path / "t.flac.txt").touch()
    with Table(path) as reader:
        deleted = am.drop(path)
        assert len(reader) == 7
    assert deleted[0] == str(path)
    assert set(deleted) >= {str(path), f"{path}-wal"}
    assert not any(os.path.lexists(name) for name in deleted)
    assert names(tmp_path) == {"t2.flac", "t.flac.txt"}
    assert ids(beside) == [1]
    create(path)
    assert ids(path) == [1]


def test_what_is_of_another_table_stays(tmp_path: Path) -> None:
    path, folder = tmp_path / "t.flac", tmp_path / "t.flac.d"
    create(path)
    create(tmp_path / "other.flac")
    folder.mkdir(exist_ok=True)
    shutil.copy(tmp_path / "other.flac", folder / "00000001.flac")  # not newer than the base: never read
    (folder / "mine.txt").touch()
    am.drop(path)
    assert names(folder) == {"00000001.flac", "mine.txt"}
    assert names(tmp_path) == {"other.flac", "t.flac.d"}


def test_a_link_stays_and_a_table_can_be_created_by_it(tmp_path: Path) -> None:
    link = tmp_path / "l.flac"
    create(tmp_path / "t.flac")
    link.symlink_to("t.flac")
    assert am.drop(link) == [str(tmp_path / "t.flac")]
    assert names(tmp_path) == {"l.flac"}
    with pytest.raises(StorageError, match="no such file"):
        am.drop(link)
    create(link, 2)
    assert ids(tmp_path / "t.flac") == [1, 2]


def test_not_while_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path)
    with Table(path) as table:
        table.begin()
        with pytest.raises(BusyError, match="another connection or table object of this process is writing"):
            am.drop(path)
        table.rollback()
    assert ids(path) == [1]
    am.drop(path)


def test_a_writer_that_waits_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path)
    with Table(path) as table:
        am.drop(path)
        with pytest.raises(StorageError, match=r"the file was moved or deleted\. Open it where"):
            table.append([{"id": 2}])
        with pytest.raises(StorageError):
            table.vacuum()
    assert names(tmp_path) == set()


@pytest.mark.damages
def test_what_is_no_table_stays(tmp_path: Path) -> None:
    (tmp_path / "text.flac").write_text("notes")
    with pytest.raises(NotAudioMemoryError):
        am.drop(tmp_path / "text.flac")
    create(tmp_path / "t.flac")
    (tmp_path / "t.flac-wal").write_text("notes, and not of this table")
    with pytest.raises(DamagedFileError, match="no write-ahead log"):
        am.drop(tmp_path / "t.flac")
    assert names(tmp_path) == {"text.flac", "t.flac", "t.flac-wal"}


def test_every_name_is_checked_first(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path)
    os.link(path, tmp_path / "backup.flac")
    with pytest.raises(StorageError, match="second name"):
        am.drop(path)
    assert names(tmp_path) == {"t.flac", "backup.flac"}
