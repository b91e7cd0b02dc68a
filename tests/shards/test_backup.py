"""Copies of sharded tables: folder to folder, to one file, of an older version, while others write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.cli.main import run
from audiomem_sql.columns.batch import Batch
from audiomem_sql.errors import DamagedFileError, StorageError, UnsupportedError
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.table import one_file_copy
from audiomem_sql.table.table import Table
from shards.sharded import check, codes, create, digests, row


def content(table: Any, version: int | str | None = None) -> list[dict[str, Any]]:
    reader = table if version is None else table.pinned(version)
    return sorted(reader.to_arrow().to_pylist(), key=lambda row: row["code"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "t.shards"
    with create(path, 40) as table:
        table.append([row(number) for number in range(40, 80)], replace="year < 5")
        table.tag("then")
        table.append([row(number) for number in range(80, 90)])
        table.append([row(9)], replace="year = 9")
    return path


def test_to_a_folder(folder: Path, tmp_path: Path) -> None:
    before = digests(folder)
    assert run(["backup", str(folder), str(tmp_path / "copy.shards")]) == 0
    assert digests(folder) == before
    with Table(folder) as table, Table(tmp_path / "copy.shards") as copy:
        check(copy)
        assert copy.versions == table.versions
        assert copy.tags == table.tags
        for version in range(1, 6):
            assert content(copy, version) == content(table, version)
        copy.append([row(200)])
        check(copy)
        assert len(copy) == len(table) + 1
        with pytest.raises(StorageError, match="exists already"):
            table.backup(tmp_path / "copy.shards")


@pytest.mark.parametrize("version", [2, "then"])
def test_of_an_older_version(folder: Path, tmp_path: Path, version: int | str) -> None:
    with Table(folder) as table:
        number = table.backup(tmp_path / "copy.shards", version)
        with Table(tmp_path / "copy.shards") as copy:
            check(copy)
            assert copy.version == number == table.at(version).version
            assert copy.versions == table.versions[:number]
            assert copy.tags == {name: each for name, each in table.tags.items() if each <= number}
            for each in range(1, number + 1):
                assert content(copy, each) == content(table, each)
            copy.append([row(300)])
            check(copy)


@pytest.mark.parametrize("version", [None, "then"])
def test_to_one_file(
    folder: Path, tmp_path: Path, version: int | str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    one = tmp_path / "one.flac"
    given = [] if version is None else ["--version", str(version)]
    assert run(["backup", str(folder), str(one), *given]) == 0
    err = capsys.readouterr().err
    with Table(folder) as table, Table(one) as copy:
        pinned = table.pinned(version)
        assert f"has this version alone, and not the {pinned.version - 1} version" in err
        check(copy)
        assert content(copy) == content(table, version)
        assert [each.number for each in copy.versions] == [copy.version] == [pinned.version]
        assert copy.versions[0].time == table.versions[copy.version - 1].time
        before = am.connect(folder).execute("SELECT rowid, code FROM t ORDER BY code").fetchall()
        after = am.connect(one).execute("SELECT rowid, code FROM one ORDER BY code").fetchall()
        if version is None:
            assert after == before
        copy.append([row(400)])
        check(copy)
    assert not list(tmp_path.glob(".*"))


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.flac").write_bytes(b"x")
    Table.create(tmp_path / "one.flac", ["a TEXT"], {"profile": "embedded"}).close()
    with Table(folder) as table, pytest.raises(StorageError, match="exists already"):
        table.backup(tmp_path / "taken.flac")
    with Table(tmp_path / "one.flac") as table:
        with pytest.raises(UnsupportedError, match="not copied to shards") as caught:
            table.backup(tmp_path / "copy.shards")
        assert "write_flac" in str(caught.value)
    data = bytearray((folder / "shard-0001.flac").read_bytes())
    data[3000:9000] = bytes(6000)
    (folder / "shard-0001.flac").write_bytes(data)
    with Table(folder) as table:
        for name in ("a.shards", "a.flac"):
            with pytest.raises(DamagedFileError, match="shard-0001"):
                table.backup(tmp_path / name)
            assert not (tmp_path / name).exists()
    (folder / "shard-0001.flac").unlink()
    assert not list(tmp_path.glob(".*"))


def test_while_others_write(tmp_path: Path) -> None:
    """Each copy is one version: a commit is in all shards of it, or in none."""
    path = tmp_path / "t.shards"
    create(path, 0).close()
    done = threading.Event()

    def write() -> None:
        with Table(path, busy_timeout=30) as table:
            for number in range(1000):
                if done.is_set():
                    break
                table.append([{"code": f"{number}-{each}", "year": number, "body": "x"} for each in range(8)])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with Table(path) as reader:
            for number in range(4):
                name = tmp_path / (f"{number}.shards" if number % 3 else f"{number}.flac")
                version = reader.backup(name)
                with Table(name) as copy:
                    check(copy)
                    assert copy.version == version
                    years = copy.to_arrow(["year"])["year"].to_pylist()
                    assert sorted(years) == [year for year in range(version - 1) for _ in range(8)]
    finally:
        done.set()
        thread.join()


def test_vectors_are_not_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.shards"
    columns = ("code TEXT PRIMARY KEY", "body TEXT SEMANTIC")
    texts = [f"the {word} of number {n}" for n in range(60) for word in ("sound", "night", "tree")]
    with Table.create(path, columns, {"profile": "embedded", "model": "hashing", "shards": 3}) as table:
        table.append([{"code": str(n), "body": text} for n, text in enumerate(texts)])
        monkeypatch.setattr("audiomem_sql.search.embed_texts", None)
        table.backup(tmp_path / "one.flac")
        with Table(tmp_path / "one.flac") as copy:
            check(copy)
            one, many = (each.search("the night of number 7", k=20) for each in (copy, table))
            assert one["code"].to_pylist() == many["code"].to_pylist()
            assert np.allclose(one["distance"], many["distance"], atol=2e-3)


def test_ingested_sources(tmp_path: Path) -> None:
    """A copy of an older version reads a source again, and has its rows once."""
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"# {name}\n\nSome text of {name}.\n")
    path = tmp_path / "t.shards"
    columns = "source TEXT, seq INTEGER, title TEXT, body TEXT, created_at TIMESTAMP, importance REAL"
    create(path, columns=["id INTEGER PRIMARY KEY", *columns.split(", ")]).close()
    for name in ("a.md", "b.md"):
        assert run(["ingest", str(path), str(tmp_path / name)]) == 0
    with Table(path) as table:
        count = len(table)
        table.backup(tmp_path / "old.shards", 2)
        table.backup(tmp_path / "old.flac", 2)
        table.backup(tmp_path / "new.flac")
    for name in ("old.shards", "old.flac", "new.flac"):
        for source in ("a.md",) if name == "new.flac" else ("a.md", "b.md"):
            assert run(["ingest", str(tmp_path / name), str(tmp_path / source)]) == 0
        with Table(tmp_path / name) as copy:
            assert len(copy) == count
            check(copy)
    with Table(tmp_path / "new.flac") as copy:
        assert len(copy.versions) == 1  # nothing was read again


def test_an_empty_table(tmp_path: Path) -> None:
    with create(tmp_path / "t.shards") as table:
        table.backup(tmp_path / "a.shards")
        table.backup(tmp_path / "a.flac")
    for name in ("a.shards", "a.flac"):
        with Table(tmp_path / name) as copy:
            check(copy)
            copy.append([row(1)])
            assert codes(copy) == {"c1"}


def test_rows_come_by_rowid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each shard gives several batches, of which some are empty."""
    real = one_file_copy.scan

    def in_parts(*given: Any) -> Iterator[Batch]:
        for batch in real(*given):
            for start in (*range(0, len(batch), 3), len(batch)):
                arrays = tuple(array.slice(start, 3) for array in batch.arrays)
                yield Batch(batch.rowids[start : start + 3], arrays)

    monkeypatch.setattr(one_file_copy, "scan", in_parts)
    with Table(folder) as table:
        assert isinstance(table.snapshot, ShardedSnapshot)
        batches = list(one_file_copy.rows_by_rowid(table.snapshot))
        rowids = np.concatenate([batch.rowids for batch in batches])
        assert len(batches) > 4
        assert (np.diff(rowids) > 0).all()
        assert len(rowids) == len(table)
        found = [code for batch in batches for code in batch.arrays[0].to_pylist()]
        assert {value.decode() if isinstance(value, bytes) else value for value in found} == codes(table)
