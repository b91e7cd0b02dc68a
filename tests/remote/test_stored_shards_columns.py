"""Changes of the columns of sharded tables in stores: each is one version of all shards."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql.cli.main import run
from audiomem_sql.errors import BusyError, FormatVersionError, SchemaError
from audiomem_sql.remote.commits import ObstoreStore, Unanswered
from audiomem_sql.shards import StoredShardedSnapshot, manifest_bytes
from audiomem_sql.table.resharding import reshard
from audiomem_sql.upkeep.verify import problems

COLUMNS = ["code TEXT PRIMARY KEY", "body TEXT", "year INTEGER"]
_NUMBERS = count()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers look for newer states whenever they are asked."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")


@pytest.fixture
def url() -> str:
    return f"memory://sharded-columns/t{next(_NUMBERS)}.shards"


def created(url: str, columns: list[str] = COLUMNS, **options: Any) -> Any:
    return am.create(url, columns, shards=3, profile="embedded", **options)


def rows(first: int, last: int, **others: Any) -> list[dict[str, Any]]:
    return [{"code": f"c{n}", "body": f"flac {n}", "year": n, **others} for n in range(first, last)]


def faults(table: Any) -> list[str]:
    return [str(problem) for problem in problems(table)]


def head_of(table: Any) -> Any:
    table.refresh()
    assert isinstance(table.snapshot, StoredShardedSnapshot)
    return table.snapshot.head


def test_every_change_is_one_version(url: str, tmp_path: Path) -> None:
    with created(url) as table:
        table.append(rows(0, 20))
        seq, before = head_of(table).seq, table.version
        connection = am.connect(url)
        (name,) = (row[0] for row in connection.execute("SELECT name FROM sqlite_schema"))
        added = "('add column', 'pages INTEGER DEFAULT 1')"
        connection.execute(f"INSERT INTO {name}({name}, rank) VALUES {added}")
        assert connection.execute(f"SELECT sum(pages) FROM {name}").fetchone() == (20,)
        connection.close()
        assert head_of(table).seq == seq + 2  # the records are folded first
        assert table.version == before + 1
        assert [shard.version for shard in head_of(table).shards] == [3] * 3
        table.append(rows(20, 25, pages=7))
        table.alter("rename column body TO text")
        assert run(["alter", url, "drop column year"]) == 0
        table.refresh()
        assert table.schema.names == ("code", "text", "pages")
        assert table.version == before + 4
        assert table.to_arrow(where="pages = 7").num_rows == 5
        old = table.pinned(before)
        assert old.schema.names == ("code", "body", "year")
        assert old.to_arrow(["year"], "code = 'c7'")["year"].to_pylist() == [7]
        transaction = table.begin()
        (rowid,) = (
            table.to_arrow(with_rowid=True, where="code = 'c7'")["rowid"].to_pylist() if False else (8,)
        )
        transaction.update(rowid, rowid, ("moved", "t", 3))
        table.commit()
        assert faults(table) == []
        reshard(url, to=5)
    with am.open(url) as table:
        assert table.to_arrow(["text"], "code = 'moved'")["text"].to_pylist() == ["t"]
        assert table.pinned(before).to_arrow().num_rows == 20
        assert table.backup(tmp_path / "copy.shards") == table.version
        with am.open(tmp_path / "copy.shards") as copy:
            assert copy.schema.names == ("code", "text", "pages")
            assert copy.pinned(before).schema.names == ("code", "body", "year")
            assert faults(copy) == []
        table.vacuum(retain="1")
        assert len(table) == 25
        assert faults(table) == []


def test_what_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with created(url, shard_key="body") as table:
        table.append(rows(0, 9))
        table.checkpoint()
        seq = head_of(table).seq
        refused: list[Callable[[], object]] = [
            lambda: table.alter("drop column body"),
            lambda: table.alter("drop column nothing"),
            lambda: table.alter("add column year INTEGER"),
            lambda: table.alter("drop column code"),
            lambda: table.reembed(model="hashing"),
        ]
        for each in refused:
            with pytest.raises(SchemaError):
                each()
        assert head_of(table).seq == seq
        table.alter("add column more TEXT")
    monkeypatch.setattr(manifest_bytes, "FEATURES", frozenset())
    monkeypatch.setattr("audiomem_sql.shards.stored_shards._KNOWN", {})
    with pytest.raises(FormatVersionError, match="features that this version does not have: columns"):
        am.open(url)


def test_a_change_meets_everything(url: str) -> None:
    """Whoever wrote with other columns is told, and a change that comes too late is, too."""
    with created(url) as one, am.open(url) as other:
        one.append(rows(0, 9))
        other.refresh()
        transaction = other.begin()
        transaction.insert(None, ("a", "b", 1))
        one.alter("rename column body TO text")
        with pytest.raises(BusyError, match="columns changed"):
            other.commit()
        other.refresh()
        other.append([{"code": "a", "text": "t", "year": 1}])
        one.refresh()
        assert len(one.to_arrow(where="text = 't'")) == 1
        made = one._session.make

        def late(change: Any) -> int:
            if getattr(change, "altered", None) is not None and len(other) == 10:
                other.append([{"code": "b", "text": "u", "year": 2}])
            return made(change)  # type: ignore[no-any-return]

        one._session.make = late
        with pytest.raises(BusyError, match="do not go together"):
            one.alter("drop column year")
        one.alter("drop column year")
        assert len(am.open(url)) == 11
        assert faults(one) == []


@pytest.mark.parametrize("stored", [False, True])
def test_a_change_whose_answer_is_lost(url: str, monkeypatch: pytest.MonkeyPatch, stored: bool) -> None:
    """It is made once, whether the manifest was replaced or not."""
    with created(url) as table:
        table.append(rows(0, 9))
        table.checkpoint()
        before, put, lost = table.version, ObstoreStore.put_if_match, 0

        def failing(self: Any, key: str, *given: Any) -> Any:
            nonlocal lost
            lost += 1
            if stored or lost > 1:
                mark = put(self, key, *given)
            if lost == 1:
                raise Unanswered("the answer was lost")
            return mark

        monkeypatch.setattr(ObstoreStore, "put_if_match", failing)
        assert table.alter("add column more TEXT DEFAULT 'x'") == before + 1
        assert lost == 2 - stored
        assert table.to_arrow(where="more = 'x'").num_rows == 9
        assert len(table.snapshot.migrations) == 1
        assert faults(table) == []


def test_reembed(url: str) -> None:
    columns = ["code TEXT PRIMARY KEY", "body TEXT SEMANTIC"]
    with created(url, columns, model="hashing") as table:
        table.append([{"code": f"c{n}", "body": f"flac number {n}"} for n in range(30)])
        first = table.version
        found = table.search("flac number 7", 1, columns=["code"])["code"].to_pylist()
        assert table.reembed(passages="off") > first
        assert table.options.passages == "off"
        assert table.search("flac number 7", 1, columns=["code"])["code"].to_pylist() == found == ["c7"]
        assert faults(table) == []
    with am.open(url) as table:
        assert table.search("flac number 7", 1, columns=["code"])["code"].to_pylist() == ["c7"]
        assert table.pinned(first).search("flac number 8", 1, columns=["code"])["code"].to_pylist() == ["c8"]


def test_transcode_and_stream(url: str, tmp_path: Path) -> None:
    with created(url) as table:
        table.append(rows(0, 30))
        table.transcode({"profile": "mobile", "protection": "standard"})
        assert (table.options.profile, table.options.protection) == ("mobile", "standard")
        assert all(segment.file.is_protected for segment in table.snapshot.segments)
        assert len(table.pinned(1).to_arrow()) == 0
        table.append(rows(30, 31))
        made = table.stream(tmp_path / "hls")
        assert faults(table) == []
    with am.open(made.table) as stream:
        assert stream.to_arrow(["year"]).sort_by("year")["year"].to_pylist() == list(range(31))
