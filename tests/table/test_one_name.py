"""A table has one name: links to its file are resolved, hard links are refused for writing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import duckdb
import pytest

import audiomem_sql as am
from audiomem_sql import Table
from audiomem_sql.cli.main import run
from audiomem_sql.errors import AudioMemError, ConstraintError, StorageError

from .named_tables import COLUMNS, create, ids, names


@pytest.fixture
def linked(tmp_path: Path) -> tuple[Path, Path]:
    """A table and a link to it in another folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    real, link = tmp_path / "real" / "t.flac", tmp_path / "links" / "t.flac"
    create(real)
    link.symlink_to("../real/t.flac")
    return real, link


# -- symbolic links ------------------------------------------------------------------------------------------


def test_two_names_are_one_table(linked: tuple[Path, Path]) -> None:
    real, link = linked
    with Table(link) as one, Table(real) as other:
        assert one.append([{"id": 2}]) == 3
        assert other.append([{"id": 3}]) == 4
        with pytest.raises(ConstraintError):
            one.append([{"id": 3}])
        assert names(real.parent) == {"t.flac", "t.flac-wal"}
    assert ids(link) == ids(real) == [1, 2, 3]
    assert names(link.parent) == {"t.flac"}


def test_two_names_are_one_lock(linked: tuple[Path, Path]) -> None:
    real, link = linked
    with Table(link, busy_timeout=0) as one, Table(real, busy_timeout=0) as other:
        one.begin()
        with pytest.raises(am.errors.BusyError):
            other.append([{"id": 2}])
        one.rollback()


UPKEEP: dict[str, Callable[[Table], object]] = {
    "vacuum": Table.vacuum,
    "merge": lambda table: (table.checkpoint(), table.append([{"id": 8}]), table.merge()),
    "repair": Table.repair,
    "transcode": lambda table: table.transcode({"compression_level": 3}),
    "cover": lambda table: table.set_cover(None),
    "rows into an empty table": lambda table: table.append([{"id": 9}]),
}


