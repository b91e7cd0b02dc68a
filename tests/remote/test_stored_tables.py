"""Tables in stores that are written to: against a plain model, in memory, and through every door."""

from __future__ import annotations

import random
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
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql import dbapi
from audiomem_sql.cli.main import run
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import (
    AudioMemError,
    BusyError,
    ConstraintError,
    OptionError,
    QueryError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.remote import memory_store
from audiomem_sql.remote.commits import ManifestReader, ObstoreStore
from audiomem_sql.storage.segment import NumberedElsewhereError
from audiomem_sql.table.transactions import Transactions
from audiomem_sql.versions import changes
from remote.conftest import BUCKET
from remote.proxy import FaultyProxy

COLUMNS = ["id INTEGER PRIMARY KEY", "name TEXT UNIQUE", "body TEXT", "n INTEGER"]
_NUMBERS = count()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers look for newer states whenever they are asked."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")


@pytest.fixture
def url() -> str:
    return f"memory://written/t{next(_NUMBERS)}.flac"


def manifest_of(url: str) -> Any:
    store = ObstoreStore(memory_store(), "memory://")
    return ManifestReader(store, url.removeprefix("memory://")).load().manifest


def rows_of(table: Any) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for row in sorted(table.to_arrow().to_pylist(), key=lambda row: row["id"])}


class Model:
    """What every version of the table shows, told by plain dictionaries."""

    def __init__(self, url: str, seed: int, **options: Any) -> None:
        self.url = url
        self.chance = random.Random(seed)
        self.tables = [am.Table.create(url, COLUMNS, options), am.open(url)]
        self.rows: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, dict[int, dict[str, Any]]] = {1: {}}
        self.oldest, self.high, self.made = 1, 0, 0
        self.tags: dict[str, int] = {}

    def row(self, rowid: int | None, large: bool) -> dict[str, Any]:
        self.made += 1
        body = "b" * self.chance.randint(1, 20)
        if large:
            body = f"{self.chance.random()}" * 4000
        return {"id": rowid, "name": f"name {self.made}", "body": body, "n": self.made}

    def wrote(self, version: int) -> None:
        assert version == max(self.versions) + 1
        self.versions[version] = {rowid: dict(row) for rowid, row in self.rows.items()}

    def append(self, table: Any) -> None:
        given = self.chance.random() < 0.2
        large = self.chance.random() < 0.3
        rows = [
            self.row(self.high + 3 * number if given else None, large)
            for number in range(1, self.chance.randint(2, 5))
        ]
        condition = {}
        if self.chance.random() < 0.2:
            limit = self.chance.randint(0, max(self.made - 20, 0))
            condition = {"replace": "n < ?", "parameters": [limit]}
            self.rows = {rowid: row for rowid, row in self.rows.items() if row["n"] >= limit}
        version = table.append(rows, **condition)
        for row in rows:
            row["id"] = row["id"] or self.high + 1
            self.high = max(self.high, row["id"])
            self.rows[row["id"]] = row
        self.wrote(version)

    def change(self, table: Any) -> None:
        large = self.chance.random() < 0.3
        transaction = table.begin()
        for rowid in self.chance.sample(sorted(self.rows), min(len(self.rows), 2)):
            if self.chance.random() < 0.5:
                assert transaction.delete(rowid)
                del self.rows[rowid]
            else:
                row = self.rows[rowid] = self.row(rowid, large)
                assert transaction.update(rowid, rowid, list(row.values())) == rowid
        row = self.row(None, large)
        row["id"] = self.high = transaction.insert(None, list(row.values()))
        self.rows[row["id"]] = row
        self.wrote(table.commit(message="change"))

    def refuse(self, table: Any) -> None:
        """Keys that are there, in a segment, in a record, or twice among the new rows."""
        if not self.rows:
            return
        other = self.rows[self.chance.choice(sorted(self.rows))]
        wrong = {
            "name": [{"name": "free"}, {"name": other["name"]}],
            "id": [{"id": self.high + 5}, {"id": other["id"]}],
            "twice": [{"name": "free"}, {"name": "free"}],
        }
        with pytest.raises(ConstraintError):
            table.append(wrong[self.chance.choice(sorted(wrong))])
        transaction = table.begin()
        with pytest.raises(ConstraintError):
            transaction.insert(None, [None, other["name"], None, None])
        table.rollback()

    def tag(self, table: Any) -> None:
        version = self.chance.randint(self.oldest, max(self.versions))
        table.tag(f"tag {len(self.tags)}", version)
        self.tags[f"tag {len(self.tags)}"] = version

    def forget(self, table: Any) -> None:
        self.oldest = table.vacuum(retain=str(self.chance.randint(3, 8)), history=self.history("2", "5"))

    def vacuum(self, table: Any) -> None:
        assert table.vacuum(history=self.history("1", "3")) == self.oldest

    def history(self, *spans: str) -> str | None:
        """How long ended rows stay beside the others, which a sharded table does not know."""
        return None if self.url.endswith(".shards") else self.chance.choice([None, *spans])

    def run(self, steps: int) -> None:
        work: list[tuple[int, Callable[[Any], Any]]] = [
            (40, self.append),
            (40, self.change),
            (15, self.refuse),
            (6, self.tag),
            (4, lambda table: table.checkpoint()),
            (4, lambda table: table.merge()),
            (2, self.vacuum),
            (1, self.forget),
        ]
        for _ in range(steps):
            (step,) = self.chance.choices([each for _, each in work], [weight for weight, _ in work])
            step(self.chance.choice(self.tables))
            self.check()

    def check(self) -> None:
        for table in self.tables:
            table.refresh()
            assert rows_of(table) == self.rows
            assert len(table) == len(self.rows)
            assert table.tags == self.tags
            assert [version.number for version in table.versions] == sorted(
                version for version in self.versions if version >= self.oldest
            )
            picked = self.chance.choice(range(self.oldest, max(self.versions) + 1))
            assert rows_of(table.pinned(picked)) == self.versions[picked]
            if self.rows:
                rowid = self.chance.choice(sorted(self.rows))
                assert table.get(rowid) == self.rows[rowid]

    def check_all(self, table: Any) -> None:
        for version in range(self.oldest, max(self.versions) + 1):
            assert rows_of(table.pinned(version)) == self.versions[version]
        for change in changes(table.snapshot, self.oldest + 1, max(self.versions)):
            before, after = self.versions[change.version - 1], self.versions[change.version]
            found = before if change.kind in ("delete", "update_preimage") else after
            assert found[change.rowid] == dict(zip(("id", "name", "body", "n"), change.values, strict=True))
        changed = {(c.version, c.rowid) for c in changes(table.snapshot, self.oldest + 1, max(self.versions))}
        for version in range(self.oldest + 1, max(self.versions) + 1):
            before, after = self.versions[version - 1], self.versions[version]
            for rowid in before.keys() ^ after.keys():
                assert (version, rowid) in changed


