"""Rows that several processes encode, and one commits."""

from __future__ import annotations

import functools
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.errors import ConstraintError, StorageError
from audiomem_sql.table.resharding import reshard
from audiomem_sql.table.shard_encoder import EXTENSION
from audiomem_sql.table.staged_rows import StagedRows
from audiomem_sql.table.staging import ABANDONED_SECONDS, staging_folder
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

COLUMNS = ["id INTEGER PRIMARY KEY", "code TEXT UNIQUE", "year INTEGER", "body TEXT INDEXED"]
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "islet", "jade")
OPTIONS = {"shards": 2, "profile": "embedded", "compression_level": 1}
ROWS = 2600


def rows(first: int = 1, count: int = ROWS) -> pa.Table:
    choose = random.Random(first)
    ids = list(range(first, first + count))
    choose.shuffle(ids)
    return pa.table(
        {
            "id": ids,
            "code": [f"c{number}" for number in ids],
            "year": [2000 + number % 30 for number in ids],
            "body": [" ".join(choose.choices(WORDS, k=40)) for _ in ids],
        }
    )


def begin(path: Path, **how: Any) -> StagedRows:
    with audiomem_sql.open(path) as table:
        schema = table.schema
    return StagedRows.begin(str(path), schema, **how).encoding()


def encoded(files: list[str]) -> list[str]:
    return [file for file in files if file.endswith(EXTENSION)]


def everything(path: Path, by: str = "id") -> pa.Table:
    with audiomem_sql.open(path) as table:
        return table.to_arrow().sort_by(by).combine_chunks()


def create(path: Path, columns: list[str] = COLUMNS, **options: Any) -> Path:
    Table.create(path, columns, OPTIONS | options).close()
    return path


def check_whole(path: Path) -> None:
    with audiomem_sql.open(path) as table:
        assert [str(problem) for problem in problems(table)] == []


@pytest.mark.parametrize("options", [{}, {"protection": "standard"}, {"layout": "remote"}], ids=str)
def test_rows_are_those_of_an_append(tmp_path: Path, options: dict[str, str]) -> None:
    path, other = create(tmp_path / "a.shards", **options), create(tmp_path / "b.shards", **options)
    data = [rows(), rows(10_001), rows(20_001, 40)]
    write = begin(path)
    files = [file for each in data for file in write.stage(each.to_batches(500))]
    assert len(encoded(files)) == 4
    assert len(files) == 5
    assert write.commit(files) == 2
    write.remove()
    with Table(other) as table:
        table.append(pa.concat_tables(data))
    assert everything(path) == everything(other)
    check_whole(path)
    sql = (
        "SELECT id FROM kb WHERE year = 2007 AND id < 400",
        "SELECT code FROM kb WHERE code = 'c10017'",
        "SELECT id, rank FROM kb WHERE kb MATCH 'keyword:amber jade' AND k = 9",
        "SELECT count(*), min(id), max(rowid), sum(year) FROM kb",
    )
    one, two = (audiomem_sql.connect(each, table="kb") for each in (path, other))
    for question in sql:
        assert list(one.execute(question)) == list(two.execute(question))
    one.execute("DELETE FROM kb WHERE id = 10017")
    one.close(), two.close()
    with Table(path) as table:
        table.vacuum()
        assert len(table) == sum(each.num_rows for each in data) - 1
        assert table.checkout(2).to_arrow().sort_by("id").combine_chunks() == everything(other)
    check_whole(path)


def test_rowids_that_the_commit_gives(tmp_path: Path) -> None:
    path = create(tmp_path / "a.shards", ["code TEXT PRIMARY KEY", "year INTEGER", "body TEXT"])
    writes = [begin(path) for _ in range(2)]
    files = [
        write.stage(rows(number * 10_000).drop_columns(["id"]).to_batches())
        for number, write in enumerate(writes, 1)
    ]
    for write, names in zip(writes, files, strict=True):
        assert len(encoded(names)) == len(names) == 2
        write.commit(names)
        write.remove()
    connection = audiomem_sql.connect(path, table="kb")
    count, distinct, low, high = next(
        connection.execute("SELECT count(*), count(DISTINCT rowid), min(rowid), max(rowid) FROM kb")
    )
    assert (count, distinct, low, high) == (2 * ROWS, 2 * ROWS, 1, 2 * ROWS)
    rowid = next(connection.execute("SELECT rowid FROM kb WHERE code = 'c20007'"))[0]
    assert rowid > ROWS
    assert list(connection.execute("SELECT code FROM kb WHERE rowid = ?", (rowid,))) == [("c20007",)]
    connection.execute("INSERT INTO kb VALUES ('new', 1, '')")
    assert list(connection.execute("SELECT rowid FROM kb WHERE code = 'new'")) == [(2 * ROWS + 1,)]
    connection.close()
    check_whole(path)


