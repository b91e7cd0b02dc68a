"""A sharded table is deleted with what is its own, and a kill leaves the table or what drop finishes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysqlite3
import pytest

import audiomem_sql as am
from audiomem_sql.cli.main import run
from audiomem_sql.connections import connect
from audiomem_sql.errors import BusyError, DamagedFileError, StorageError, UnsupportedError
from audiomem_sql.table.dropping import drop
from audiomem_sql.table.table import Table
from shards.sharded import codes, create, digests, row


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with deltas beside its files, and a log that was not folded."""
    folder = tmp_path_factory.mktemp("made")
    table = create(folder / "t.shards", 40, deltas="beside")
    table.checkpoint()
    table.append([row(number) for number in range(40, 60)])
    shutil.copytree(folder / "t.shards", folder / "open.shards")
    table.close()
    return folder / "open.shards"


@pytest.fixture
def folder(tmp_path: Path, made: Path) -> Path:
    shutil.copytree(made, tmp_path / "t.shards")
    return tmp_path / "t.shards"


def test_all_of_it_goes(folder: Path) -> None:
    files = set(digests(folder))
    assert any(name.endswith("-wal") for name in files)
    assert any(".flac.d" in name for name in files)
    with Table(folder) as reader:
        assert len(codes(reader)) == 60
        deleted = am.drop(folder)
        assert {str(Path(name).relative_to(folder)) for name in deleted} == files
        assert len(codes(reader)) == 60  # it reads on
    assert not folder.exists()
    create(folder, 5).close()


@pytest.mark.parametrize("name", ["mine.txt", "shard-0001.flac.d/mine.txt", "shard-0009.flac"])
def test_what_is_not_of_the_table_stays(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / name).write_text("mine")
    assert run(["drop", str(folder), "--yes"]) == 0
    out, err = capsys.readouterr()
    assert "60 rows" in out
    assert "the folder stays" in err
    assert list(digests(folder)) == [name]


def test_a_foreign_table_in_the_place_of_a_shard_stays(folder: Path, tmp_path: Path) -> None:
    create(tmp_path / "other.shards", 40).close()
    shutil.copy(tmp_path / "other.shards" / "shard-0002.flac", folder)
    drop(folder)
    assert "shard-0002.flac" in digests(folder)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 4000])
def test_a_shard_that_is_missing_or_damaged(folder: Path, content: bytes | None) -> None:
    (folder / "shard-0002.flac").unlink()
    if content is not None:
        (folder / "shard-0002.flac").write_bytes(content)
    drop(folder)
    assert not folder.exists()


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    before = digests(folder)
    with Table(folder) as table:
        table.begin()
        with pytest.raises(BusyError):
            drop(folder)
        table.rollback()
    os.link(folder / "shard-0003.flac", tmp_path / "link.flac")
    with pytest.raises(StorageError, match="hard link"):
        drop(folder)
    (tmp_path / "link.flac").unlink()
    (folder / "manifest").rename(tmp_path / "manifest")
    with pytest.raises(StorageError, match="manifest is missing"):
        drop(folder)
    (folder / "manifest").write_bytes(b"nothing")
    with pytest.raises(DamagedFileError, match="no manifest"):
        drop(folder)
    shutil.move(tmp_path / "manifest", folder / "manifest")
    assert {name for name, digest in digests(folder).items() if before.get(name) != digest} == set()
    with Table(folder) as table:
        assert len(codes(table)) == 60


def test_a_link_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link.shards").symlink_to(folder)
    drop(tmp_path / "link.shards")
    assert not folder.exists()
    assert (tmp_path / "link.shards").is_symlink()


class Killed(BaseException):
    """The process ends here."""


def test_a_kill_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is there, or gone for every door; then drop finishes what was begun."""
    made = tmp_path / "made.shards"
    create(made, 40, shards=2, deltas="beside").close()
    states = set()
    for stop in range(1, 100):
        folder = tmp_path / f"{stop}.shards"
        shutil.copytree(made, folder)
        count = 0

        def counted(call: Callable[..., Any], stop: int = stop) -> Callable[..., Any]:
            def counting(*given: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == stop:
                    raise Killed
                return call(*given, **named)

            return counting

        with monkeypatch.context() as patch:
            for name in ("rename", "unlink", "rmdir"):
                patch.setattr(os, name, counted(getattr(os, name)))
            try:
                drop(folder)
                break
            except Killed:
                pass
        if (folder / "manifest").exists():
            states.add("table")
            with Table(folder) as table:
                assert len(codes(table)) == 40
        elif folder.exists() and os.listdir(folder):
            states.add("half")
            with pytest.raises(StorageError, match="audiomem drop"):
                Table(folder)
            shard = folder / "shard-0001.flac"
            if shard.exists():
                with Table(shard) as part, pytest.raises(UnsupportedError, match="is a shard"):
                    part.append([row(99)])
            assert run(["drop", str(folder), "--yes"]) == 0
            assert not folder.exists()
        else:
            states.add("gone")
    assert stop > 6
    assert states >= {"table", "half"}


def test_drop_table_of_sql_leaves_the_folder(folder: Path) -> None:
    connection = connect(folder)
    connection.execute("DROP TABLE t")
    connection.close()
    native = pysqlite3.connect(":memory:")
    am.load(native)
    native.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{folder}')")
    native.execute("DROP TABLE t")
    native.close()
    with Table(folder) as table:
        assert len(codes(table)) == 60