@pytest.mark.parametrize("seed", range(4))
def test_like_a_model(url: str, seed: int, tmp_path: Path) -> None:
    model = Model(url, seed)
    model.run(45)
    with am.open(url) as table:
        model.check_all(table)
        assert table.backup(tmp_path / "copy.flac") == max(model.versions)
    with am.Table(tmp_path / "copy.flac") as copy:
        model.check_all(copy)
        assert copy.tags == model.tags
        assert copy.versions == model.tables[0].versions
        copy.backup(f"{url}.again.flac")
    with am.Table(f"{url}.again.flac") as again:
        model.check_all(again)
        assert (again.tags, again.versions) == (model.tags, copy.versions)
        model.tables, model.url = [again], again.path
        model.run(5)
    for table in model.tables:
        table.close()


# -- two writers ---------------------------------------------------------------------------------------------


def test_appends_go_together(url: str) -> None:
    """A race that was lost: the manifest gives other rowids, and nothing is encoded again."""
    one, other = am.Table.create(url, COLUMNS), am.Table(url)
    for body in ("small", "large" * 30_000):
        head = one.files.stored.newest()  # type: ignore[union-attr]
        assert other.append([{"name": f"other {body[:5]}", "body": body}]) == head.manifest.version + 1
        before = one.version
        one.files.stored.look = lambda: None  # type: ignore[method-assign, union-attr]
        version = one.append([{"name": f"one {body[:5]}", "body": body}])
        assert version == before + 2
        del one.files.stored.look  # type: ignore[union-attr]
    reader = am.open(url)
    ranges = [(s.catalog.low_rowid, s.catalog.high_rowid) for s in reader.snapshot.segments if s.rows]
    assert ranges == [(3, 3), (4, 4)]
    rows = rows_of(reader)
    assert [row["name"] for row in rows.values()] == ["other small", "one small", "other large", "one large"]
    assert list(rows) == [1, 2, 3, 4]
    assert rows_of(am.open(url, version=4)) == {rowid: rows[rowid] for rowid in (1, 2, 3)}