def test_keys_that_are_taken(tmp_path: Path) -> None:
    path = create(tmp_path / "a.shards")
    with Table(path) as table:
        table.append(rows(1, 10))
    before = everything(path)
    taken = [
        ([rows(10)], "UNIQUE constraint failed: id"),  # 10 is in the table
        ([rows(100), rows(100 + ROWS - 1)], "UNIQUE constraint failed: id"),  # among the new ones
        ([rows(100).set_column(1, "code", [["c3"] + [f"x{n}" for n in range(ROWS - 1)]])], "failed: code"),
        (
            [rows(100), rows(10_000).set_column(1, "code", [["c100"] + [f"x{n}" for n in range(ROWS - 1)]])],
            "failed: code",
        ),
    ]
    for tables, message in taken:
        write = begin(path)
        files = [file for each in tables for file in write.stage(each.to_batches())]
        assert encoded(files)
        with pytest.raises(ConstraintError, match=message):
            write.commit(files)
        write.remove()
        assert everything(path) == before
    check_whole(path)


def test_rows_that_are_replaced_keep_their_keys(tmp_path: Path) -> None:
    path = create(tmp_path / "a.shards")
    with Table(path) as table:
        table.append(rows())
    write = begin(path, overwrite=True)
    files = write.stage(rows(5, ROWS).to_batches())
    assert len(encoded(files)) == 2
    write.commit(files)
    write.remove()
    assert everything(path) == rows(5, ROWS).sort_by("id").combine_chunks()
    with audiomem_sql.open(path, version=2) as table:
        assert table.to_arrow().sort_by("id").combine_chunks() == rows().sort_by("id").combine_chunks()
    check_whole(path)


def test_rows_without_a_key_are_left_to_the_commit(tmp_path: Path) -> None:
    path = create(tmp_path / "a.shards", [*COLUMNS, "CHECK (year < 2029)"])
    data = rows().filter(pa.array(np.array(rows()["year"]) < 2029))
    ids = pa.array(
        [None if place % 100 == 0 else number for place, number in enumerate(data["id"].to_pylist())]
    )
    write = begin(path)
    files = write.stage(data.set_column(0, "id", ids).to_batches())
    assert 0 < len(encoded(files)) < len(files)
    write.commit(files)
    kept = everything(path)
    assert kept.num_rows == data.num_rows
    assert kept["id"].to_pylist()[-1] == ROWS + ids.null_count - (ROWS - max(data["id"].to_pylist()))
    with pytest.raises(ConstraintError, match="CHECK constraint failed"):
        write.stage(rows(10_000).to_batches())
    write.remove()


def test_a_table_that_was_resharded_meanwhile(tmp_path: Path) -> None:
    path = create(tmp_path / "a.shards")
    write = begin(path)
    files = write.stage(rows().to_batches())
    reshard(path, 3)
    assert len(encoded(files)) == 2
    write.commit(files)
    write.remove()
    assert everything(path) == rows().sort_by("id").combine_chunks()
    check_whole(path)


def test_vectors_of_texts_have_the_codec_of_the_table(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "code TEXT", "year INTEGER", "body TEXT SEMANTIC"]
    path = create(tmp_path / "a.shards", columns, model="hashing")
    first = begin(path)
    files = first.stage(rows().to_batches())
    assert not encoded(files)  # no vector is stored that a codec could be taken from
    first.commit(files)
    first.remove()
    write = begin(path)
    files = write.stage(rows(10_001).to_batches())
    assert len(encoded(files)) == 2
    write.commit(files)
    write.remove()
    with audiomem_sql.open(path) as table:
        text = rows(10_001)["body"][7].as_py()
        found = table.search(text, 1)
        assert found["body"].to_pylist() == [text]
        digests = []
        for segment in table.snapshot.segments:
            index = segment.vector_index(4)
            assert index is not None
            digests.append(index.codec.digest)
        _, *_, last = digests
        assert (
            digests[0] == digests[2] == last
        )  # the other new one has a vector that this codec has no code for
    check_whole(path)


def test_staged_files_that_are_not_whole(tmp_path: Path) -> None:
    path = create(tmp_path / "a.shards")
    for fault in ("short", "wrong", "gone", "empty"):
        write = begin(path)
        files = write.stage(rows().to_batches())
        target = Path(encoded(files)[1])
        data = bytearray(target.read_bytes())
        if fault == "gone":
            target.unlink()
        elif fault == "wrong":
            data[-100] ^= 1
            target.write_bytes(data)
        else:
            target.write_bytes(data[:-1] if fault == "short" else b"")
        with pytest.raises(StorageError):
            write.commit(files)
        write.remove()
        with audiomem_sql.open(path) as table:
            assert (table.version, len(table)) == (1, 0)
    check_whole(path)


def test_a_vacuum_removes_what_was_abandoned(tmp_path: Path) -> None:
    path = create(tmp_path / "a.shards")
    old, new = begin(path), begin(path)
    for write in (old, new):
        write.stage(rows(1, 3).to_batches())
    before = time.time() - ABANDONED_SECONDS - 5
    for place in [*Path(old.folder).iterdir(), Path(old.folder)]:
        os.utime(place, (before, before))
    with Table(path) as table:
        table.vacuum()
    assert os.listdir(staging_folder(str(path))) == [os.path.basename(new.folder)]
    new.remove()


