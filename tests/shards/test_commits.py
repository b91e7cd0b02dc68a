"""Commits of a sharded table: all shards or none, versions, and what a reader sees meanwhile."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from audiomem_sql.connections import connect
from audiomem_sql.errors import BusyError, ConstraintError, StorageError, UnsupportedError
from audiomem_sql.shards import ShardedSnapshot, read_manifest
from audiomem_sql.shards.manifest_bytes import pack_manifest, unpack_manifest
from audiomem_sql.table import sharded_session
from audiomem_sql.table.table import Table
from audiomem_sql.versions import changes
from audiomem_sql.writing import log_limits
from shards.sharded import check, codes, create, digests, row


def test_a_row_moves_to_another_shard(tmp_path: Path) -> None:
    """Its rowid stays, and the change is one of an update."""
    with create(tmp_path / "t.shards", 20, 8) as table:
        snapshot = table.snapshot
        assert isinstance(snapshot, ShardedSnapshot)
        rowid = next(number for number in range(1, 21) if table.get(number) == row(3))
        names = ["other0", "other1", "other2", "other3"]
        where = snapshot.placement.of_row(rowid, ("c3", 3, ""))
        name = next(each for each in names if snapshot.placement.of_row(rowid, (each, 3, "")) != where)
        transaction = table.begin()
        transaction.update(rowid, rowid, (name, 3, "moved"))
        table.commit()
        assert table.get(rowid) == {"code": name, "year": 3, "body": "moved"}
        assert codes(table) == {f"c{n}" for n in range(20)} - {"c3"} | {name}
        assert codes(table, 2) == {f"c{n}" for n in range(20)}
        made = [(each.rowid, each.kind) for each in changes(table.snapshot, 3, 3)]
        assert made == [(rowid, "update_preimage"), (rowid, "update_postimage")]
        assert len(changes(table.snapshot, 1, 2)) == 20
        check(table)


def test_versions_tags_and_times(tmp_path: Path) -> None:
    with create(tmp_path / "t.shards", 10) as table:
        table.append([row(10)], message="one more")
        table.tag("before")
        table.append([row(11)], replace="code = 'c1'")
        assert [version.number for version in table.versions] == [1, 2, 3, 4, 5]
        assert [version.inserted for version in table.versions] == [0, 10, 1, 0, 1]
        assert table.versions[4].deleted == 1
        assert table.versions[2].message == "one more"
        assert codes(table, 3) == {f"c{n}" for n in range(11)}
        with table.checkout("before") as old:
            assert len(old) == 11
        time = table.versions[1].time
        with Table(tmp_path / "t.shards", as_of=_text(time)) as old_table:
            assert len(old_table) == 10
            assert old_table.version == 2
        assert table.restore("before") == 6
        assert codes(table) == {f"c{n}" for n in range(11)}
        check(table)
    with Table(tmp_path / "t.shards") as again:
        assert again.tags == {"before": 3}
        assert codes(again, 5) == codes(again) - {"c1"} | {"c11"}
        assert codes(pickle.loads(pickle.dumps(again))) == codes(again)


def _text(microseconds: int) -> str:
    from audiomem_sql.columns.timestamps import render

    return str(render(microseconds))


def test_vacuum_drops_versions_of_all_shards(tmp_path: Path) -> None:
    with create(tmp_path / "t.shards", 30) as table:
        for number in range(30, 36):
            table.append([row(number)], replace=f"code = 'c{number - 30}'")
        reader = Table(tmp_path / "t.shards")
        assert len(reader) == 30
        assert table.vacuum(retain="2") == 7
        assert [version.number for version in table.versions] == [7, 8]
        assert codes(table, 7) == {f"c{n}" for n in range(5, 35)}
        assert len(changes(table.snapshot, 7, 8)) == 32
        assert reader.refresh()
        assert codes(reader) == codes(table)
        reader.close()
        check(table)
    with Table(tmp_path / "t.shards") as again:
        assert codes(again) == {f"c{n}" for n in range(6, 36)}
        check(again)


def test_many_versions_are_packed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of old versions stay as they are; a vacuum begins anew."""
    for module in ("manifest", "manifest_bytes"):
        monkeypatch.setattr(f"audiomem_sql.shards.{module}.CHUNK", 3)
    with create(tmp_path / "t.shards") as table:
        chunks: tuple[bytes, ...] = ()
        for number in range(14):
            table.append([row(number)])
            assert isinstance(table.snapshot, ShardedSnapshot)
            before, chunks = chunks, table.snapshot.manifest.chunks
            assert chunks[: len(before)] == before
        assert len(chunks) == 3
        with Table(tmp_path / "t.shards") as other:
            other.append([row(14)])
        for kept in ("all", "5"):
            manifest, fault = read_manifest(str(tmp_path / "t.shards" / "manifest"))
            assert fault is None
            assert unpack_manifest(pack_manifest(manifest))[0].versions == manifest.versions
            oldest = manifest.versions[0].version.number
            for number in range(oldest, 17):
                assert manifest.pins_at(number) == replace(manifest, newest_pins=None).pins_at(number)
                with Table(tmp_path / "t.shards", version=number) as old:
                    assert codes(old) == {f"c{each}" for each in range(number - 1)}
            table.vacuum(retain="5" if kept == "all" else "all")
        assert oldest == 12
        table.append([row(15)])
        check(table)