@pytest.mark.parametrize("size", [1, 100_000])
def test_what_does_not_go_together(url: str, size: int) -> None:
    with am.Table.create(url, COLUMNS) as table:
        table.append([{"name": str(n), "n": n} for n in range(5)])
    one, other = am.Table(url), am.Table(url)

    def both(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> str:
        """Both have begun before the first commits."""
        transactions = one.begin(), other.begin()
        first(transactions[0])
        second(transactions[1])
        one.commit()
        try:
            other.commit()
        except BusyError as error:
            return error.what
        return ""

    body = "x" * size
    assert "same rows" in both(lambda t: t.delete(1), lambda t: t.update(1, 1, [1, "a", body, 1]))
    assert "same key" in both(
        lambda t: t.insert(70, [70, "twice", body, 1]), lambda t: t.insert(71, [71, "twice", body, 1])
    )
    assert "same rows" in both(
        lambda t: t.insert(None, [None, "c", body, 1]), lambda t: t.insert(None, [None, "d", body, 1])
    )
    assert both(lambda t: t.delete(2), lambda t: t.update(3, 3, [3, "three", body, 1])) == ""
    assert both(lambda t: t.insert(90, [90, "e", body, 1]), lambda t: t.insert(91, [91, "f", body, 1])) == ""
    transaction = other.begin()
    one.append([{"name": "numbered", "body": body}])
    transaction.insert(None, [None, "told", body, 1])  # was told the rowid that the other one has now
    with pytest.raises(BusyError, match="a rowid of it was given"):
        other.commit()
    one.alter("add column more TEXT DEFAULT 'y'")
    other.refresh()
    rows = rows_of(other)
    assert rows == rows_of(one)
    assert sorted(rows) == [3, 4, 5, 70, 71, 90, 91, 92] or sorted(rows)[:3] == [3, 4, 5]
    assert {row["more"] for row in rows.values()} == {"y"}


def test_keys_of_several_columns(url: str) -> None:
    one = am.Table.create(url, ["a INTEGER", "b TEXT COLLATE NOCASE", "UNIQUE (a, b)"])
    other = am.Table(url)
    one.append([{"a": 1, "b": "x"}, {"a": 1, "b": None}, {"a": 1, "b": None}])
    with pytest.raises(ConstraintError):
        other.append([{"a": 1, "b": "X"}])
    transactions = one.begin(), other.begin()
    transactions[0].insert(10, [2, "y"])
    transactions[1].insert(11, [2, "Y"])
    one.commit()
    with pytest.raises(BusyError, match="same key"):
        other.commit()
    assert len(am.open(url)) == 4


def test_a_change_of_the_columns_meets_everything(url: str) -> None:
    one, other = am.Table.create(url, COLUMNS), am.Table(url)
    transaction = other.begin()
    transaction.insert(None, [None, "a", "b", 1])
    one.alter("rename column body TO text")
    with pytest.raises(BusyError, match="columns changed"):
        other.commit()
    other.refresh()
    other.append([{"name": "a", "text": "t"}])
    assert rows_of(am.open(url))[1]["text"] == "t"


def test_threads(url: str) -> None:
    """They share replacements of the manifest; each has its own version and its own error."""
    table = am.Table.create(url, COLUMNS)
    refused: list[AudioMemError] = []

    versions: dict[int, str] = {}

    def work(thread: int) -> None:
        for number in range(5):
            version = table.append([{"name": f"{thread}.{number}"}], message=f"{thread}.{number}")
            versions[version] = f"{thread}.{number}"
            try:
                table.append([{"name": f"twice {number}"}])
            except AudioMemError as error:
                refused.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (table.version, len(table), len(am.open(url))) == (26, 25, 25)
    assert [type(error) for error in refused] == [ConstraintError] * 15
    assert {v.number: v.message for v in am.open(url).versions if v.message} == versions
    assert manifest_of(url).seq < 26


def test_appends_that_nobody_waits_for(url: str, tmp_path: Path) -> None:
    am.Table.create(url, COLUMNS).close()
    table = am.open(url, durability="async")
    for number in range(50):
        assert table.append([{"name": str(number)}], message=str(number)) <= number + 1
    table.flush()
    reader = am.open(url)
    assert [version.message for version in reader.versions[1:]] == [str(number) for number in range(50)]
    assert manifest_of(url).seq < 30
    table.append([{"name": "7"}])
    with pytest.raises(ConstraintError):
        table.flush()
    table.append([{"name": "behind"}])
    transaction = table.begin()  # waits for what was handed over
    assert transaction.rows == 51
    table.rollback()
    table.append([{"name": "last"}])
    table.close()
    assert len(am.open(url)) == 52
    am.Table.create(tmp_path / "t.flac", COLUMNS).close()
    for wrong, where in (("async", tmp_path / "t.flac"), ("later", url)):
        with pytest.raises(OptionError, match="durability"):
            am.open(where, durability=wrong)


def test_many_small_commits_become_segments(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiomem_sql.table.stored_upkeep.FOLD_RECORDS", 3)
    monkeypatch.setattr("audiomem_sql.upkeep.compaction.SMALL_DELTAS", 5)
    monkeypatch.setattr("audiomem_sql.table.stored_upkeep.SMALL_DELTAS", 5)
    with am.Table.create(url, COLUMNS) as table:
        for number in range(40):
            table.append([{"name": str(number)}])
        manifest = manifest_of(url)
        assert len(manifest.inline) <= 4
        assert len(manifest.segments) <= 7
        assert sorted(row["name"] for row in rows_of(table).values()) == sorted(map(str, range(40)))


def test_a_merge_keeps_what_was_deleted_from_the_first_segment(url: str) -> None:
    with am.Table.create(url, COLUMNS) as table:
        table.append([{"name": name} for name in "abc"])
        table.vacuum()
        table.append([{"name": "d"}], replace="name = 'b'")
        table.checkpoint()
        table.append([{"name": "e"}], replace="name = 'a'")
        table.merge()
        assert len(table.snapshot.segments) == 2
        assert [row["name"] for row in rows_of(am.open(url)).values()] == ["c", "d", "e"]
        assert [row["name"] for row in rows_of(am.open(url, version=3)).values()] == ["a", "c", "d"]


# -- readers -------------------------------------------------------------------------------------------------


def test_a_reader_stays_at_its_version(url: str) -> None:
    table = am.Table.create(url, COLUMNS)
    table.append([{"name": "one", "body": "a" * 100_000}])
    pinned, reader = am.open(url, version=2), am.open(url)
    early = reader.versions[-1].time
    table.append([{"name": "two"}], replace="name = 'one'")
    table.vacuum(retain="1")
    assert [row["name"] for row in rows_of(pinned).values()] == ["one"]
    assert not pinned.refresh()
    assert [row["name"] for row in rows_of(reader).values()] == ["one"]
    assert reader.refresh()
    assert [row["name"] for row in rows_of(reader).values()] == ["two"]
    with pytest.raises(QueryError, match="version 2 is not kept"):
        reader.at(2)
    assert early < reader.versions[-1].time
    assert not reader.refresh()
    table.append([], replace="name = 'two'")
    table.vacuum(retain="1")
    assert table.begin().insert(None, [None, "no rowid is given twice", None, None]) == 3
    table.rollback()


def test_time_travel(url: str) -> None:
    table = am.Table.create(url, COLUMNS)
    table.append([{"name": "one"}])
    moment = table.versions[-1].time
    table.append([{"name": "two"}])
    text = render(moment)
    assert len(am.open(url, as_of=text)) == 1
    assert table.restore(as_of=text) == 4
    assert [row["name"] for row in rows_of(am.open(url)).values()] == ["one"]
    table.tag("first", 2)
    assert len(am.open(url, version="first")) == 1


# -- what cannot be ------------------------------------------------------------------------------------------


def test_what_is_there_is_not_replaced(url: str) -> None:
    am.Table.create(url, COLUMNS).append([{"name": "kept"}])
    for make in (
        lambda: am.Table.create(url, COLUMNS),
        lambda: am.write_flac([{"a": 1}], url),
        lambda: am.open(url).backup(url),
    ):
        with pytest.raises(StorageError, match="exists already"):
            make()
    with am.write_flac([{"name": "more"}], url, if_exists="append") as table:
        assert [row["name"] for row in rows_of(table).values()] == ["kept", "more"]
        with pytest.raises(UnsupportedError, match="a table in a store cannot be"):
            table.set_cover(None)
    assert len(am.open(url)) == 2


def test_a_creation_that_was_killed(url: str) -> None:
    """Between the object that marks the table, the manifest, and the first version."""
    store, key = memory_store(), url.removeprefix("memory://")
    am.Table.create(url, COLUMNS).close()
    marker = bytes(obstore.get(store, key).bytes())
    other = f"{key}.killed.flac"
    obstore.put(store, other, marker)
    with pytest.raises(StorageError):
        am.open(f"memory://{other}")
    with am.Table.create(f"memory://{other}", COLUMNS) as table:
        assert table.append([{"name": "a"}]) == 2
    empty = f"{key}.empty.flac"
    ours = ObstoreStore(store, "memory://")
    from audiomem_sql.remote.commits import Committer

    obstore.put(store, empty, marker)
    Committer(ours, empty).create(b"t" * 16)
    with pytest.raises(StorageError, match="not finished"):
        am.open(f"memory://{empty}")
    with am.Table.create(f"memory://{empty}", COLUMNS) as table:
        assert table.append([{"name": "a"}]) == 2


def test_its_objects_are_no_tables(url: str, tmp_path: Path) -> None:
    """Who takes one for a file is told; older software by the feature that it does not know."""
    with am.Table.create(url, COLUMNS) as table:
        table.append([{"name": "a", "body": "b" * 100_000}])
    store, key = memory_store(), url.removeprefix("memory://")
    names = [entry.name for entry in manifest_of(url).segments]
    assert len(names) == 2
    for number, each in enumerate([key, *(f"{key}.d/seg/{name}" for name in names)]):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(bytes(obstore.get(store, each).bytes()))
        with pytest.raises(NumberedElsewhereError, match="one segment of a table in an object store"):
            am.open(path)
        from audiomem_sql.storage.segment.catalog_features import FEATURES, MANIFEST_NUMBERS

        needed = FEATURES.pop(MANIFEST_NUMBERS)
        try:
            with pytest.raises(AudioMemError, match="features that this version does not have: manifest-n"):
                am.open(path)
        finally:
            FEATURES[MANIFEST_NUMBERS] = needed


def test_a_table_of_the_first_release_that_writes_them() -> None:
    """Segments of one commit and of several, records before and behind them, and a change of the columns."""
    folder = Path(__file__).parents[1] / "fixtures" / "remote" / "table"
    for path in folder.rglob("*"):
        if path.is_file():
            obstore.put(memory_store(), f"fixture/{path.relative_to(folder)}", path.read_bytes())
    large, second, behind = "b" * 70_000, "c" * 70_000, "d" * 70_000
    with am.Table("memory://fixture/kb.flac") as table:
        rows = [tuple(row.values()) for row in rows_of(table).values()]
        assert rows == [
            (2, "two again", second, 7),
            (3, "large", large, 7),
            (4, "three", None, 7),
            (100, "hundred", None, 7),
            (101, "last", None, 1),
            (102, "behind a record", behind, 7),
        ]
        assert [row["name"] for row in rows_of(table.pinned("second")).values()] == ["one", "two"]
        assert sorted(rows_of(table.pinned(6))) == [2, 3, 4, 100]
        assert table.append([{"name": "new"}]) == 10


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("http://127.0.0.1:1/t.flac", "has no conditional writes"),
        ("sftp://host/t.flac", "fsspec has no conditional writes"),
    ],
)
def test_stores_without_conditions(where: str, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        am.Table.create(where, COLUMNS)


# -- doors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False])
def test_sqlite(url: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "on" if native else "off")
    connection = apsw.Connection(":memory:")
    am.register(connection)
    table = (
        f"CREATE VIRTUAL TABLE t USING audiomem('{url}', id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER)"
    )
    connection.execute(table)
    connection.execute("INSERT INTO t(name, n) VALUES ('a', 1), ('b', 2)")
    connection.execute("BEGIN; UPDATE t SET n = n + 1; DELETE FROM t WHERE id = 1; COMMIT")
    connection.execute("BEGIN; DELETE FROM t; ROLLBACK")
    with pytest.raises(apsw.ConstraintError, match=r"UNIQUE constraint failed: t\.name"):
        connection.execute("INSERT INTO t(name) VALUES ('b')")
    other = apsw.Connection(":memory:")
    am.register(other)
    other.execute(table)  # is there: opened
    assert other.execute("SELECT * FROM t").fetchall() == [(2, "b", 3)]
    other.execute("BEGIN; UPDATE t SET n = 10")
    connection.execute("UPDATE t SET n = 20")
    with pytest.raises(apsw.BusyError, match="both changed the same rows"):
        other.execute("COMMIT")
    other.execute("ROLLBACK")  # as after SQLITE_BUSY of any table, the transaction is still there
    assert other.execute("SELECT n FROM t").fetchall() == [(20,)]
    for command, rank in (("tag", "now"), ("merge", None), ("vacuum", None), ("checkpoint", None)):
        connection.execute("INSERT INTO t(t, rank) VALUES (?, ?)", (command, rank))
    assert other.execute("SELECT n FROM t WHERE version = 'now'").fetchall() == [(20,)]
    assert other.execute("SELECT count(*) FROM t WHERE version = 2").fetchall() == [(2,)]
    assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_other_doors(url: str) -> None:
    connection = pysqlite3.connect(":memory:")
    am.load(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{url}', id INTEGER PRIMARY KEY, v TEXT)")
    connection.execute("INSERT INTO t(v) VALUES ('one')")
    connection.commit()
    python, extension = duckdb.connect(), duckdb.connect(config={"allow_unsigned_extensions": True})
    am.register_duckdb(python)
    am.load(extension)
    for duck in (python, extension):
        assert duck.execute(f"FROM audiomem_scan('{url}')").fetchall() == [(1, "one")]
    copy = f"{url}.copied.flac"
    extension.execute(f"COPY (SELECT 7 AS id, 'x' AS v) TO '{copy}' (FORMAT audiomem)")
    assert python.execute(f"FROM audiomem_scan('{copy}')").fetchall() == [(7, "x")]
    extension.execute(f"SELECT audiomem_write('{copy}.written.flac', {{v: 5}})")
    assert python.execute(f"FROM audiomem_scan('{copy}.written.flac')").fetchall() == [(5,)]
    database = dbapi.connect(url)
    database.execute(f"INSERT INTO {am.open(url).name}(v) VALUES ('two')")
    database.commit()
    database.close()
    assert python.execute(f"SELECT v FROM audiomem_scan('{url}') ORDER BY id").fetchall() == [
        ("one",),
        ("two",),
    ]


def test_two_tables_in_one_transaction(url: str, tmp_path: Path) -> None:
    """What is durable in a store, and rolled back by the other table, is taken back by a commit."""
    with am.Table.create(url, COLUMNS) as table:
        table.append([{"name": "old", "n": 1}, {"name": "gone", "n": 2}])
        transaction = table.begin()
        transaction.delete(2)
        transaction.update(1, 1, [1, "new", None, 5])
        transaction.insert(None, [None, "more", None, 3])
        table.prepare()
        assert len(am.open(url)) == 2
        table.rollback()
        rows = rows_of(am.open(url))
        assert [row["name"] for row in rows.values()] == ["old", "gone"]
        assert table.version == 4
        assert rows_of(table) == rows


def test_commands_that_write(
    proxy: FaultyProxy, store: S3Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a real store, from the first to the last word of the life of a table."""
    url = f"s3://{BUCKET}/cli/kb.flac"
    copy, back = f"s3://{BUCKET}/cli/copy.flac", str(tmp_path / "back.flac")
    for arguments, said in (
        (("create", url, "id INTEGER PRIMARY KEY", "v TEXT"), "id INTEGER PRIMARY KEY"),
        (("sql", url, "INSERT INTO kb(v) VALUES ('one'), ('two')"), ""),
        (("tag", url, "two"), "two"),
        (("sql", url, "DELETE FROM kb WHERE v = 'one'"), ""),
        (("sql", url, "SELECT count(*) AS c FROM kb"), "1"),
        (("restore", url, "two"), "2 rows"),
        (("info", url), "versions 2 to 4 only there"),
        (("vacuum", url), ""),
        (("info", url), "2 rows"),
        (("verify", url), "all well"),
        (("backup", url, back), "2 rows"),
        (("backup", back, copy), "2 rows"),
        (("sql", copy, "SELECT group_concat(v) AS all_of_them FROM copy"), "one,two"),
    ):
        code, told = run(arguments), capsys.readouterr()
        assert code == 0, (arguments, told.err)
        assert said in told.out
    keys = sorted(meta["path"] for page in obstore.list(store, "cli") for meta in page)
    keys = [key for key in keys if key.startswith("cli/kb.flac")]
    assert keys[:2] == ["cli/kb.flac", "cli/kb.flac.d/manifest"]
    assert all(key.startswith("cli/kb.flac.d/seg/") for key in keys[2:])
    plain = f"s3://{BUCKET}/cli/plain.flac"
    obstore.put(store, "cli/plain.flac", Path(back).read_bytes())
    assert run(["sql", plain, "DELETE FROM plain"]) == 1
    told = capsys.readouterr().err
    assert "only read" in told
    assert "audiomem backup" in told
    assert run(["backup", plain, f"s3://{BUCKET}/cli/written.flac"]) == 0
    assert run(["sql", f"s3://{BUCKET}/cli/written.flac", "DELETE FROM written"]) == 0


def test_what_nobody_waits_for_may_be_lost(proxy: FaultyProxy) -> None:
    """The next call says so, and nothing is written that was handed over behind it."""
    url = f"s3://{BUCKET}/later/kb.flac"
    am.Table.create(url, COLUMNS).close()
    table = am.open(url, durability="async")
    table.busy_timeout = 0
    proxy.always = "reset"
    for number in range(40):
        table.append([{"name": str(number)}])
    with pytest.raises(StorageError, match=r"did not answer|not known"):
        table.flush()
    proxy.always = ""
    table.append([{"name": "after"}])
    table.close()
    assert [row["name"] for row in rows_of(am.open(url)).values()] == ["after"]


def test_web_servers_show_it(proxy: FaultyProxy) -> None:
    """Read over http, with its manifest; a signed URL lets nobody in but to one object."""
    key = f"{BUCKET}/served/kb.flac"
    with am.Table.create(f"s3://{key}", COLUMNS) as table:
        table.append([{"name": "one"}, {"name": "two", "body": "b" * 100_000}])
        table.append([{"name": "three"}])
    url = f"http://me:PASSWORD@127.0.0.1:{proxy.port}/{key}"
    with am.open(url) as reader:
        assert [row["name"] for row in rows_of(reader).values()] == ["one", "two", "three"]
        assert len(reader.checkout(2)) == 2
        with pytest.raises(UnsupportedError, match="http:// has no conditional writes") as raised:
            am.Table(url).append([{"name": "x"}])
        assert "PASSWORD" not in str(raised.value)
    with pytest.raises(UnsupportedError, match="a signed URL opens one object") as raised:
        am.open(f"{url}?X-Amz-Signature=SECRET")
    assert "SECRET" not in str(raised.value)


def test_a_lost_reply(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has the commit, and its answer does not come: it is found, and not made twice."""
    url = f"s3://{BUCKET}/lost/kb.flac"
    with am.Table.create(url, COLUMNS) as table:
        table.append([{"name": "one"}])
        proxy.faults_of_puts = ["lost"]
        assert table.append([{"name": "two"}]) == 3
        assert proxy.faults_of_puts == []
        assert (len(table), table.version) == (2, 3)
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    with am.open(url) as reader:
        assert [row["name"] for row in rows_of(reader).values()] == ["one", "two"]
        proxy.log = []
        assert not reader.refresh()
        assert [method for method, _, _ in proxy.log] == ["GET"]


def test_ingest_by_url(
    proxy: FaultyProxy, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new table, the same again, and a changed source; sizes are those of the objects."""
    monkeypatch.chdir(tmp_path)
    url = f"s3://{BUCKET}/ingested/kb.flac"
    Path("a.md").write_text("# Tiers\n\nHot blocks are promoted.\n")
    for text, said in (
        ("", "1 new, 0 changed, 0 unchanged"),
        ("", "0 new, 0 changed, 1 unchanged"),
        ("# Tiers\n\nCold blocks age.\n", "0 new, 1 changed, 0 unchanged"),
    ):
        if text:
            Path("a.md").write_text(text)
        code, told = run(["ingest", url, "a.md"]), capsys.readouterr()
        assert code == 0, told.err
        assert said in told.out
    assert run(["ingest", url, "a.md", "--no-words"]) == 2
    assert "options belong to a new file" in capsys.readouterr().err
    with am.open(url) as table:
        assert [row["body"] for row in rows_of(table).values()] == ["Cold blocks age."]
        assert table.search("cold", k=1).num_rows == 1


def test_refusals_are_told_in_our_words(
    proxy: FaultyProxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a store says, a message has its status and its code, and what can be done."""
    with am.Table.create(tmp_path / "kb.flac", COLUMNS) as local:
        local.append([{"name": "one"}])
    for arguments in (
        ["create", "s3://nobody-has-this/kb.flac", "v TEXT"],
        ["backup", str(tmp_path / "kb.flac"), "s3://nobody-has-this/kb.flac"],
    ):
        assert run(arguments) == 1
        told = capsys.readouterr().err
        assert "s3://nobody-has-this: access was refused (status 403, AccessDenied). Check bucket" in told
    url = f"s3://{BUCKET}/refusals/kb.flac"
    with am.Table.create(url, COLUMNS) as table:
        table.busy_timeout = 0
        proxy.always = "reset"
        with pytest.raises(StorageError) as raised:
            table.append([{"name": "one"}])
        proxy.always = ""
    for told in (str(raised.value), raised.value.remedy or ""):
        assert not any(word in told for word in ("<", "http://", "performing", "probe", "DO-NOT-TELL"))


def test_no_segment_in_messages_about_the_table(url: str) -> None:
    with am.Table.create(url, COLUMNS) as table:
        table.append([{"name": "one"}])
        for choice in ({"as_of": "2000-01-01"}, {"version": 9}, {"version": "nobody"}):
            with pytest.raises(QueryError, match=r"are kept; tags: none") as raised:
                am.open(url, **choice)
            assert raised.value.file == url


def test_a_manifest_that_is_lost(url: str) -> None:
    """Deleted or overwritten by hand: told with a remedy, and never an empty table in its place."""
    store, key = memory_store(), url.removeprefix("memory://")
    manifest = f"{key}.d/manifest"
    table = am.Table.create(url, COLUMNS)
    table.append([{"name": "one"}])
    whole = bytes(obstore.get(store, manifest).bytes())
    tries: list[Callable[[], Any]] = [
        lambda: am.open(url),
        table.refresh,
        lambda: table.append([{"name": "two"}]),
        lambda: am.connect(url),
    ]
    for data in (None, b"", b"text", whole[:-9], whole[:40] + b"!" + whole[41:]):
        if data is None:
            obstore.delete(store, manifest)
        else:
            obstore.put(store, manifest, data)
        for each in tries:
            with pytest.raises(AudioMemError, match=f"{url}.*{manifest}.* restore a backup"):
                each()
        with pytest.raises(AudioMemError):
            am.Table.create(url, COLUMNS)
        with pytest.raises(dbapi.OperationalError):
            dbapi.connect(":memory:").execute(f"CREATE VIRTUAL TABLE t USING audiomem('{url}', a TEXT)")
        kept = [meta["path"] for page in obstore.list(store, f"{key}.d") for meta in page]
        assert (manifest in kept) == (data is not None)
    obstore.put(store, manifest, whole)
    table.append([{"name": "two"}])
    assert [row["name"] for row in rows_of(table).values()] == ["one", "two"]


@pytest.mark.parametrize("harm", ["gone", "cut", "empty", "of another size"])
def test_a_segment_that_is_not_what_it_was(url: str, harm: str) -> None:
    """The remedy is to bring that object back: there is nothing wrong with the URL, and nothing to repair."""
    store, key = memory_store(), url.removeprefix("memory://")
    table = am.Table.create(url, COLUMNS)
    table.append([{"name": f"n{number}", "body": "text" * 99} for number in range(300)])
    table.vacuum()
    (name,) = (f"{key}.d/seg/{entry.name}" for entry in manifest_of(url).segments)
    whole = bytes(obstore.get(store, name).bytes())
    if harm == "gone":
        obstore.delete(store, name)
    else:
        obstore.put(store, name, {"cut": whole[:-5000], "empty": b"", "of another size": whole * 2}[harm])
    for door in (lambda: am.open(url).to_arrow(), lambda: am.connect(url).execute("SELECT count(*) FROM t")):
        with pytest.raises(AudioMemError, match=f"a segment of the table.*Bring the object {name} back"):
            door()
    obstore.put(store, name, whole)
    assert len(am.open(url)) == 300


Raced = tuple[apsw.Connection, Callable[[str], None]]


def raced(url: str, monkeypatch: pytest.MonkeyPatch, *, native: bool) -> Raced:
    """A connection to the table ``t``, and what lets a row of another come right before its next commit."""
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "on" if native else "off")
    connection, beside = apsw.Connection(":memory:"), am.open(url)
    am.register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{url}')")
    waiting: list[str] = []
    prepare = Transactions.prepare

    def late(self: Any, **given: Any) -> None:
        if waiting:
            beside.append([{"name": waiting.pop()}])
        prepare(self, **given)

    monkeypatch.setattr(Transactions, "prepare", late)
    return connection, waiting.append


@pytest.mark.parametrize("native", [True, False])
def test_rowids_that_sqlite_chose(url: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement by itself is numbered again, and says so; what was told before it ended is refused."""
    am.Table.create(url, COLUMNS).close()
    connection, meanwhile = raced(url, monkeypatch, native=native)

    def named() -> dict[int, str]:
        return dict(connection.execute("SELECT id, name FROM t"))

    meanwhile("other 1")
    connection.execute("INSERT INTO t(name) VALUES ('one')")
    assert connection.last_insert_rowid() == 2
    meanwhile("other 3")
    connection.execute("INSERT OR REPLACE INTO t(name, n) VALUES ('two', 1), ('one', 2), ('three', 3)")
    assert named() == {1: "other 1", 3: "other 3", 4: "two", 5: "one", 6: "three"}
    assert connection.last_insert_rowid() == 6
    meanwhile("other 7")
    large = "x" * 70_000
    connection.execute("INSERT INTO t(name, body) SELECT 'large ' || n, ? FROM t WHERE n > 1", (large,))
    assert connection.last_insert_rowid() == 9
    assert connection.execute("SELECT name FROM t WHERE id = 9 AND length(body) = 70000").fetchall()
    connection.execute("INSERT INTO t(name) VALUES ('alone')")
    assert (connection.last_insert_rowid(), named()[10]) == (10, "alone")
    before = named()

    def refused(sql: str, beside: str) -> None:
        meanwhile(beside)
        with pytest.raises(apsw.BusyError, match="a rowid of it was given"):
            connection.execute(sql)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        before[max(before) + 1] = beside
        assert named() == before

    refused("BEGIN; INSERT INTO t(name) VALUES ('told'); COMMIT", "other a")
    refused("SAVEPOINT s; INSERT INTO t(name) VALUES ('told'); RELEASE s", "other b")
    refused("INSERT INTO t(name, n) VALUES ('told', 1), ('twice', Last_Insert_Rowid())", "other c")
    connection.execute("CREATE TABLE plain(a)")
    connection.execute(
        "CREATE TEMP TRIGGER tells AFTER INSERT ON plain BEGIN INSERT INTO t(name) VALUES (new.a);"
        " INSERT INTO t(name) VALUES ('told ' || last_insert_rowid()); END"
    )
    refused("INSERT INTO plain VALUES ('by a trigger')", "other d")
    refused("INSERT INTO t(id, name) VALUES (NULL, 'chosen'), (20, 'given')", "other e")
    same = max(before) + 1  # as SQLite chooses for the first row
    refused(f"INSERT OR REPLACE INTO t(id, name) VALUES (NULL, 'chosen'), ({same}, 'given')", "other g")
    assert connection.execute("SELECT count(*) FROM plain").fetchall() == [(0,)]
    door = dbapi.connect(url)
    door.autocommit = True
    meanwhile("other f")
    name = url.rpartition("/")[2].removesuffix(".flac")
    assert door.execute(f"INSERT INTO {name}(name) VALUES ('door')").lastrowid == 18
    door.close()


def test_checks_of_the_rowid_keep_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is not given a rowid that its CHECK was not asked about."""
    am.Table.create(url, [*COLUMNS, "CHECK (id % 2 = 1)"]).close()
    connection, meanwhile = raced(url, monkeypatch, native=True)
    meanwhile("one")
    with pytest.raises(apsw.BusyError):
        connection.execute("INSERT INTO t(name) VALUES ('two')")
    assert connection.execute("SELECT id FROM t").fetchall() == [(1,)]


def test_writers_of_sql_side_by_side(url: str) -> None:
    """Four connections insert as fast as they can: no error, and every rowid that was told is the row's."""
    am.Table.create(url, COLUMNS).close()
    told: dict[str, int] = {}
    failed: list[BaseException] = []

    def write(number: int) -> None:
        connection = apsw.Connection(":memory:")
        am.register(connection)
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{url}')")
        try:
            for step in range(6):
                name = f"{number} {step}"
                connection.execute("INSERT INTO t(name) VALUES (?)", (name,))
                told[name] = connection.last_insert_rowid()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with am.open(url) as table:
        assert {row["name"]: row["id"] for row in table.to_arrow().to_pylist()} == told
    assert sorted(told.values()) == list(range(1, 25))