def staged(path: Path, writes: int) -> tuple[StagedRows, list[str]]:
    """Segments of several tasks for each shard, and rows that they leave to the commit."""
    write = begin(path)
    data = [rows(10_000 * number) for number in range(1, writes + 1)] + [rows(1, 40)]
    return write, [file for each in data for file in write.stage(each.to_batches())]


def flushes(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> int:
    """How often the work flushes a file or a folder."""
    count = 0
    with monkeypatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            original = getattr(os, name)

            def counted(handle: int, original: Callable[[int], None] = original) -> None:
                nonlocal count
                count += 1
                original(handle)

            patch.setattr(os, name, counted)
        work()
    return count


def test_segments_of_a_shard_are_flushed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for writes in (1, 2, 3):
        path = create(tmp_path / f"{writes}.shards")
        write, files = staged(path, writes)
        files = encoded(files) if writes < 3 else files
        counts.append(flushes(monkeypatch, functools.partial(write.commit, files)))
        write.remove()
        with Table(path) as table:
            assert len(table) == writes * ROWS + 40 * (writes == 3)
            seals = [shard.segments[-1].catalog.seal for shard in map(table.snapshot.shard, range(2))]
            # those of the tasks, and one of the rows that they left
            assert [len(seal.earlier) + 1 for seal in seals] == [writes + (writes == 3)] * 2
    # in each of two shards: what is about to come, what comes behind the first segment, that it is there
    assert counts == [counts[0], counts[0] + 6, counts[0] + 6]
    check_whole(path)


def test_a_segment_that_cannot_be_read_takes_those_before_it_back(tmp_path: Path) -> None:
    path = create(tmp_path / "a.shards")
    with Table(path) as table:
        table.append(rows(1, 40))
    before = {each.name: each.read_bytes() for each in path.glob("*.flac")}
    write, files = staged(path, 3)
    target = Path(encoded(files)[-1])
    data = bytearray(target.read_bytes())
    data[-100] ^= 1
    target.write_bytes(data)
    files = encoded(files)
    with pytest.raises(StorageError, match="torn"):
        write.commit(files)
    assert {each.name: each.read_bytes() for each in path.glob("*.flac")} == before
    data[-100] ^= 1
    target.write_bytes(data)
    assert write.commit(files) == 3
    write.remove()
    assert everything(path).num_rows == 3 * ROWS + 40
    check_whole(path)


def test_a_commit_that_is_killed_at_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, path = create(tmp_path / "made.shards"), tmp_path / "a.shards"
    shutil.copytree(made, path)
    write, files = staged(path, 2)
    commit, outcomes = functools.partial(write.commit, files), []
    total = flushes(monkeypatch, commit)
    for count in (*range(0, total, 5), total - 1, total):
        shutil.rmtree(path)
        shutil.copytree(made, path)
        assert killed_at(count, commit) == (count == total)
        with audiomem_sql.open(path) as table:
            assert (table.version, len(table)) in ((1, 0), (2, 2 * ROWS + 40))
            outcomes.append(table.version)
        with Table(path) as table:
            table.append(rows(50_000, 1))  # undoes what nobody names
            assert len(table) == 1 + (2 * ROWS + 40) * (outcomes[-1] - 1)
        check_whole(path)
    write.remove()
    assert outcomes == [1] * (len(outcomes) - 2) + [2, 2]


def killed_at(count: int, work: Callable[[], object]) -> bool:
    """Work in a process that dies before its flush number ``count``, from 0; whether it was done before."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    try:
        left = count

        def dying(_: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)

        os.fsync = os.fdatasync = dying
        work()
        os._exit(0)
    finally:
        os._exit(1)


STAGE = """
import pickle, sys, pyarrow as pa
staged, rows = pickle.load(sys.stdin.buffer)
print(*staged.stage([pa.RecordBatch.from_pylist(rows)]), sep="\\n")
"""


@pytest.mark.parametrize("shards", [None, 2])
def test_stored_values_of_other_processes(tmp_path: Path, shards: int | None) -> None:
    """A day and a decimal are integers as they are stored, and are not taken for such."""
    path, files = tmp_path / "t.flac", list[str]()
    definitions = ["id INTEGER PRIMARY KEY", "day DATE", "price DECIMAL(10, 2)", "days DATE[]"]
    Table.create(path, definitions, {} if shards is None else {"shards": shards}).close()
    staged, day = begin(path), date(2020, 1, 2)
    made = [{"id": number, "day": day, "price": Decimal("1.50"), "days": [day]} for number in (1, 2, 3)]
    for row in made:
        sent = pickle.dumps((staged, [row]))
        done = subprocess.run([sys.executable, "-c", STAGE], input=sent, stdout=subprocess.PIPE, check=True)
        files += done.stdout.decode().split()
    assert staged.commit(files) == 2
    assert everything(path).to_pylist() == made
