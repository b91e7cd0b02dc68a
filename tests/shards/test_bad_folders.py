"""Shards that are missing, of another table or of another state, and manifests that cannot be read."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audiomem_sql.cli.main import run
from audiomem_sql.cli.tables import open_tables
from audiomem_sql.connections import connect
from audiomem_sql.errors import (
    AudioMemError,
    DamagedFileError,
    FormatVersionError,
    SchemaError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.shards import Manifest, Pin, read_manifest, write_manifest
from audiomem_sql.shards.manifest_bytes import pack_manifest, unpack_manifest
from audiomem_sql.table import dropping
from audiomem_sql.table.dropping import drop
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from shards.sharded import check, codes, create, digests, row

pytestmark = pytest.mark.damages


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, an older copy of it, another one, and one with other columns."""
    folder = tmp_path_factory.mktemp("made")
    create(folder / "t.shards", 40).close()
    shutil.copytree(folder / "t.shards", folder / "older.shards")
    with Table(folder / "t.shards") as table:
        table.append([row(number) for number in range(40, 80)])
    create(folder / "other.shards", 80).close()
    shutil.copytree(folder / "older.shards", folder / "fork.shards")
    with Table(folder / "fork.shards") as table:
        table.append([row(number) for number in range(80, 120)])
    return folder


def _missing(folder: Path, made: Path) -> None:
    os.unlink(folder / "shard-0002.flac")


def _foreign(folder: Path, made: Path) -> None:
    shutil.copy(made / "other.shards" / "shard-0002.flac", folder)


def _twice(folder: Path, made: Path) -> None:
    shutil.copy(folder / "shard-0001.flac", folder / "shard-0002.flac")


def _older(folder: Path, made: Path) -> None:
    shutil.copy(made / "older.shards" / "shard-0002.flac", folder)


def _forked(folder: Path, made: Path) -> None:
    shutil.copy(made / "fork.shards" / "shard-0002.flac", folder)


def _columns(folder: Path, made: Path) -> None:
    manifest, _ = read_manifest(str(folder / "manifest"))
    shard = folder.parent / "shard-0002.flac"
    os.rename(folder / "shard-0002.flac", shard)
    with Table(shard) as table:
        version = table.alter("ADD COLUMN more TEXT")
        time = table.versions[-1].time
    last = manifest.versions[-1]
    pins = {**last.pins, 2: Pin(version, time)}
    changed = replace(manifest, versions=(*manifest.versions[:-1], replace(last, pins=pins)))
    os.rename(write_manifest(str(folder / "manifest"), changed), folder / "manifest")
    os.rename(shard, folder / "shard-0002.flac")


