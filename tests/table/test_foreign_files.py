"""What is not ours stands in the place of a table's file: it is left as it is, and nothing waits for it."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql import Table, dbapi
from audiomem_sql.cli.main import run
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError

from .named_tables import create, ids, names


def plant(path: Path, kind: str) -> None:
    """Let something that is no file of ours be at a path."""
    victim = path.parent / "victim"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
        (path / "inside").touch()
    elif kind == "socket":
        here = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(path.name)
        os.fchdir(here)
        os.close(here)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "file":
        path.write_bytes(b"key=12345\n")
    elif kind == "image":
        path.write_bytes(bytes(8192) + b"IMPORTANT" * 1000)
    else:
        if kind == "link":
            victim.write_bytes(b"key=12345\n")
        path.symlink_to("victim")


PLANTED = ["pipe", "folder", "socket", "device", "file", "image", "link", "dangling"]


def everything(folder: Path) -> dict[str, object]:
    """What is in a folder: for each name its kind, and the bytes of files."""
    found: dict[str, object] = {}
    for entry in folder.rglob("*"):
        status = entry.lstat()
        found[str(entry.relative_to(folder))] = (
            stat.S_IFMT(status.st_mode),
            os.readlink(entry) if entry.is_symlink() else entry.read_bytes() if entry.is_file() else None,
        )
    return found


@pytest.mark.damages
@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("protection", ["none", "standard"])
def test_something_in_the_place_of_the_log(tmp_path: Path, kind: str, protection: str) -> None:
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    create(path, protection=protection)
    with Table(path) as before:
        plant(log, kind)
        there = everything(tmp_path)
        for write in (lambda: before.append([{"id": 2}]), before.vacuum):
            with pytest.raises((StorageError, DamagedFileError), match=r"t\.flac-wal: "):
                write()
        assert everything(tmp_path) == there
    with pytest.raises((StorageError, DamagedFileError), match=r"t\.flac-wal: .*[Mm]ove it away"):
        Table(path)
    with pytest.raises(StorageError, match=r"is in the way|exists already"):
        create(path)
    path.rename(tmp_path / "u.flac")
    with pytest.raises(StorageError, match=r"t\.flac-wal: the log of another table is in the way"):
        create(path)
    (tmp_path / "u.flac").rename(path)
    assert everything(tmp_path) == there


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device"])
def test_something_in_the_place_of_the_file(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.flac"
    plant(path, kind)
    there = everything(tmp_path)
    for call in (am.open, am.read_flac, am.connect, dbapi.connect, am.drop, am.scan_flac):
        with pytest.raises((AudioMemError, dbapi.Error), match=r"is a (folder|device or a pipe), not"):
            call(path)
    for arguments in (["info"], ["verify"], ["vacuum"], ["sql"], ["drop", "--yes"], ["repair"]):
        more = ["SELECT 1"] if arguments == ["sql"] else []
        assert run([arguments[0], str(path), *arguments[1:], *more]) == 1
        assert "not a file" in capsys.readouterr().err
    with pytest.raises(StorageError, match="exists already"):
        create(path)
    assert everything(tmp_path) == there


@pytest.mark.damages
@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device", "file"])
def test_something_in_the_place_of_a_delta(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.flac"
    create(path)
    with Table(path) as table:
        table.append([{"id": 2}])
    (tmp_path / "t.flac.d").mkdir(exist_ok=True)
    plant(tmp_path / "t.flac.d" / "00000009.flac", kind)
    with pytest.raises(AudioMemError, match=r"00000009\.flac"):
        Table(path)


def test_a_link_in_the_place_of_the_folder_of_deltas(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "t.flac", tmp_path / "elsewhere"
    create(path)
    (tmp_path / "t.flac.d").symlink_to(elsewhere)
    for exists in (False, True):
        if exists:
            elsewhere.mkdir()
        assert ids(path) == [1]
        with Table(path) as table:
            for write in (lambda: table.append([{"id": 2}]), table.vacuum):
                with pytest.raises(StorageError, match=r"t\.flac\.d: is a symbolic link"):
                    write()
    assert names(elsewhere) == set()
