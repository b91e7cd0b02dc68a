"""Sharded tables that are written to in stores: against the model of tables there, and by their requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import duckdb
import obstore
import pysqlite3
import pytest
from fixtures.make_stored_shards import rows as made_rows
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.cli.main import run
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import (
    AudioMemError,
    BusyError,
    FormatVersionError,
    OptionError,
    QueryError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.remote import memory_store
from audiomem_sql.remote.commits import (
    Committer,
    ObstoreStore,
    UnknownOutcomeError,
    committer,
    manifest_bytes,
)
from audiomem_sql.shards import ShardedSnapshot, StoredShardedSnapshot
from audiomem_sql.table import resharding, stored_sharded_session, stored_sharded_upkeep
from audiomem_sql.table.resharding import planned, reshard
from audiomem_sql.upkeep.verify import problems
from remote.conftest import BUCKET
from remote.proxy import FaultyProxy
from remote.test_stored_tables import Model

COLUMNS = ["code TEXT PRIMARY KEY", "body TEXT INDEXED", "year INTEGER"]
FIXTURES = Path(__file__).parents[1] / "fixtures"
_NUMBERS = count()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers look for newer states whenever they are asked."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")


@pytest.fixture
def url() -> str:
    return f"memory://sharded/t{next(_NUMBERS)}.shards"


def created(url: str, **options: Any) -> Any:
    return am.create(url, COLUMNS, shards=4, profile="embedded", **options)


def rows(first: int, last: int, **others: Any) -> list[dict[str, Any]]:
    return [{"code": f"c{n}", "body": f"flac {n}", "year": n, **others} for n in range(first, last)]


def contents(table: Any) -> list[dict[str, Any]]:
    return table.to_arrow().sort_by("code").to_pylist()  # type: ignore[no-any-return]


def head_of(table: Any) -> Any:
    table.refresh()
    assert isinstance(table.snapshot, StoredShardedSnapshot)
    return table.snapshot.head


def faults(table: Any) -> list[str]:
    return [str(problem) for problem in problems(table)]


@pytest.mark.parametrize(("seed", "options"), [(7, {}), (8, {"shard_key": "name"})])
def test_like_a_model(url: str, seed: int, options: dict[str, Any], tmp_path: Path) -> None:
    """Appends, transactions, refused keys, tags and upkeep; rows whose key changes go to another shard."""
    model = Model(url, seed, shards=3, **options)
    model.run(16)
    with am.open(url) as table:
        model.check_all(table)
        assert faults(table) == []
        assert table.backup(tmp_path / "copy.shards") == max(model.versions)
    with am.Table(tmp_path / "copy.shards") as copy:
        model.check_all(copy)
        assert (copy.tags, copy.versions) == (model.tags, model.tables[0].versions)
        copy.append([{"name": "written in the copy"}])
        assert faults(copy) == []


def test_a_key_opens_one_shard(proxy: FaultyProxy) -> None:
    url = f"s3://{BUCKET}/stored-shards/few/kb.shards"
    with created(url) as table:
        table.append(rows(0, 200, body="x" * 700))
    proxy.log = []
    with am.open(url) as table:
        assert len(table.to_arrow(where="code = 'c7'")) == 1
        assert isinstance(table.snapshot, ShardedSnapshot)
        assert sum(file.is_open for file in table.snapshot.shard_files) == 1
        asked = [path for method, path, _ in proxy.log if method == "GET"]
        assert sum(path.endswith("/manifest") for path in asked) == 1
        (number,) = [file.number for file in table.snapshot.shard_files if file.is_open]
        names = {entry.name for entry in head_of(table).shards[number].segments}
        assert {path.rpartition("/")[2] for path in asked if ".flac" in path} == names
        proxy.log = []
        table.append([{"code": "new", "year": 1}])  # the shard of its key is looked at, and one PUT made
        puts = [path for method, path, _ in proxy.log if method == "PUT"]
        assert [path.rpartition("/")[2] for path in puts] == ["manifest"]
        assert sum(file.is_open for file in table.snapshot.shard_files) <= 2
        assert not table.to_arrow(where="year > 500").num_rows
        assert table.snapshot.chosen([]) == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [1, 100_000])
def test_appends_go_together(url: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A race that was lost: rows get other rowids, and what is large is not encoded again."""
    one, other = created(url), am.Table(url)
    made: list[int] = []
    commit_file = stored_sharded_session.commit_file

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return commit_file(*arguments)

    monkeypatch.setattr(stored_sharded_session, "commit_file", counted)
    for _ in range(2):
        split = one._session._split

        def first_the_other(*arguments: Any, split: Any = split, **named: Any) -> Any:
            change = split(*arguments, **named)
            other.append([{"code": f"other {len(other)}", "body": "y"}])
            return change

        one._session._split = first_the_other
        one.append([{"code": f"one {len(one)}", "body": "x" * size}])
        del one._session._split
        one.refresh()
    assert len(made) == (0 if size == 1 else 2)
    assert one.version == 5
    found = one.to_arrow().num_rows
    assert found == 4
    connection = am.connect(url)
    name = am.open(url).name
    rowids = [rowid for (rowid,) in connection.execute(f"SELECT rowid FROM {name} ORDER BY rowid")]
    assert len(set(rowids)) == 4
    assert head_of(one).next_rowid > rowids[-1]
    assert faults(one) == []


