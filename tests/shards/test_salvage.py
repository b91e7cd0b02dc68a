"""What can be read of a sharded table that has lost shards, parts of them, or its manifest."""

from __future__ import annotations

import contextlib
import io
import random
import re
import shutil
import warnings
from pathlib import Path

import pytest
from crash.forked import Writers

from audiomem_sql.cli.main import run
from audiomem_sql.errors import AudioMemError, DamageWarning
from audiomem_sql.table.table import Table
from shards import resharded
from shards.sharded import check, codes, create, digests, row

pytestmark = pytest.mark.damages
ALL = {f"c{number}" for number in range(80)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of two commits, and a copy of it as it was after the first."""
    folder = tmp_path_factory.mktemp("made")
    create(folder / "t.shards", 40).close()
    shutil.copytree(folder / "t.shards", folder / "older.shards")
    with Table(folder / "t.shards") as table:
        table.append([row(number) for number in range(40, 80)])
    return folder


@pytest.fixture
def folder(tmp_path: Path, made: Path) -> Path:
    shutil.copytree(made / "t.shards", tmp_path / "t.shards")
    return tmp_path / "t.shards"


def shard_codes(path: Path) -> set[str]:
    with Table(path) as shard:
        return codes(shard)


def saved(folder: Path, name: str, *, match: str) -> set[str]:
    """The keys that are saved to a new table, and what is said of the others."""
    before = digests(folder)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert run(["salvage", str(folder), "-o", str(folder.parent / name)]) == 0
    assert re.search(match, said.getvalue())
    assert digests(folder) == before
    with Table(folder.parent / name) as table:
        check(table)
        table.append([row(500)])
        check(table)
        return codes(table) - {"c500"}


@pytest.mark.parametrize("name", ["new.flac", "new.shards"])
@pytest.mark.parametrize("content", [None, b"", b"fLaC" + bytes(999)], ids=["missing", "empty", "cut"])
def test_a_shard_that_is_lost(folder: Path, name: str, content: bytes | None) -> None:
    lost = shard_codes(folder / "shard-0002.flac")
    (folder / "shard-0002.flac").unlink()
    if content is not None:
        (folder / "shard-0002.flac").write_bytes(content)
    match = r"shard 2 \(shard-0002.flac\) (is missing|cannot be read)"
    assert saved(folder, name, match=match) == ALL - lost
    if name == "new.shards":
        with Table(folder.parent / name) as table:
            assert len(table.to_arrow(where="code = 'c500'")) == 1
            assert sum(file.is_open for file in table.snapshot.shard_files) == 1  # type: ignore[attr-defined]


def test_an_older_shard(folder: Path, made: Path) -> None:
    lost = shard_codes(folder / "shard-0001.flac") - {f"c{number}" for number in range(40)}
    shutil.copy(made / "older.shards" / "shard-0001.flac", folder)
    assert saved(folder, "new.flac", match="shard 1 .* is shown at its version 2: version 3") == ALL - lost


def test_a_foreign_shard(folder: Path, tmp_path: Path) -> None:
    create(tmp_path / "other.shards", 80).close()
    lost = shard_codes(folder / "shard-0003.flac")
    shutil.copy(tmp_path / "other.shards" / "shard-0003.flac", folder)
    assert saved(folder, "new.flac", match="shard 3 .* another table is in its place") == ALL - lost


@pytest.mark.parametrize("content", [None, b"nothing"])
def test_the_manifest_is_lost(folder: Path, content: bytes | None) -> None:
    (folder / "manifest").unlink()
    if content is not None:
        (folder / "manifest").write_bytes(content)
    assert saved(folder, "new.shards", match="the manifest: .*newest commits of each shard") == ALL


def test_commits_that_were_not_acknowledged(tmp_path: Path) -> None:
    """With the manifest they are not shown; without it rows that were being moved may be missing."""
    path = tmp_path / "t.shards"
    create(path, 80, shards=2).close()
    with Writers(resharded.__file__) as writers:
        assert writers.start(str(path), "first shard") == "there\n"
        writers.kill()
    with Table(path, salvage=True) as table:
        assert codes(table) == ALL
        assert len(table) == 80
    (path / "manifest").unlink()
    kept = saved(path, "new.flac", match="manifest")
    assert len(ALL - kept) == 10


def test_parts_of_shards(tmp_path: Path) -> None:
    """Rows of which all can be read are saved, of each shard."""
    path = tmp_path / "t.shards"
    letters = random.Random(1)
    bodies = {f"c{number}": f"{letters.getrandbits(2400):x}" for number in range(1500)}
    with create(path, shards=3) as table:
        table.append([{"code": code, "year": 1, "body": body} for code, body in bodies.items()])
    for number in range(3):
        data = bytearray((path / f"shard-000{number}.flac").read_bytes())
        data[100_000:101_000] = bytes(1000)
        (path / f"shard-000{number}.flac").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        assert run(["salvage", str(path), "-o", str(tmp_path / "new.shards"), "--protection", "none"]) == 0
        with Table(tmp_path / "new.shards") as table:
            check(table)
            assert 500 < len(table) < 1500
            saved_rows = table.to_arrow(["code", "body"]).to_pylist()
            assert all(each["body"] == bodies[each["code"]] for each in saved_rows)


def test_a_table_that_is_whole_or_gone(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Table(folder, salvage=True) as table:
            assert codes(table) == ALL
            with pytest.raises(AudioMemError, match="opened for salvage"):
                table.append([row(1)])
    for number in range(4):
        (folder / f"shard-000{number}.flac").write_bytes(b"")
    assert run(["salvage", str(folder), "-o", str(folder.parent / "new.flac")]) == 1
    shutil.rmtree(folder)
    folder.mkdir()
    assert run(["salvage", str(folder), "-o", str(folder.parent / "new.flac")]) == 1
    assert not (folder.parent / "new.flac").exists()


def test_rowids_further_apart_than_64_bits(tmp_path: Path) -> None:
    keys = [-(1 << 63), -5 * 10**18, 5 * 10**18, (1 << 63) - 2]
    with create(tmp_path / "t.shards", shards=2, columns=["id INTEGER PRIMARY KEY", "x INTEGER"]) as table:
        table.append([{"id": key, "x": key} for key in keys])
    assert run(["salvage", str(tmp_path / "t.shards"), "-o", str(tmp_path / "new.flac")]) == 0
    with Table(tmp_path / "new.flac") as table:
        assert table.to_arrow().to_pydict() == {"id": keys, "x": keys}
