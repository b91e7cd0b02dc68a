"""Editors that write a file anew in its own place, under a table that has it open: all frames move."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mutagen.flac import FLAC, Picture

from audiomem_sql import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.writing import placement

from .named_tables import create, ids


def in_place(path: Path, content: bytes) -> None:
    """What an editor does that keeps the file: links, owner and inode stay."""
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()


def add_picture(path: Path) -> None:
    tags = FLAC(path)
    picture = Picture()
    picture.type, picture.mime, picture.data = 3, "image/png", bytes(range(256)) * 400
    tags.add_picture(picture)
    tags.save()


def remove_metadata(path: Path) -> None:
    made = path.with_name("made")
    made.write_bytes(path.read_bytes())
    subprocess.run(["metaflac", "--remove-all", "--dont-use-padding", str(made)], check=True)
    in_place(path, made.read_bytes())
    made.unlink()


def encode(path: Path) -> None:
    made = path.with_name("made")
    subprocess.run(["flac", "-s", "-f", "-8", "-o", str(made), str(path)], check=True)
    in_place(path, made.read_bytes())
    made.unlink()


def put_tag_in_front(path: Path) -> None:
    in_place(path, b"ID3\x04\x00\x00\x00\x00\x08\x00" + bytes(1024) + path.read_bytes())


EDITS: list[Callable[[Path], None]] = [add_picture, remove_metadata, encode, put_tag_in_front]


@pytest.fixture(params=[True, False])
def appends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the log becomes a further segment of the file; else the small file is written anew."""
    if request.param:
        monkeypatch.setattr(placement, "REWRITTEN_BYTES", 0)
        monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)
        monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    return bool(request.param)


@pytest.mark.usefixtures("appends")
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("logged", [False, True])
@pytest.mark.parametrize("protection", ["none", "archive"])
def test_frames_move_under_an_open_writer(
    tmp_path: Path, edit: Callable[[Path], None], logged: bool, protection: str
) -> None:
    """It finds them where they are now, and puts what is new behind the last one, not over another."""
    path = tmp_path / "t.flac"
    create(path, 3, protection=protection)
    with Table(path) as table:  # a second segment, where they are appended
        table.append([{"id": 4, "body": "four"}])
    expected = [1, 2, 3, 4]
    with Table(path) as table, Table(path) as reader:
        if logged:
            table.append([{"id": 9, "body": "before"}])
            expected.append(9)
        inode = path.stat().st_ino
        edit(path)
        assert path.stat().st_ino == inode
        for number in (10, 11):
            table.append([{"id": number, "body": "behind"}])
            expected.append(number)
            assert ids(path) == expected
            reader.refresh()
            assert sorted(reader.to_arrow()["id"].to_pylist()) == expected
        table.checkpoint()
        assert ids(path) == expected
    assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == expected
    subprocess.run(["flac", "-t", "-s", str(path)], check=True)