@pytest.mark.parametrize("upkeep", UPKEEP)
def test_a_link_stays_one(tmp_path: Path, upkeep: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    real, link = tmp_path / "real" / "t.flac", tmp_path / "links" / "l.flac"
    create(real, 0 if "empty" in upkeep else 3, protection="standard")
    if upkeep == "repair":
        data = bytearray(real.read_bytes())
        data[-3000] ^= 1
        real.write_bytes(data)
    link.symlink_to(real)
    with Table(link) as table:
        UPKEEP[upkeep](table)
    assert os.readlink(link) == str(real)
    assert names(link.parent) == {"l.flac"}
    assert ids(real) == ids(link)
    assert ids(real)
    assert not [name for name in names(real.parent) if name.startswith(".") or "-wal" in name]


DOORS: dict[str, Callable[[Path], object]] = {
    "Python": lambda path: create(path, 0),
    "write_flac": lambda path: am.write_flac([{"id": 1}], path, primary_key="id").close(),
    "shell": lambda path: run(["create", str(path), *COLUMNS]),
    "ingest": lambda path: run(["ingest", str(path), __file__]),
    "salvage": lambda path: run(["salvage", str(path.parent.parent / "other.flac"), "-o", str(path)]),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_table_is_created_where_a_link_leads(tmp_path: Path, door: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    create(tmp_path / "other.flac")
    link = tmp_path / "links" / "l.flac"
    link.symlink_to("../real/t.flac")
    DOORS[door](link)
    assert link.is_symlink()
    assert names(tmp_path / "links") == {"l.flac"}
    assert ids(link) == ids(tmp_path / "real" / "t.flac")


@pytest.mark.parametrize("door", ["write_flac", "ingest"])
def test_what_fails_takes_back_the_file_and_not_the_link(tmp_path: Path, door: str) -> None:
    link = tmp_path / "l.flac"
    link.symlink_to("t.flac")
    (tmp_path / "wrong.jsonl").write_text("not JSON")
    if door == "write_flac":
        with pytest.raises(AudioMemError):
            am.write_flac([{"id": 1}, {"id": 1}], link, primary_key="id")
    else:
        assert run(["ingest", str(link), str(tmp_path / "wrong.jsonl")]) == 1
    assert names(tmp_path) == {"l.flac", "wrong.jsonl"}


def test_every_door_refuses_a_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop = tmp_path / "t.flac"
    loop.symlink_to("t.flac")
    refused = "lead back to themselves"
    for call in (am.open, am.read_flac, Table, am.drop, lambda path: create(path)):
        with pytest.raises(StorageError, match=refused):
            call(loop)
    con = apsw.Connection(":memory:")
    am.register(con)
    with pytest.raises(AudioMemError, match=refused):
        con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{loop}', a TEXT)")
    duck = duckdb.connect()
    am.register_duckdb(duck)
    with pytest.raises((AudioMemError, duckdb.Error), match=refused):
        duck.execute(f"FROM audiomem_scan('{loop}')")
    assert run(["info", str(loop)]) == 1
    assert refused in capsys.readouterr().err
    assert names(tmp_path) == {"t.flac"}


def test_a_database_sees_commits_through_a_link(linked: tuple[Path, Path]) -> None:
    real, link = linked
    duck = duckdb.connect()
    am.register_duckdb(duck)
    count = "SELECT count(*) FROM audiomem_scan('{}')"
    assert duck.execute(count.format(link)).fetchone() == (1,)
    with Table(real) as table:
        table.append([{"id": 2}])
        assert duck.execute(count.format(link)).fetchone() == (2,)
    other = real.with_name("other.flac")
    create(other, 5)
    link.unlink()
    link.symlink_to(other)
    assert duck.execute(count.format(link)).fetchone() == (5,)


# -- the file under a writer -----------------------------------------------------------------------------------


def moved(path: Path) -> None:
    path.rename(path.with_name("away.flac"))


def moved_and_linked(path: Path) -> None:
    moved(path)
    path.symlink_to("away.flac")


def replaced(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


def deleted(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [moved, moved_and_linked, replaced, deleted])
@pytest.mark.parametrize("rows", [1, 3000])
def test_a_commit_is_refused_when_the_file_is_no_longer_there(
    tmp_path: Path, change: Callable[[Path], None], rows: int
) -> None:
    path = tmp_path / "t.flac"
    create(path)
    with Table(path) as table:
        transaction = table.begin()
        for number in range(2, rows + 2):
            transaction.insert(number, (number, None))
        change(path)
        with pytest.raises(StorageError, match=r"t\.flac: the file was moved, deleted or replaced"):
            table.commit()
    assert not (tmp_path / "t.flac-wal").exists()
    assert not (tmp_path / "t.flac.d").exists()


@pytest.mark.parametrize("change", [moved, moved_and_linked, replaced, deleted])
def test_no_vacuum_takes_the_place_of_another_file(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """The file is moved while the new one is written."""
    path = tmp_path / "t.flac"
    create(path, 3)
    with Table(path) as table:
        kept: list[set[str]] = []

        def move(done: int, total: int) -> None:
            if not kept:
                change(path)
                kept.append(names(tmp_path))

        with pytest.raises(StorageError, match="moved, deleted or replaced"):
            table.vacuum(progress=move)
    assert {name for name in names(tmp_path) if not name.startswith(".")} == {
        name for name in kept[0] if not name.startswith(".")
    }


def test_a_reader_is_told_of_a_link_in_the_place_of_the_file(tmp_path: Path) -> None:
    """The log of what it leads to is beside that, so commits would be missed."""
    path = tmp_path / "t.flac"
    create(path)
    with Table(path) as reader:
        moved_and_linked(path)
        with Table(path) as writer:
            writer.append([{"id": 2}])
            with pytest.raises(StorageError, match="a symbolic link took the place of the file"):
                reader.refresh()
            assert sorted(reader.to_arrow()["id"].to_pylist()) == [1]
    assert ids(path) == [1, 2]


@pytest.mark.parametrize("change", [moved, moved_and_linked, deleted])
def test_nothing_is_written_to_a_name_that_leads_elsewhere(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "t.flac"
    create(path)
    with Table(path) as table:
        table.append([{"id": 2}])
        table.checkpoint()
        change(path)
        before = names(tmp_path)
        for write in (lambda: table.append([{"id": 3}]), table.vacuum, table.checkpoint):
            with pytest.raises(StorageError):
                write()
        assert names(tmp_path) == before


# -- hard links --------------------------------------------------------------------------------------------------


def test_a_hard_link_is_read_and_not_written_to(tmp_path: Path) -> None:
    path, other = tmp_path / "t.flac", tmp_path / "backup.flac"
    create(path)
    os.link(path, other)
    data = path.read_bytes()
    for name in (path, other):
        assert ids(name) == [1]
        with Table(name) as table:
            for write in (lambda t: t.append([{"id": 2}]), Table.vacuum, Table.repair, Table.begin):
                with pytest.raises(StorageError, match="hard link, under which it would be another table"):
                    write(table)
        with pytest.raises(StorageError, match="hard link"):
            am.drop(name)
    assert names(tmp_path) == {"t.flac", "backup.flac"}
    assert path.read_bytes() == data
    other.unlink()
    with Table(path) as table:
        table.append([{"id": 2}])
    assert ids(path) == [1, 2]


def test_a_link_of_a_killed_writer_does_not_lock_the_table(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path)
    for suffix in ("tmp", "tmp.old"):
        os.link(path, tmp_path / f".t.flac.abcdefgh.{suffix}")
    with Table(path) as table:
        table.append([{"id": 2}])
    assert ids(path) == [1, 2]
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_a_hard_link_to_the_log(tmp_path: Path) -> None:
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    create(path)
    with Table(path) as table:
        table.append([{"id": 2}])
        os.link(log, tmp_path / "backup")
        data = log.read_bytes()
        with (
            Table(path) as other,
            pytest.raises(StorageError, match="the log has a second name, a hard link"),
        ):
            other.append([{"id": 3}])
        assert ids(path) == [1, 2]
        assert (tmp_path / "backup").read_bytes() == data
        (tmp_path / "backup").unlink()


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """File systems take any bytes for a name; the title and the message of a salvage are text."""
    path = tmp_path / os.fsdecode(b"\xff\xfea.flac")
    saved = tmp_path / "saved.flac"
    create(path, 2)
    with Table(path) as table:
        table.append([{"id": 3}])
        table.vacuum()
        table.backup(tmp_path / os.fsdecode(b"copy-\xff.flac"))
        Table.salvaged(table, saved).close()
    assert ids(path) == ids(saved) == ids(tmp_path / os.fsdecode(b"copy-\xff.flac")) == [1, 2, 3]
    with Table(saved) as table:
        assert table.versions[-1].message == f"salvaged from {tmp_path}/\ufffd\ufffda.flac"


def test_a_name_that_leaves_no_room_for_that_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"File name too long\. Choose a shorter name"):
        create(tmp_path / ("x" * 245 + ".flac"))
    assert names(tmp_path) == set()