BAD: dict[str, tuple[Callable[[Path, Path], None], type[AudioMemError], str]] = {
    "missing": (_missing, StorageError, "shard 2 is missing"),
    "foreign": (_foreign, DamagedFileError, "another table is in the place of shard 2"),
    "twice": (_twice, DamagedFileError, "another table is in the place of shard 2"),
    "older": (_older, DamagedFileError, "shard 2 is older than the manifest"),
    "forked": (_forked, DamagedFileError, "shard 2 is of another state"),
    "columns": (_columns, SchemaError, "shard 2 has other columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_shard_that_does_not_belong(tmp_path: Path, made: Path, name: str) -> None:
    """One error that names the file, for reading and for writing; nothing is changed."""
    change, error, message = BAD[name]
    folder = tmp_path / "t.shards"
    shutil.copytree(made / "t.shards", folder)
    change(folder, made)
    before = digests(folder)
    with Table(folder) as table:
        for use in (
            lambda: table.to_arrow(),
            lambda: table.append([row(number) for number in range(200, 240)]),
            lambda: table.append([row(number) for number in range(200, 240)]),
            lambda: table.vacuum(),
        ):
            with pytest.raises(error, match=message) as caught:
                use()
            assert caught.value.file is not None
            assert "shard-0002.flac" in caught.value.file
            assert caught.value.remedy
        assert table.version == 3
    after = digests(folder)
    assert after.pop("shard-0002.flac", None) == before.get("shard-0002.flac")
    assert after == {name: digest for name, digest in before.items() if name != "shard-0002.flac"}


def test_one_shard_does_not_hide_the_others(tmp_path: Path, made: Path) -> None:
    folder = tmp_path / "t.shards"
    shutil.copytree(made / "t.shards", folder)
    os.unlink(folder / "shard-0002.flac")
    found = 0
    with Table(folder) as table:
        for number in range(80):
            with contextlib.suppress(StorageError):
                found += table.to_arrow(where=f"code = 'c{number}'").num_rows
    assert 40 < found < 80


def test_manifests_that_are_none(tmp_path: Path, made: Path) -> None:
    folder = tmp_path / "t.shards"
    folder.mkdir()
    with pytest.raises(StorageError, match="no manifest"):
        Table(folder)
    (folder / "manifest").write_bytes(b"")
    with pytest.raises(DamagedFileError, match="no manifest of a sharded table"):
        Table(folder)
    with pytest.raises(StorageError, match="is a folder"):
        Table(tmp_path)
    shutil.copy(made / "other.shards" / "manifest", folder)
    with pytest.raises(StorageError, match="shard 0 is missing"), Table(folder) as table:
        table.to_arrow()


def test_a_copy_of_the_manifest_that_is_damaged(tmp_path: Path, made: Path) -> None:
    """The other one is read; verify tells it, and repair or the next commit writes both."""
    folder = tmp_path / "t.shards"
    shutil.copytree(made / "t.shards", folder)
    whole = (folder / "manifest").read_bytes()
    for place in (3, 30, len(whole) // 2 + 40, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        (folder / "manifest").write_bytes(damaged)
        with Table(folder) as table:
            assert len(table) == 80
            (problem,) = problems(table)
            assert problem.repair == "file"
            assert "copies is damaged" in str(problem)
    with Table(folder) as table:
        table.append([row(200)])
        check(table)
    damaged = bytearray(whole)
    damaged[20] ^= 1
    damaged[-20] ^= 1
    (folder / "manifest").write_bytes(damaged)
    before = digests(folder)
    with pytest.raises(DamagedFileError, match="CRC-32C") as caught:
        Table(folder)
    assert caught.value.file == str(folder / "manifest")
    assert digests(folder) == before


def test_a_newer_manifest_is_refused(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "t.shards"
    shutil.copytree(made / "t.shards", folder)
    manifest, _ = read_manifest(str(folder / "manifest"))
    with monkeypatch.context() as patch:
        patch.setattr("audiomem_sql.shards.manifest_bytes.FORMAT", 2)
        (folder / "manifest").write_bytes(pack_manifest(manifest))
    before = digests(folder)
    with pytest.raises(FormatVersionError, match=r"format 2.*newer audiomem-sql"):
        Table(folder)
    with monkeypatch.context() as patch:
        patch.setattr("audiomem_sql.shards.manifest_bytes.FEATURES", frozenset({"hats"}))
        data = pack_manifest(manifest)
    with pytest.raises(FormatVersionError, match="hats"):
        unpack_manifest(data)
    assert digests(folder) == before


def test_manifests_that_contradict_themselves(made: Path) -> None:
    manifest, fault = read_manifest(str(made / "t.shards" / "manifest"))
    assert fault is None
    assert unpack_manifest(pack_manifest(manifest))[0].versions == manifest.versions
    shards, versions = manifest.shards, manifest.versions
    wrong: list[Manifest] = [
        replace(manifest, shards=(*shards[:3], replace(shards[3], file=shards[0].file))),
        replace(manifest, shards=(*shards[:3], replace(shards[3], table_id=shards[0].table_id))),
        replace(manifest, tables=((1, (4, *manifest.shard_of_bucket[1:])),)),
        replace(manifest, tables=((1, manifest.shard_of_bucket[1:]),)),
        replace(manifest, tables=()),
        replace(manifest, target=(9,) * len(manifest.shard_of_bucket)),
        replace(manifest, versions=(versions[0], versions[2])),
        replace(manifest, versions=()),
        replace(manifest, versions=(versions[0], replace(versions[1], pins={9: Pin(1, 1)}), versions[2])),
        replace(manifest, key=(7,)),
    ]
    for each in wrong:
        with pytest.raises(DamagedFileError, match="contradicts itself"):
            unpack_manifest(pack_manifest(each))
    away = replace(manifest, shards=(replace(shards[0], file="../t.flac"), *shards[1:]))
    with pytest.raises(DamagedFileError, match="no name of a shard's file"):
        unpack_manifest(pack_manifest(away))


def test_verify_tells_rows_in_the_wrong_place(tmp_path: Path, made: Path) -> None:
    folder = tmp_path / "t.shards"
    shutil.copytree(made / "t.shards", folder)
    manifest, _ = read_manifest(str(folder / "manifest"))
    table_of = list(manifest.shard_of_bucket)
    zones = manifest.zones.columns[1]
    assert zones.high is not None
    low = replace(zones, high=zones.high - 5)
    for changed, message in (
        (replace(manifest, tables=((1, tuple(table_of[::-1])),)), "belongs to shard"),
        (replace(manifest, rows=7), "there are 7 rows"),
        (replace(manifest, tags={"x": 99}), "names version 99"),
        (replace(manifest, zones=replace(manifest.zones, columns={1: low})), "zone map of column year"),
    ):
        os.rename(write_manifest(str(folder / "manifest"), changed), folder / "manifest")
        with Table(folder) as table:
            assert message in "\n".join(map(str, problems(table)))


def test_an_older_manifest_while_the_table_is_open(tmp_path: Path, made: Path) -> None:
    folder = tmp_path / "t.shards"
    shutil.copytree(made / "older.shards", folder)
    with Table(folder) as table:
        kept = (folder / "manifest").read_bytes()
        for number in range(300, 303):
            table.append([row(number)])
        (folder / "manifest").write_bytes(kept)
        with pytest.raises(StorageError, match="older state"):
            table.append([row(400)])
    with Table(folder) as again:
        assert codes(again) == {f"c{number}" for number in range(40)}
        again.append([row(500)])  # the state to go on with; what it does not know is undone
        check(again)


def test_a_shard_is_neither_dropped_nor_replaced_by_itself(tmp_path: Path) -> None:
    create(tmp_path / "t.shards", 40).close()
    Table.create(tmp_path / "new.flac", ["a TEXT"], {"profile": "embedded"}).close()
    link = tmp_path / "link.flac"
    link.symlink_to(tmp_path / "t.shards" / "shard-0002.flac")
    before = digests(tmp_path)
    for shard in (tmp_path / "t.shards" / "shard-0002.flac", link):
        with pytest.raises(UnsupportedError, match="is a shard of a table"):
            drop(shard)
        with pytest.raises(UnsupportedError, match="is a shard of a table"):
            dropping.replace(shard, str(tmp_path / "new.flac"))
    assert digests(tmp_path) == before
    with Table(tmp_path / "t.shards") as table:
        assert len(table) == 40


@pytest.mark.parametrize("content", [b"", b"\0" * 5000], ids=["empty", "zeros"])
def test_a_shard_is_not_written_to_by_itself_when_the_manifest_cannot_be_read(
    tmp_path: Path, content: bytes
) -> None:
    create(tmp_path / "t.shards", 40).close()
    (tmp_path / "t.shards" / "manifest").write_bytes(content)
    before = digests(tmp_path)
    shard = tmp_path / "t.shards" / "shard-0000.flac"
    with Table(shard) as table, pytest.raises(UnsupportedError, match="is a shard of a table"):
        table.append([row(99)])
    with pytest.raises(UnsupportedError, match="is a shard of a table"):
        drop(shard)
    assert digests(tmp_path) == before


def test_a_folder_may_end_with_a_slash(tmp_path: Path) -> None:
    create(tmp_path / "t.shards", 40).close()
    assert connect(f"{tmp_path}/t.shards/").execute("SELECT count(*) FROM t").fetchall() == [(40,)]
    with open_tables([f"{tmp_path}/t.shards//"]) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(40,)]


def test_verify_names_no_remedy_that_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(tmp_path / "t.shards", 40).close()
    (tmp_path / "t.shards" / "manifest").write_bytes(b"")
    assert run(["verify", str(tmp_path / "t.shards")]) == 1
    said = capsys.readouterr().err
    assert "Restore the folder from a copy" in said
    assert "salvage" not in said