def test_what_does_not_go_together(url: str) -> None:
    with created(url) as table:
        table.append(rows(0, 5))
    one, other = am.Table(url), am.Table(url)

    def both(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> str:
        transactions = one.begin(), other.begin()
        first(transactions[0])
        second(transactions[1])
        one.commit()
        try:
            other.commit()
        except BusyError as error:
            return error.what
        return ""

    assert "same rows" in both(lambda t: t.delete(1), lambda t: t.update(1, 1, ["a", "", 1]))
    assert "same key" in both(lambda t: t.insert(70, ["k", "", 1]), lambda t: t.insert(71, ["k", "", 1]))
    assert both(lambda t: t.delete(2), lambda t: t.update(3, 3, ["three", "", 1])) == ""
    transaction = other.begin()
    one.append([{"code": "numbered"}])
    transaction.insert(None, ["told", "", 1])  # was told the rowid that the other one has now
    with pytest.raises(BusyError, match="a rowid of it was given"):
        other.commit()
    transaction = other.begin()
    one._session.enter()
    one._session._reserved(10)  # for an append that is being written
    one._session.leave()
    transaction.insert(None, ["told", "", 1])
    with pytest.raises(BusyError, match="a rowid of it was given"):
        other.commit()
    transaction = other.begin()
    reshard(url, 6)
    transaction.insert(7000, ["free", "", 1])
    with pytest.raises(BusyError, match="rows move between shards"):
        other.commit()
    assert faults(am.open(url)) == []


def test_what_is_taken_back_and_restored(url: str) -> None:
    """What is durable, and rolled back by another table of the transaction, is undone by a commit."""
    with created(url) as table:
        table.append(rows(0, 3))
        transaction = table.begin()
        transaction.delete(2)
        transaction.update(1, 1, ["moved", "x", 5])
        transaction.insert(None, ["more", "x", 3])
        table.prepare()
        assert len(am.open(url).to_arrow(where="code = 'more'")) == 1
        table.rollback()
        assert (table.version, contents(table)) == (4, rows(0, 3))
        assert contents(am.open(url)) == rows(0, 3)
        table.append(rows(3, 9), replace="year = 1")
        table.restore(2)
        assert contents(table) == rows(0, 3)
        moment = render(table.versions[4].time)
        assert contents(am.open(url, as_of=moment)) == contents(table.pinned(5))
        assert faults(table) == []


def test_a_collection_between_upload_and_commit(url: str) -> None:
    """What was uploaded is removed, as nobody names it; so it is uploaded again."""
    slow, fast = created(url), am.Table(url)
    store = slow._session.committer.store
    put, names = store.put_if_match, iter(["reserve", "commit"])

    def put_if_match(*arguments: Any) -> Any:
        if next(names, "") == "commit":
            fast.vacuum()
        return put(*arguments)

    store.put_if_match = put_if_match
    slow.append(rows(0, 40, body="large" * 1000))
    fresh = am.open(url)
    assert len(fresh.to_arrow()) == 40
    segments = [entry for shard in head_of(fresh).shards for entry in shard.segments if any(entry.commit)]
    assert {entry.name[:8] for entry in segments} == {"00000002"}
    assert faults(fresh) == []


def test_another_kind_in_its_place(url: str, tmp_path: Path) -> None:
    store, key = memory_store(), url.removeprefix("memory://")
    with am.create(tmp_path / "kb.shards", COLUMNS, shards=2, profile="embedded") as local:
        local.backup(url)
    copy = am.open(url)
    obstore.delete(store, f"{key}/manifest")
    table = created(url)
    with pytest.raises(AudioMemError, match="manifest of another table took the place"):
        copy.refresh()
    with pytest.raises(UnsupportedError, match="that was copied to a store is only read"):
        copy.append(rows(0, 1))
    assert len(am.open(url)) == 0
    table.close()


def test_threads(url: str) -> None:
    """Appends of threads go by the same replacement of the manifest."""
    with am.create(url, ["id INTEGER PRIMARY KEY", "n INTEGER"], shards=3, profile="embedded") as table:
        seq = head_of(table).seq

        def work(start: int) -> None:
            for number in range(5):
                table.append([{"n": start + number}])

        threads = [threading.Thread(target=work, args=(100 * number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = table.to_arrow()
        assert sorted(found["n"].to_pylist()) == sorted(100 * t + n for t in range(6) for n in range(5))
        assert sorted(found["id"].to_pylist()) == list(range(1, 31))
        assert (table.version, head_of(table).seq < seq + 30) == (31, True)
        assert faults(table) == []


def test_a_lost_reply(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has the commit, and its answer does not come: it is found, and not made twice."""
    url = f"s3://{BUCKET}/stored-shards/lost/kb.shards"
    with created(url) as table:
        for size in (10, 100_000):
            proxy.faults_of_puts = ["lost"] * (1 if size == 10 else 4)
            version = table.version
            assert table.append([{"code": f"c{size}", "body": "x" * size}]) == version + 1
            assert proxy.faults_of_puts == []
        assert [row["code"] for row in contents(am.open(url))] == ["c10", "c100000"]
        # What the manifest remembers no more is neither acknowledged nor denied.
        monkeypatch.setattr(committer, "RECENT", 2)
        limits = committer.Limits(recent=2)
        table._session.committer.limits = limits
        other = am.Table(url)
        other._session.committer.limits = limits
        put = table._session.committer.store.put_if_match
        losses = iter([True])

        def lost(*arguments: Any) -> Any:
            mark = put(*arguments)
            if next(losses, False):
                for number in range(4):
                    other.append([{"code": f"between {number}"}])
                raise committer.Unanswered("no answer")
            return mark

        table._session.committer.store.put_if_match = lost
        with pytest.raises(UnknownOutcomeError):
            table.append([{"code": "who knows"}])
        assert "who knows" in {row["code"] for row in contents(am.open(url))}


def test_upkeep_and_garbage(url: str) -> None:
    """Records become segments, many segments one; what nobody can read is removed, but not from readers."""
    store, folder = memory_store(), url.removeprefix("memory://")

    def objects() -> set[str]:
        return {
            meta["path"].rpartition("/")[2] for page in obstore.list(store, f"{folder}/") for meta in page
        }

    with created(url) as table:
        for number in range(4):
            table.append(rows(50 * number, 50 * number + 50, body="words"))
        reader = am.open(url)
        table.tag("half", 3)
        assert table.checkpoint()
        late = am.open(url)  # it knows the manifest, and has no shard open
        assert not any(shard.inline for shard in head_of(table).shards)
        obstore.put(store, f"{folder}/seg/00000001-{'0' * 32}.flac", b"of a commit that was killed")
        assert table.vacuum(retain="2") == 3
        assert [len(shard.segments) for shard in head_of(table).shards] == [1] * 4
        with pytest.raises(QueryError, match="cannot be tagged"):
            table._session.make(stored_retag(table, 2))
        assert len(reader.to_arrow()) == 200
        assert len(table.pinned("half")) == 100
        with pytest.raises(QueryError, match="version 2 is not kept"):
            table.pinned(2)
        head = head_of(table)
        assert objects() == {"manifest", *head.names}
        assert head.retired
        for number in range(101):
            table.append([{"code": f"later {number}"}])
        table.vacuum()
        table.vacuum()
        assert objects() == {"manifest", *head_of(table).names}
        with pytest.raises(StorageError, match=r"no longer kept by shard .* Refresh the table"):
            late.to_arrow()
        assert late.refresh()
        assert contents(late) == contents(table)
        assert faults(table) == []


def test_small_segments_are_merged(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a table has many shards each has few segments, and one commit merges those of a few shards."""
    monkeypatch.setattr(stored_sharded_upkeep, "_MOST_SEGMENTS", 16)
    monkeypatch.setattr(stored_sharded_upkeep.StoredShardsUpkeep.merge_small, "__defaults__", (1,))
    with created(url) as table:
        for number in range(5):
            table.append(rows(40 * number, 40 * number + 40, body=f"{number}" * 2000))
        assert sorted(len(shard.segments) for shard in head_of(table).shards) == [2, 3, 6, 6]
        table.append([{"code": "one more"}])
        assert sorted(len(shard.segments) for shard in head_of(table).shards) == [2, 2, 3, 6]
        table.checkpoint()
        assert max(len(shard.segments) for shard in head_of(table).shards) <= 3
        assert len(table.pinned(3)) == 80
        assert faults(table) == []


def stored_retag(table: Any, version: int) -> Any:
    from audiomem_sql.remote.commits import Retag

    return Retag(table._session.committer.new_id(), {"late": version})


def test_reshard(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write between two steps; what was killed is gone on with; old versions are where they were."""
    with created(url) as table:
        table.append(rows(0, 300))
        wide = table.append(rows(300, 310, body="z" * 9000))
    before = contents(am.open(url))
    assert "1,364 of 4,096 buckets" in str(planned(url, 6))
    step, steps = resharding._step, count(1)

    def interrupted(session: Any, most_rows: int) -> int:
        left = step(session, most_rows)
        number = next(steps)
        with am.open(url) as other:
            other.append([{"code": f"between {number}"}])
        if number == 3:
            raise KeyboardInterrupt
        return left

    monkeypatch.setattr(resharding, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reshard(url, 6, most_rows=30)
    monkeypatch.undo()
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    with am.open(url) as table:
        assert isinstance(table.snapshot, ShardedSnapshot)
        assert table.snapshot.manifest.target is not None
        assert faults(table) == []
    reshard(url, 6, most_rows=30)
    with am.open(url) as table:
        assert isinstance(table.snapshot, ShardedSnapshot)
        assert table.snapshot.manifest.target is None
        assert min(shard.rows for shard in table.snapshot.shards) > 30
        assert [row for row in contents(table) if row["year"] is not None] == before
        assert len(table) == 313
        assert contents(table.pinned(wide)) == before
        assert faults(table) == []
        reshard(url, 2)
        table.refresh()
        assert [shard.rows > 0 for shard in table.snapshot.shards] == [True, True] + [False] * 4
        assert table.to_arrow(where="code = 'c7'")["year"].to_pylist() == [7]
        table.vacuum(retain="1")
        assert len(table.to_arrow()) == 313
        assert faults(table) == []


def test_rows_that_move_meet_those_that_come(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another commit between the reading of the rows that a step moves, and its replacement."""
    with created(url) as table:
        table.append(rows(0, 100))
        split, late = stored_sharded_session.StoredShardedSession._split, iter(range(3))

        def cut_in(session: Any, *arguments: Any, **named: Any) -> Any:
            change = split(session, *arguments, **named)
            if session is not table._session and (number := next(late, None)) is not None:
                table.append(rows(1000 * number + 1000, 1000 * number + 1100))
            return change

        monkeypatch.setattr(stored_sharded_session.StoredShardedSession, "_split", cut_in)
        reshard(url, 6)
        monkeypatch.undo()
        table.refresh()
        assert len(table.to_arrow()) == 400
    assert faults(am.open(url)) == []


def test_creation(url: str, tmp_path: Path) -> None:
    """What is there is not replaced; who was killed while he made it makes it again."""
    store, key = memory_store(), url.removeprefix("memory://")
    Committer(ObstoreStore(store, "memory://"), key).create(b"t" * 16)
    with pytest.raises(StorageError, match="was not finished when it was created"):
        am.open(url)
    with created(url) as table:
        assert table.append(rows(0, 3)) == 2
    with pytest.raises(StorageError, match="is there already"):
        created(url)
    with pytest.raises(OptionError, match=r"ends in \.shards"):
        am.create(f"{url}.flac", COLUMNS, shards=2)
    with am.create(f"{url}.new.shards", COLUMNS) as table:
        assert len(table.snapshot.shard_files) == 16
    with am.create(tmp_path / "kb.shards", COLUMNS, shards=2, profile="embedded") as local:
        local.append(rows(0, 3))
        with pytest.raises(UnsupportedError, match="that is written to in the store is there"):
            local.backup(url)
        local.backup(f"{url}.copy.shards")
    with pytest.raises(StorageError, match="is there already"):
        created(f"{url}.copy.shards")
    whole = bytes(obstore.get(store, f"{key}/manifest").bytes())
    obstore.delete(store, f"{key}/manifest")
    for attempt in (lambda: am.open(url), lambda: created(url)):
        with pytest.raises(AudioMemError):
            attempt()
    obstore.put(store, f"{key}/manifest", whole[:40] + b"!" + whole[41:])
    for attempt in (lambda: am.open(url), lambda: created(url)):
        with pytest.raises(AudioMemError):
            attempt()
    obstore.put(store, f"{key}/manifest", whole)
    assert len(am.open(url)) == 3


def test_a_folder_with_its_history(url: str, tmp_path: Path) -> None:
    """A copy that is written to has the versions, tags, times, columns and buckets of the folder."""
    with am.create(tmp_path / "kb.shards", COLUMNS, shards=3, profile="embedded") as table:
        table.append(rows(0, 30))
        table.append(rows(30, 40))
        table.tag("before")
        table.alter("add column more INTEGER DEFAULT 7")
        reshard(table.path, 4)
        table.refresh()
        table.append(rows(40, 50))
        table.vacuum(retain="1")
        assert table.versions[0].number > 1
        assert table.backup(url, writable=True) == table.version
        with pytest.raises(StorageError, match="is there already"):
            table.backup(url, writable=True)
        with am.open(url) as copy:
            assert copy.versions == table.versions
            assert copy.tags == table.tags
            for version in table.versions:
                found = [each.pinned(version.number).to_arrow() for each in (copy, table)]
                assert found[0].sort_by("code").equals(found[1].sort_by("code")), version
            assert copy.append(rows(50, 55)) == table.version + 1
            assert faults(copy) == []
        reshard(url, 2)
        with am.open(url) as copy:
            copy.vacuum()
            assert len(copy) == 55
            assert faults(copy) == []
            assert len(copy.checkout("before")) == 40
        table.backup(f"{url}.old.shards", version="before", writable=True)
        with am.open(f"{url}.old.shards") as old:
            assert old.version == table.tags["before"]
            assert len(old) == 40
            assert faults(old) == []
        broken = tmp_path / "kb.shards" / "shard-0001.flac"
        whole = broken.read_bytes()
        broken.write_bytes(whole[: len(whole) // 2])
        with am.open(table.path) as again, pytest.raises(AudioMemError):
            again.backup(f"{url}.none.shards", writable=True)
        with pytest.raises(StorageError, match="there is no manifest"):
            am.open(f"{url}.none.shards")
        broken.write_bytes(whole)


def test_older_software_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    created(url).close()
    monkeypatch.setattr(manifest_bytes, "FEATURES", frozenset({"manifest-numbers"}))
    with pytest.raises(FormatVersionError, match="features that this version does not have: shards"):
        am.open(url)


def test_what_is_refused(url: str, tmp_path: Path) -> None:
    with created(url) as table:
        table.append(rows(0, 3))
        seq = head_of(table).seq
        refused: list[Callable[[], object]] = [
            lambda: table.set_cover(None),
            lambda: am.drop(url),
        ]
        for each in refused:
            with pytest.raises(UnsupportedError) as raised:
                each()
            assert raised.value.remedy
        assert head_of(table).seq == seq
        assert not list(tmp_path.iterdir())
        table.append(rows(3, 5))
        assert table.backup(tmp_path / "old.shards", version=2) == 2
        assert len(am.open(tmp_path / "old.shards")) == 3


@pytest.mark.parametrize("native", [True, False])
def test_sqlite(url: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "on" if native else "off")
    connection, other = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    for each in (connection, other):
        am.register(each)
        each.execute(
            f"CREATE VIRTUAL TABLE t USING audiomem('{url}', name TEXT PRIMARY KEY, n INTEGER, shards=3)"
        )
    connection.execute("INSERT INTO t(name, n) VALUES ('a', 1), ('b', 2), ('c', 3)")
    connection.execute("BEGIN; UPDATE t SET name = name || 'x', n = n + 1; DELETE FROM t WHERE n = 2; COMMIT")
    connection.execute("BEGIN; DELETE FROM t; ROLLBACK")
    with pytest.raises(apsw.ConstraintError, match=r"UNIQUE constraint failed: t\.name"):
        connection.execute("INSERT INTO t(name) VALUES ('bx')")
    assert other.execute("SELECT rowid, * FROM t ORDER BY name").fetchall() == [(2, "bx", 3), (3, "cx", 4)]
    other.execute("BEGIN; UPDATE t SET n = 10")
    connection.execute("UPDATE t SET n = 20")
    with pytest.raises(apsw.BusyError, match="both changed the same rows"):
        other.execute("COMMIT")
    other.execute("ROLLBACK")
    connection.execute("INSERT INTO t(t, rank) VALUES ('tag', 'now')")
    for command in ("merge", "vacuum", "checkpoint"):
        connection.execute("INSERT INTO t(t) VALUES (?)", (command,))
    assert other.execute("SELECT sum(n) FROM t WHERE version = 'now'").fetchall() == [(40,)]
    assert other.execute("SELECT count(*) FROM t WHERE version = 2").fetchall() == [(3,)]
    assert len(other.execute("SELECT * FROM audiomem_changes('t', 3, 3)").fetchall()) == 5
    assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_commands_and_other_doors(
    proxy: FaultyProxy, store: S3Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, back = f"s3://{BUCKET}/stored-shards/cli/kb.shards", str(tmp_path / "back.shards")
    (tmp_path / "a.md").write_text("# Tiers\n\nHot blocks are promoted.\n")
    columns = ["id INTEGER PRIMARY KEY", "source TEXT", "seq INTEGER", "title TEXT", "body TEXT INDEXED"]
    columns += ["created_at TIMESTAMP", "importance REAL"]
    for arguments, said in (
        (
            ["create", url, "--shards", "3", "--option", "profile=embedded", *columns],
            "id INTEGER PRIMARY KEY",
        ),
        (["ingest", url, str(tmp_path / "a.md")], "1 new"),
        (["ingest", url, str(tmp_path / "a.md")], "1 unchanged"),
        (["sql", url, "INSERT INTO kb(body) VALUES ('one more'), ('and more')"], ""),
        (["sql", url, "UPDATE kb SET id = id + 10 WHERE body LIKE '%more'"], ""),
        (["search", url, "words: promoted"], "Hot blocks"),
        (["tag", url, "early"], "early"),
        (["reshard", url, "--to", "5"], "5 shards"),
        (["vacuum", url], "kept"),
        (["verify", url], "all well"),
        (["info", url], "5 by the hash of rowid"),
        (["backup", url, back], "3 rows"),
        (["verify", back], "all well"),
    ):
        code, told = run(arguments), capsys.readouterr()
        assert code == 0, (arguments, told.err)
        assert said in told.out, arguments
    python, extension = duckdb.connect(), duckdb.connect(config={"allow_unsigned_extensions": True})
    am.register_duckdb(python)
    am.load(extension)
    for duck in (python, extension):
        answer = duck.execute(f"SELECT id FROM audiomem_scan('{url}') WHERE body LIKE '%more' ORDER BY id")
        assert answer.fetchall() == [(12,), (13,)]
    plain = pysqlite3.connect(":memory:")
    am.load(plain)
    plain.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{url}')")
    plain.execute("DELETE FROM t WHERE id = 12")
    plain.commit()
    assert sorted(am.read_flac(url)["id"]) == [1, 13]
    am.write_flac({"a": list(range(20))}, f"{url.removesuffix('kb.shards')}frame.shards", shards=3)
    with am.open(f"{url.removesuffix('kb.shards')}frame.shards", durability="async") as table:
        for number in range(5):
            table.append([{"a": 100 + number}])
        table.flush()
        assert sum(table.to_arrow()["a"].to_pylist()) == sum(range(20)) + sum(range(100, 105))
    with am.open(f"http://127.0.0.1:{proxy.port}/{BUCKET}/stored-shards/cli/kb.shards") as served:
        assert len(served) == 2
        with pytest.raises(UnsupportedError, match="no conditional writes"):
            served.append([{"body": "x"}])


def _put(folder: Path, key: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            obstore.put(memory_store(), f"{key}/{path.relative_to(folder)}", path.read_bytes())
    return f"memory://{key}"


def test_tables_of_the_first_release() -> None:
    """That is written to in the store, and the copy of a folder."""
    url = _put(FIXTURES / "remote" / "one.shards", "fixture/one.shards")
    with am.Table(url) as table:
        assert isinstance(table.snapshot, ShardedSnapshot)
        assert (table.version, table.tags, len(table)) == (8, {"all": 3}, 25)
        assert [shard.rows for shard in table.snapshot.shards] == [10, 8, 7]
        old = sorted(table.pinned("all").to_arrow().to_pylist(), key=lambda row: row["code"])
        assert old == made_rows()
        assert table.get(3) is None
        assert table.get(4) == {"area": "Elsewhere", "code": 2, "x": None}
        assert faults(table) == []
        assert table.append([{"area": "new", "code": 100, "x": 1.0}]) == 9
        assert table.get(28) == {"area": "new", "code": 100, "x": 1.0}
    copy = _put(FIXTURES / "shards" / "one.shards", "fixture/copy.shards")
    with am.open(copy) as table:
        assert (table.version, table.tags, len(table)) == (6, {"all": 2}, 23)
        assert faults(table) == []
        with pytest.raises(UnsupportedError, match="that was copied to a store is only read"):
            table.append([{"area": "new", "code": 100, "x": 1.0}])