@pytest.mark.parametrize("many", [False, True])
def test_a_commit_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """Where the disk fails at the last shard, or at the manifest, no shard keeps its part."""
    if many:
        monkeypatch.setattr(log_limits, "LOGGED_ROWS", 5)
    with create(tmp_path / "t.shards", 20) as table:
        for name in ("write", "manifest"):
            with monkeypatch.context() as patch:
                _failing(patch, name)
                with pytest.raises(StorageError, match="no space"):
                    table.append([row(number) for number in range(100, 130)])
            assert len(table) == 20
            assert table.version == 2
            check(table)
        with pytest.raises(ConstraintError):
            table.append([row(200), row(5)])
        table.append([row(number) for number in range(100, 130)])
        assert len(table) == 50
        assert table.version == 3
        check(table)
    with Table(tmp_path / "t.shards") as again:
        assert codes(again, 2) == {f"c{n}" for n in range(20)}
        assert len(again) == 50


def _failing(patch: pytest.MonkeyPatch, name: str) -> None:
    written = 0
    write = sharded_session.ShardWriter.write

    def fail(*given: object, **named: object) -> object:
        raise StorageError("no space")

    def write_some(writer: sharded_session.ShardWriter, *given: object, **named: object) -> object:
        nonlocal written
        written += 1
        return (write if written < 3 else fail)(writer, *given, **named)  # type: ignore[arg-type]

    if name == "write":
        patch.setattr(sharded_session.ShardWriter, "write", write_some)
    else:
        patch.setattr(sharded_session, "write_manifest", fail)


def test_a_commit_that_is_taken_back(tmp_path: Path) -> None:
    """Another table of the same transaction refuses: a reader that saw the commit goes back."""
    with create(tmp_path / "t.shards", 20) as table:
        reader = Table(tmp_path / "t.shards")
        for _ in range(2):
            transaction = table.begin()
            for number in range(8):
                transaction.insert(None, (f"gone{number}", 1, None))
            table.prepare()
            reader.refresh()
            assert len(reader) == len(codes(reader)) == 28
            table.rollback()
            assert reader.refresh()
            assert len(reader) == len(codes(reader)) == 20
        for number in range(8):  # the same versions of the shards, with other rows
            table.append([{"code": f"kept{number}", "year": 2, "body": None}])
        reader.refresh()
        assert codes(reader) == codes(table) == {f"c{n}" for n in range(20)} | {f"kept{n}" for n in range(8)}
        made = [(each.version, each.rowid, each.kind) for each in changes(table.snapshot, 3, table.version)]
        without = changes(table.snapshot, 3, table.version, values=False)
        assert [(each.version, each.rowid, each.kind) for each in without] == made
        assert len(made) == 8
        reader.close()
        check(table)


def test_threads_and_processes_write_one_at_a_time(tmp_path: Path) -> None:
    with create(tmp_path / "t.shards") as table, Table(tmp_path / "t.shards") as other:
        other.busy_timeout = 0.0
        table.begin()
        with pytest.raises(BusyError):
            other.append([row(1)])
        table.rollback()
        other.busy_timeout = 30.0

        def append(to: Table, first: int) -> None:
            for number in range(first, first + 5):
                to.append([row(number)])

        threads = [
            threading.Thread(target=append, args=(to, first))
            for to, first in ((table, 0), (table, 10), (other, 20), (other, 30))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        table.refresh()
        assert len(table) == 20
        assert table.version == 21
        assert codes(table) == {f"c{first + n}" for first in (0, 10, 20, 30) for n in range(5)}
        check(table)


def test_a_shard_is_only_read_by_itself(tmp_path: Path) -> None:
    create(tmp_path / "t.shards", 20).close()
    before = digests(tmp_path)
    with Table(tmp_path / "t.shards" / "shard-0001.flac") as shard:
        assert 0 < len(shard) < 20
        with pytest.raises(UnsupportedError, match=r"shard of a table.*t\.shards"):
            shard.append([row(100)])
        with pytest.raises(UnsupportedError, match="shard of a table"):
            shard.vacuum()
    assert digests(tmp_path) == before


def test_savepoints_and_two_tables_in_sql(tmp_path: Path) -> None:
    create(tmp_path / "t.shards", 20).close()
    connection = connect(tmp_path / "t.shards")
    connection.execute(
        f"CREATE VIRTUAL TABLE u USING audiomem('{tmp_path}/u.shards', a INTEGER PRIMARY KEY, b TEXT, "
        "shards=3, profile=embedded)"
    )
    connection.execute(
        "BEGIN; INSERT INTO u VALUES (1, 'x'), (2, 'y'); SAVEPOINT s; DELETE FROM t; "
        "INSERT INTO u VALUES (3, 'z'); ROLLBACK TO s; UPDATE t SET year = -1 WHERE code = 'c3'; COMMIT"
    )
    assert connection.execute("SELECT * FROM u ORDER BY a").fetchall() == [(1, "x"), (2, "y")]
    assert connection.execute("SELECT code FROM t WHERE year = -1").fetchall() == [("c3",)]
    connection.execute("BEGIN; DELETE FROM u; DELETE FROM t; ROLLBACK")
    assert connection.execute("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)").fetchall() == [
        (20, 2)
    ]
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_upkeep_is_shown(tmp_path: Path) -> None:
    """What is folded into segments is no longer read as rows of a log."""
    with create(tmp_path / "kb.shards", 9) as table:
        for upkeep in (table.checkpoint, table.merge, table.vacuum):
            table.append([row(100 + table.version)])
            assert table.readable.pending is not None
            upkeep()
            assert table.readable.pending is None
            assert len(table.to_arrow()) == len(table)
        check(table)
