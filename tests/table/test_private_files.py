"""Every file of a table has mode and owner of its base, and the process keeps its umask."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from audiomem_sql import Table
from audiomem_sql.cli.main import run

from .named_tables import create, ids


def modes(folder: Path) -> dict[str, int]:
    return {
        str(entry.relative_to(folder)): stat.S_IMODE(entry.lstat().st_mode)
        for entry in folder.rglob("*")
        if not entry.is_symlink()
    }


@pytest.mark.parametrize(("bits", "folder_bits"), [(0o600, 0o700), (0o640, 0o750), (0o664, 0o775)])
@pytest.mark.parametrize("protection", ["none", "standard"])
def test_every_file_has_the_mode_of_the_table(
    tmp_path: Path, bits: int, folder_bits: int, protection: str
) -> None:
    path = tmp_path / "t.flac"
    create(path, protection=protection)
    path.chmod(bits)

    def check(*expected: str) -> None:
        found = modes(tmp_path)
        assert found.keys() >= {"t.flac", *expected}
        for name, mode in found.items():
            assert mode == (folder_bits if name.endswith(".d") else bits), name

    before = os.umask(0o022)
    try:
        with Table(path) as table:
            table.append([{"id": 2}])
            check("t.flac-wal")
            table.checkpoint()
            check()
            table.append([{"id": 3}])
            table.merge()
            check()
            table.vacuum()
            check()
            table.transcode({"compression_level": 3})
            check()
            table.set_cover(None)
            check()
            table.append([{"id": number} for number in range(10, 3000)])
            check()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert ids(path)[:3] == [1, 2, 3]


def test_a_log_that_stayed_gets_the_mode_that_the_table_has_now(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path)
    with Table(path) as table:
        table.append([{"id": 2}])
        (tmp_path / "t.flac-wal").chmod(0o666)
        path.chmod(0o600)
        with Table(path) as other:
            other.append([{"id": 3}])
            assert modes(tmp_path)["t.flac-wal"] == 0o600


@pytest.mark.parametrize("protection", ["none", "standard"])
@pytest.mark.parametrize("how", ["append", "transaction"])
def test_a_log_gets_the_mode_that_the_table_is_given_under_a_writer(
    tmp_path: Path, protection: str, how: str
) -> None:
    path = tmp_path / "t.flac"
    create(path, protection=protection)
    with Table(path) as table:
        table.append([{"id": 2}])
        for number, bits in enumerate((0o600, 0o640, 0o660)):
            path.chmod(bits)
            if how == "append":
                table.append([{"id": 10 + number}])
            else:
                table.begin().insert(None, (10 + number,))
                table.commit()
            assert modes(tmp_path)["t.flac-wal"] == bits
    assert modes(tmp_path) == {"t.flac": 0o660}


@pytest.mark.parametrize("lost", [False, True])
def test_what_is_salvaged_is_as_private(tmp_path: Path, lost: bool) -> None:
    path, new = tmp_path / "t.flac", tmp_path / "new.flac"
    create(path, deltas="beside")
    path.chmod(0o600)
    with Table(path) as table:
        table.append([{"id": 2}])
        table.checkpoint()
    if lost:
        path.unlink()
    before = os.umask(0o022)
    try:
        assert run(["salvage", str(path), "-o", str(new)]) == 0
    finally:
        os.umask(before)
    assert modes(tmp_path)["new.flac"] == 0o600
    assert ids(new)[-1] == 2


def test_the_owner_stays(tmp_path: Path) -> None:
    """Only root can give a file to somebody else; of anybody else's the owner is that one, anyway."""
    path = tmp_path / "t.flac"
    create(path)
    owner = (1000, 1001) if os.getuid() == 0 else (os.getuid(), os.getgid())
    os.chown(path, *owner)
    with Table(path) as table:
        table.append([{"id": 2}])
        assert {entry.lstat()[4:6] for entry in tmp_path.rglob("*")} == {owner}
        table.checkpoint()
        assert {entry.lstat()[4:6] for entry in tmp_path.rglob("*")} == {owner}
        table.vacuum()
    assert {entry.lstat()[4:6] for entry in tmp_path.rglob("*")} == {owner}


def test_a_repaired_copy_is_as_private(tmp_path: Path) -> None:
    path, copy = tmp_path / "t.flac", tmp_path / "copy.flac"
    create(path, protection="standard")
    path.chmod(0o600)
    with Table(path) as table:
        table.append([{"id": 2}])
        assert run(["repair", str(path), "-o", str(copy)]) == 0
        assert set(modes(tmp_path).values()) <= {0o600, 0o700}
        assert modes(tmp_path)["copy.flac-wal"] == 0o600
    assert ids(copy) == [1, 2]
