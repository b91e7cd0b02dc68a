"""Changes of the columns of sharded tables: as in one file, in one version, whole or not there."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crash.forked import Writers

import audiomem_sql as am
from audiomem_sql.cli.main import run
from audiomem_sql.errors import ConstraintError, DamagedFileError, QueryError, SchemaError, StorageError
from audiomem_sql.shards import read_manifest, unpack_manifest
from audiomem_sql.shards.manifest_bytes import pack_manifest
from audiomem_sql.table.resharding import reshard
from audiomem_sql.table.table import Table
from audiomem_sql.versions import changes
from shards import altered
from shards.sharded import COLUMNS, check, codes, create, opened, row


def content(table: Any, version: int) -> list[dict[str, Any]]:
    found = table.pinned(version).to_arrow().to_pylist()
    return sorted(found, key=lambda row: str(row.get("code", row.get("kode"))))


def same(one: Table, many: Table) -> None:
    """Columns, rows and changes of every version are the same."""
    check(many)
    assert many.version == one.version
    assert many.schema.sql() == one.schema.sql()
    assert [(step.version, step.text) for step in many.migrations] == [
        (step.version, step.text) for step in one.migrations
    ]
    first = many.versions[0].number
    for version in range(first, one.version + 1):
        assert many.at(version).schema.sql() == one.at(version).schema.sql()
        assert content(many, version) == content(one, version)
    told = [
        [(c.version, c.rowid, c.kind, c.values) for c in changes(each.snapshot, first + 1, one.version)]
        for each in (many, one)
    ]
    assert told[0] == told[1]
    without = changes(many.snapshot, first, one.version, values=False)
    whole = changes(many.snapshot, first, one.version)
    assert [(c.version, c.rowid, c.kind) for c in without] == [(c.version, c.rowid, c.kind) for c in whole]
    assert {c.values for c in without} <= {()}


def _changed(random_: random.Random, table: Table, step: int) -> None:
    """One random statement; the same for the same numbers."""
    names = list(table.schema.names)
    free = list(names[1:])
    kind = random_.choice(["add", "drop", "rename", "rename key", "insert", "insert", "replace"])
    if kind == "add":
        definition = random_.choice(["INTEGER DEFAULT 5", "TEXT", "REAL NOT NULL DEFAULT 2.5"])
        table.alter(f"add column c{step} {definition}")
    elif kind == "drop" and len(free) > 1:
        table.alter(f"drop column {random_.choice(free)}")
    elif kind == "rename" and free:
        table.alter(f"rename column {random_.choice(free)} to r{step}")
    elif kind == "rename key":
        table.alter(f"rename column {names[0]} to {'kode' if names[0] == 'code' else 'code'}")
    else:
        key, others = names[0], list(table.schema.columns[1:])
        rows = []
        for number in range(random_.choice([1, 9, 30])):
            new: dict[str, Any] = {key: f"s{step}-{number}"}
            for column in others:
                value = random_.randrange(50)
                new[column.name] = str(value) if column.type.kind.name == "TEXT" else value
            rows.append(new)
        where = f"{key} LIKE '%-{random_.randrange(10)}'" if kind == "replace" else None
        table.append(rows, replace=where)


@pytest.mark.parametrize("seed", [1])
def test_random_changes_are_those_of_one_file(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiomem_sql.writing.log_limits.LOGGED_ROWS", 12)
    options = {"profile": "embedded"}
    one = Table.create(tmp_path / "one.flac", COLUMNS, options)
    many = Table.create(tmp_path / "many.shards", COLUMNS, {**options, "shards": 4})
    for step in range(12):
        for table in (one, many):
            _changed(random.Random(f"{seed} {step}"), table, step)
        if step == 7:
            many.close()
            many = Table(tmp_path / "many.shards")
    same(one, many)
    many.close()
    with Table(tmp_path / "many.shards") as again:
        same(one, again)
        with Table(tmp_path / "many.shards") as old:
            old.snapshot.manifest  # type: ignore[attr-defined]  # noqa: B018
            again.vacuum()
        same(one, again)
        reshard(tmp_path / "many.shards", 6)
        again.refresh()
        names = again.schema.names
        assert again.to_arrow([names[0]]).num_rows == len(one)
        check(again)
        for version in (1, 5, one.version):
            assert content(again, version) == content(one, version)
        again.alter(f"add column z{seed} TEXT DEFAULT 'x'")
        assert set(again.to_arrow([f"z{seed}"]).column(0).to_pylist()) <= {"x"}
        again.backup(tmp_path / "old.shards", 5)
        with Table(tmp_path / "old.shards") as copy:
            check(copy)
            for version in (1, 3, 5):
                assert content(copy, version) == content(one, version)
        again.vacuum(retain="1")
        check(again)
        assert len(again.versions) == 1
        assert again.to_arrow([names[0]]).num_rows == len(one)
    one.close()


def test_a_key_is_found_where_it_was(tmp_path: Path) -> None:
    """Rows stay in their shards: a key opens one, also when its column has another name and place."""
    path = tmp_path / "t.shards"
    columns = ("year INTEGER", "code TEXT UNIQUE", "body TEXT")
    with create(path, 0, columns=columns, shard_key="code") as table:
        table.append([row(number) for number in range(40)])
        before = [set(shard.own_rows) for shard in table.snapshot.shards]  # type: ignore[attr-defined]
        table.alter("drop column year")
        table.alter("rename column code to kode")
        table.alter("add column n INTEGER DEFAULT 3")
    with Table(path) as table:
        assert table.to_arrow(where="kode = 'c7'").to_pylist() == [{"kode": "c7", "body": "body 7", "n": 3}]
        assert len(opened(table)) == 1
        assert table.pinned(2).to_arrow(where="code = 'c9' AND year = 9").num_rows == 1
        check(table)
    with Table(path, version=2) as old:
        assert old.to_arrow(where="year = 11 AND code = 'c11'").num_rows == 1
        assert len(opened(old)) == 1
    with Table(path) as table:
        for number, shard in enumerate(table.snapshot.shards):  # type: ignore[attr-defined]
            rows = [segment.rowids() for segment in shard.segments if segment.rows]
            assert set(np.concatenate(rows).tolist()) == before[number]
        table.append([{"kode": f"d{number}", "body": "", "n": number} for number in range(40)])
        check(table)
        with pytest.raises(ConstraintError):
            table.append([{"kode": "c7"}])


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    with create(path, 40, shard_key="year") as table:
        for change, said in (
            ("drop column code", "PRIMARY KEY or UNIQUE cannot be dropped"),
            ("drop column year", "column year: it places rows in the shards, so it cannot be dropped"),
            ("add column body TEXT", "there is a column of that name"),
            ("add column x INTEGER UNIQUE", "UNIQUE"),
            ("add column x INTEGER NOT NULL", "DEFAULT"),
            ("frobnicate", "no change of the columns"),
        ):
            with pytest.raises(SchemaError, match=said) as caught:
                table.alter(change)
            assert caught.value.file == str(path)
        with pytest.raises(ConstraintError):
            table.alter("add column x INTEGER DEFAULT 5 CHECK (x > 7)")
        assert table.version == 2
        check(table)
        table.alter("rename column year to born")
        with pytest.raises(SchemaError, match="column born: it places rows"):
            table.alter("drop column born")
    (path / "shard-0003.flac").rename(tmp_path / "away")
    with Table(path) as table, pytest.raises(StorageError, match="shard 3 is missing"):
        table.alter("add column x TEXT")
    (tmp_path / "away").rename(path / "shard-0003.flac")
    with Table(path) as table:
        assert table.version == 3
        table.append([{"code": "new", "born": 4, "body": ""}])
        check(table)


def test_through_the_other_doors(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    create(path, 40).close()
    connection = am.connect(path)
    connection.execute("INSERT INTO t(t, rank) VALUES ('add column', 'n INTEGER DEFAULT 4')")
    connection.close()
    connection = am.connect(path)
    assert connection.execute("SELECT sum(n) FROM t").fetchall() == [(160,)]
    assert connection.execute("SELECT count(*) FROM t WHERE version = 2").fetchall() == [(40,)]
    connection.execute("UPDATE t SET n = 9 WHERE code = 'c3'")
    connection.execute("ALTER TABLE t RENAME TO u")
    assert connection.execute("SELECT n FROM u WHERE code = 'c3'").fetchall() == [(9,)]
    connection.close()
    assert run(["alter", str(path), "rename column n to m"]) == 0
    assert am.read_flac(path, where="m = 9")["code"].tolist() == ["c3"]
    with Table(path) as table:
        assert [step.version for step in table.migrations] == [3, 5]


def test_other_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stops in the middle goes on; older versions keep theirs, also in a copy and after a vacuum."""
    path = tmp_path / "t.shards"
    columns = ("code TEXT PRIMARY KEY", "body TEXT SEMANTIC")
    texts = [f"the {word} of number {n}" for n in range(30) for word in ("sound", "night", "tree")]

    def found(table: Any) -> list[str]:
        answers: list[str] = table.search("the night of number 7", k=1)["body"].to_pylist()
        return answers

    with Table.create(path, columns, {"profile": "embedded", "model": "hashing", "shards": 3}) as table:
        table.append([{"code": str(n), "body": text} for n, text in enumerate(texts)])
        expected = found(table)
        monkeypatch.setattr("audiomem_sql.table.schema_changes._LEAST_ROWS", 40)
        monkeypatch.setattr("audiomem_sql.table.schema_changes._REEMBEDDED", 40)
        with pytest.raises(KeyboardInterrupt):
            table.reembed("hashing", passages="16", progress=_stop)
    with Table(path) as table:
        number = table.version
        assert table.reembed("hashing", passages="16") == number + 2  # the columns are there, and a part
        assert table.options.passages == "16"
        assert table.pinned(2).options.passages == "auto"
        for each in (table, table.pinned(2)):
            assert found(each) == expected
        check(table)
        table.backup(tmp_path / "old.shards", 2)
        with Table(tmp_path / "old.shards") as copy:
            assert found(copy) == expected
            assert copy.options.passages == "auto"
            check(copy)
        table.vacuum()
        for each in (table, table.pinned(2)):
            assert found(each) == expected
        check(table)


