"""A file that is laid out at a temporary name: it becomes the file at its path, or nothing stays of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from crash.faulty import FileLayer

from audiomem_sql.arrays import U8Array
from audiomem_sql.audio import PROFILES
from audiomem_sql.errors import StorageError
from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.storage.pages import EarlierPages, FileSpec, PagedFile
from audiomem_sql.storage.segment.data_spool import DataSpool, Stratum
from audiomem_sql.storage.segment.new_file import NewFile

SPEC = FileSpec(PROFILES["embedded"], LEVELS["none"], b"segment1", {"TITLE": "t"})
pytestmark = pytest.mark.damages  # no tables: their catalogs are any bytes


def laid_out(file: NewFile, data: bytes = b"data") -> None:
    with closing(DataSpool(1 << 20)) as spool:
        spool.append(data, Stratum.ORDINARY)
        file.lay_out(SPEC, b"catalog", spool, 1 << 20, None)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_it_has_another_name_until_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    file = NewFile(str(path))
    with pytest.raises(StorageError, match="nothing to publish"):
        _ = file.temporary
    laid_out(file)
    temporary = Path(file.temporary)
    assert names(tmp_path) == [temporary.name]
    content = temporary.read_bytes()
    file.publish()
    assert names(tmp_path) == ["t.flac"]
    assert path.read_bytes() == content
    with pytest.raises(StorageError, match="nothing to publish"):
        _ = file.temporary
    file.abandon()  # what was published stays
    assert path.read_bytes() == content


@pytest.mark.parametrize("replace", [True, False])
def test_a_name_that_is_taken(tmp_path: Path, replace: bool) -> None:
    path = tmp_path / "t.flac"
    path.write_bytes(b"there")
    file = NewFile(str(path))
    laid_out(file)
    if replace:
        file.publish(replace=True)
        assert path.read_bytes().startswith(b"fLaC")
    else:
        with pytest.raises(StorageError):
            file.publish(replace=False)
        file.abandon()
        assert path.read_bytes() == b"there"
    assert names(tmp_path) == ["t.flac"]


def test_what_is_abandoned(tmp_path: Path) -> None:
    file = NewFile(str(tmp_path / "t.flac"))
    file.abandon()
    laid_out(file)
    Path(file.temporary).with_name("other").write_bytes(b"")
    file.abandon()
    file.abandon()
    assert names(tmp_path) == ["other"]
    laid_out(file)
    Path(file.temporary).unlink()
    file.abandon()  # somebody was quicker
    assert names(tmp_path) == ["other"]


def test_what_it_holds(tmp_path: Path) -> None:
    """Catalog, data, catalog; pages of other segments come first."""
    path = tmp_path / "t.flac"
    first = NewFile(str(path))
    laid_out(first, b"first")
    first.publish()
    pages = PagedFile.open(str(path))
    own = pages.source.read(0, pages.own_pages)
    second = NewFile(
        str(tmp_path / "u.flac"), earlier=EarlierPages(len(own), lambda at, count: own[at : at + count])
    )
    laid_out(second, b"second")
    second.publish()
    both = PagedFile.open(str(tmp_path / "u.flac"))
    assert both.first == len(own)
    assert (both.source.read(0, len(own)) == own).all()
    data = both.data_cells()
    assert data is not None
    assert both.read(data.start, 0, 6) == b"second"
    pages.close()
    both.close()


def test_its_mode(tmp_path: Path) -> None:
    """That of the file whose place it takes, or of another one."""
    path, other = tmp_path / "t.flac", tmp_path / "other"
    for each, mode in ((path, 0o640), (other, 0o604)):
        each.write_bytes(b"")
        each.chmod(mode)
    for like, mode in ((str(path), 0o640), (str(other), 0o604)):
        file = NewFile(str(path), like)
        laid_out(file)
        assert Path(file.temporary).stat().st_mode & 0o777 == mode
        file.abandon()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    file = NewFile(str(tmp_path / "none" / "t.flac"))
    with pytest.raises(StorageError, match="none"):
        laid_out(file)
    file.abandon()


def test_it_is_durable_before_it_has_its_name(tmp_path: Path) -> None:
    file = NewFile(str(tmp_path / "t.flac"))
    with FileLayer(tmp_path) as layer:
        laid_out(file)
        kinds = [each.kind for each in layer.operations]
        assert kinds.count("write") > 0
        assert kinds[-1] == "sync"
        file.publish()
    assert layer.calls[-2:] == ["replace", "fsync"]
    assert layer.operations[-1].kind == "folder"


def test_an_error_on_the_way_names_the_file(tmp_path: Path) -> None:
    def lost(first: int, count: int) -> U8Array:
        raise StorageError("cannot be read")

    file = NewFile(str(tmp_path / "t.flac"), earlier=EarlierPages(1, lost))
    with pytest.raises(StorageError, match=r"t\.flac"):
        laid_out(file)
    file.abandon()
    assert names(tmp_path) == []
