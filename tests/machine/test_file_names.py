"""Links to one file are one name; hard links that somebody else made are told from those that are ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.file_names import check_one_name, is_there, resolved


def test_links_lead_to_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "t.flac"
    real.touch()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "link.flac").symlink_to("folder/t.flac")
    (tmp_path / "again.flac").symlink_to(tmp_path / "link.flac")
    monkeypatch.chdir(tmp_path)
    for name in ("real/t.flac", "folder/t.flac", "link.flac", "again.flac", "./real/../again.flac"):
        assert resolved(name) == resolved(Path(name)) == str(real)
        assert is_there(name)


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "link.flac").symlink_to("real/t.flac")
    assert resolved(tmp_path / "link.flac") == str(tmp_path / "real" / "t.flac")
    assert not is_there(tmp_path / "link.flac")
    assert not is_there(tmp_path / "nothing")
    (tmp_path / "file").touch()
    assert resolved(tmp_path / "file" / "x") == str(tmp_path / "file" / "x")


@pytest.mark.parametrize("name", ["self", "one", "two", "self/t.flac", "to_loop"])
def test_links_that_lead_back(tmp_path: Path, name: str) -> None:
    for link, target in (("self", "self"), ("one", "two"), ("two", "one"), ("to_loop", "self/x")):
        (tmp_path / link).symlink_to(target)
    for call in (resolved, is_there):
        with pytest.raises(StorageError, match=r"links lead back to themselves\. Remove the link") as caught:
            call(tmp_path / name)
        assert caught.value.file == str(tmp_path / name)


def test_what_cannot_be_a_path() -> None:
    with pytest.raises(StorageError, match=r"cannot be opened: .*null"):
        resolved("a\0b")
    with pytest.raises(StorageError, match="File name too long"):
        resolved("x" * 300)


def test_the_working_directory_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for call in (resolved, is_there):
        with pytest.raises(StorageError, match=r"No such file or directory\. Check the path") as caught:
            call("t.flac")
        assert caught.value.file == "t.flac"


def test_names_of_ours_do_not_count(tmp_path: Path) -> None:
    path = str(tmp_path / "t.flac")
    Path(path).touch()
    check_one_name(path)
    os.link(path, tmp_path / ".t.flac.abcdefgh.tmp.old")
    os.link(path, tmp_path / ".t.flac.abcdefg2.tmp")
    check_one_name(path)
    (tmp_path / ".t.flac.another1.tmp").touch()  # of another file, so it explains no name
    os.link(path, tmp_path / "copy.flac")
    with pytest.raises(StorageError, match=r"t\.flac: the file has a second name, a hard link.*Delete one"):
        check_one_name(path)
    (tmp_path / "copy.flac").unlink()
    check_one_name(path)
    os.link(path, tmp_path / ".t.flac.abcdefgh.tmp.older")
    with pytest.raises(StorageError, match="second name"):
        check_one_name(path)
    with pytest.raises(StorageError, match="No such file"):
        check_one_name(str(tmp_path / "nothing"))