def _stop(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_a_reader_goes_on(tmp_path: Path) -> None:
    """One that has the old manifest opens shards behind the change, and sees the old columns."""
    path = tmp_path / "t.shards"
    create(path, 40).close()
    with Table(path, version=2) as fixed, Table(path) as table, Table(path) as writer:
        assert not opened(table)
        writer.alter("drop column body")
        writer.alter("add column body INTEGER DEFAULT 8")
        assert fixed.schema.names == ("code", "year", "body")
        assert "body 3" in fixed.to_arrow(["body"])["body"].to_pylist()
        table.refresh()
        assert set(table.to_arrow(["body"])["body"].to_pylist()) == {8}


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    with Writers(altered.__file__) as served:
        yield served


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "t.shards"
    create(path, 40).close()
    return path


CHANGES = ("add column n INTEGER DEFAULT 7", "drop column body", "rename column year to born")
DONE = ("manifest in place", "third shard accepted")
POINTS = ("first shard", "third shard", "manifest written", *DONE)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill(tmp_path: Path, made: Path, writers: Writers, point: str) -> None:
    """The change is there, or not; then others are made, and no column gets the id of another."""
    change = CHANGES[POINTS.index(point) % 3]
    path = tmp_path / "t.shards"
    shutil.copytree(made, path)
    assert writers.start(str(path), point, change) == "there\n"
    writers.kill()
    done = point in DONE
    with Table(path) as table:
        names = table.schema.names
        assert table.version == (3 if done else 2)
        assert (names == COLUMNS_AFTER[change]) is done
        assert (names == ("code", "year", "body")) is not done
        assert codes(table) == {f"c{number}" for number in range(40)}
        check(table)
        if point == "third shard":
            table.append([row(number) for number in range(40, 44)])  # in some shards
        table.alter("add column other TEXT DEFAULT 'o'")
        assert table.to_arrow(["other"]).column(0).to_pylist() == ["o"] * len(table)
        rows = [{**dict.fromkeys(names, 1), "code": f"d{n}", "other": "p"} for n in range(30)]
        table.append([{**each, **({"body": "b"} if "body" in names else {})} for each in rows])
        check(table)
        assert content(table, 2) == content(Table(made), 2)
        table.alter("drop column other")
        table.vacuum()
        check(table)
        assert content(table, 2) == content(Table(made), 2)
        if not done:
            bodies = table.to_arrow(["body"], where="code = 'c5'")["body"].to_pylist()
            assert bodies == ["body 5"]


COLUMNS_AFTER = {
    CHANGES[0]: ("code", "year", "body", "n"),
    CHANGES[1]: ("code", "year"),
    CHANGES[2]: ("code", "born", "body"),
}


def test_kills_one_after_another(tmp_path: Path, made: Path, writers: Writers) -> None:
    """Who takes columns back that a killed writer left may be killed, too."""
    path = tmp_path / "t.shards"
    shutil.copytree(made, path)
    for point, change in (
        ("third shard", CHANGES[1]),
        ("columns taken back", CHANGES[0]),
        ("first shard", "add column n TEXT"),
        ("third shard", "add column n REAL"),
        ("manifest written", CHANGES[2]),
    ):
        assert writers.start(str(path), point, change) == "there\n"
        writers.kill()
        with Table(path) as table:
            assert (table.version, table.schema.names) == (2, ("code", "year", "body"))
            check(table)
    with Table(path) as table:
        table.alter("add column n INTEGER DEFAULT 3")
        table.append([{**row(number), "n": number} for number in range(40, 80)])
        assert sum(table.to_arrow(["n"])["n"].to_pylist()) == 3 * 40 + sum(range(40, 80))
        assert content(table, 2) == content(Table(made), 2)
        check(table)
        table.vacuum()
        check(table)


def test_the_bytes_of_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    with create(path, 5) as table:
        table.alter("add column n INTEGER")
    manifest, _ = read_manifest(str(path / "manifest"))
    again = unpack_manifest(pack_manifest(manifest))[0]
    assert again.earlier == manifest.earlier
    assert again.migrations == manifest.migrations
    assert again.next_column == manifest.next_column == 4
    assert again.schema.is_same(manifest.schema)
    assert again.earlier[0].schema.is_same(manifest.earlier[0].schema)
    (layout,) = manifest.earlier
    no_key = layout.schema.changed(layout.schema.columns[1:])
    for wrong in (
        replace(manifest, earlier=(replace(layout, last=9),)),
        replace(manifest, earlier=(layout, layout)),
        replace(manifest, earlier=(replace(layout, schema=no_key),)),
    ):
        with pytest.raises(DamagedFileError, match="contradicts itself"):
            unpack_manifest(pack_manifest(wrong))


def test_a_reader_from_before_a_vacuum(tmp_path: Path) -> None:
    """It opens shards that no longer keep its version: an error says to refresh, and then it is right."""
    path = tmp_path / "t.shards"
    create(path, 40).close()
    with Table(path, version=2) as fixed, Table(path) as reader:
        with Table(path) as writer:
            writer.alter("drop column body")
            writer.append([{"code": f"d{number}", "year": number} for number in range(40)])
            writer.vacuum(retain="1")
        for each in (fixed, reader):
            with pytest.raises(QueryError, match=r"not kept any more by shard 0.*vacuumed.*refresh"):
                each.to_arrow()
        assert reader.refresh()
        assert reader.to_arrow().num_rows == 80
        check(reader)


@pytest.mark.parametrize("default", ["DEFAULT 5", ""])
def test_added_columns_have_zone_maps(tmp_path: Path, default: str) -> None:
    """In which the rows before have their DEFAULT: conditions open the shards that may have such rows."""
    path = tmp_path / "t.shards"
    with create(path, 40, 4) as table:
        table.alter(f"add column n INTEGER {default}")
        table.alter("rename column year TO born")
        table.append([{"code": "new", "born": 1, "n": 9}])
        assert table.snapshot.zones.may_pass((), 4).all()
    for where, rows, most in (
        ("n = 9", 1, 1),
        ("n = 5", 40 if default else 0, 4 if default else 1),
        ("n > 9", 0, 0),
        ("n < 5", 0, 0 if default else 1),
        ("n IS NULL", 0 if default else 40, 0 if default else 4),
        ("n IS NOT NULL", 41 if default else 1, 4 if default else 1),
        ("born = 7", 1, 4),
    ):
        with Table(path) as table:
            assert len(table.to_arrow(where=where)) == rows, where
            assert len(opened(table)) <= most, where
