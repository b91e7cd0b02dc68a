"""Rows that ended, in segments of their own: old versions are read from them, and the newest never is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import obstore
import pytest
from cli.conftest import Command, audiomem

import audiomem_sql as am
from audiomem_sql.errors import BusyError, DamageWarning, QueryError, StorageError, UnsupportedError
from audiomem_sql.remote import ArchivedError, memory_store
from audiomem_sql.remote.commits import Manifest, ManifestReader, ObjectStore, ObstoreStore
from audiomem_sql.upkeep.storage_classes import move_old
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import changes

__all__ = ["audiomem"]  # a fixture
_NUMBERS = count()
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")


@pytest.fixture
def url() -> str:
    return f"memory://history/t{next(_NUMBERS)}.flac"


def manifest_of(url: str) -> Manifest:
    store = ObstoreStore(memory_store(), "memory://")
    return ManifestReader(store, url.removeprefix("memory://")).load().manifest


def path_of(url: str, name: str) -> str:
    return f"{url.removeprefix('memory://')}.d/seg/{name}"


def filled(url: str) -> dict[int, list[Row]]:
    """A table in which rows of a segment and of records ended in versions 3 to 5; what each version shows."""
    with am.create(url, ["id INTEGER PRIMARY KEY", "a TEXT"], profile="embedded") as table:
        table.append([{"a": f"first {n}"} for n in range(300)])
        table.checkpoint()
        for first in (1, 20, 40):
            transaction = table.begin()
            for rowid in range(first, first + 30):
                if rowid % 3:
                    transaction.update(rowid, rowid, [rowid, f"changed {first}"])
                else:
                    transaction.delete(rowid)
            table.commit()
        table.alter("add column n INTEGER DEFAULT 7")
        table.append([{"a": "last", "n": 1}])
        return shown(table)


def shown(table: Any, oldest: int = 1) -> dict[int, list[Row]]:
    versions = range(oldest, table.snapshot.newest + 1)
    return {v: sorted(table.pinned(v).to_arrow().to_pylist(), key=lambda row: row["id"]) for v in versions}


def test_the_newest_version_is_read_without_it(url: str) -> None:
    before = filled(url)
    with am.open(url) as table:
        told = changes(table.snapshot, 1, 7)
        assert table.vacuum(history="2") == 1
        assert shown(table) == before
        assert changes(table.snapshot, 1, 7) == told
    (entry,) = manifest_of(url).history
    (newest,) = manifest_of(url).segments
    # rows that ended with version 4, 5 and 3, where row n was there in an older one
    assert (entry.first_version, entry.last_version, newest.rows) == (1, 6, len(before[7]))
    ended = {(row["id"], row["a"]) for v in range(1, 6) for row in before[v]}
    assert entry.rows == len(ended - {(row["id"], row["a"]) for row in before[6]})
    store, key = memory_store(), path_of(url, entry.name)
    data = obstore.get(store, key).bytes()
    obstore.delete(store, key)
    with am.open(url) as table:
        assert shown(table, 6) == {6: before[6], 7: before[7]}
        assert [version.number for version in table.versions] == list(range(1, 8))
        assert changes(table.snapshot, 7, 7) == [each for each in told if each.version == 7]
        with pytest.raises(StorageError, match="no such object"):
            table.pinned(5)
        with pytest.raises(StorageError, match="no such object"):
            changes(table.snapshot, 6, 7)
        (problem,) = problems(table)
        assert key in problem.file
        table.append([{"a": "more"}])
        table.vacuum()
        table.merge()
        table.vacuum(history="1")
        assert [each.last_version for each in manifest_of(url).history] == [6]  # nothing ended since
        obstore.put(store, key, bytes(data))
        assert list(problems(table)) == []
        assert shown(table) == before | {8: [*before[7], {"id": 302, "a": "more", "n": 7}]}
        assert table.vacuum(retain="3", history="2") == 6
    assert manifest_of(url).history == ()
    assert [each.name for each in manifest_of(url).retired].count(entry.name) == 1


def test_old_versions_behind_a_vacuum(url: str, tmp_path: Path) -> None:
    """In the order of their rowids, page by page, and with the changes that their retention allows."""
    columns = ["id INTEGER PRIMARY KEY", "a TEXT"]
    with am.create(url, columns, profile="embedded") as table:
        table.append([{"a": f"first {n}"} for n in range(10)])
        for rowid in (3, 4, 5, 6):
            transaction = table.begin()
            transaction.update(rowid, rowid, [rowid, "changed"])
            table.commit()
        assert table.vacuum(history="2") == 1
        table.append([{"a": "last"}])
        table.checkpoint()
        with am.connect(url) as connection:
            name = url.rpartition("/")[2].removesuffix(".flac")
            asked = f"SELECT rowid FROM {name} WHERE version = 2 ORDER BY rowid LIMIT 3 OFFSET 1"
            found = connection.execute(asked).fetchall()
        assert [rowid for (rowid,) in found] == [2, 3, 4]
        oldest = table.vacuum(retain="5")
        assert oldest > 2
        told = changes(table.snapshot, oldest, table.snapshot.newest)
        first = [(each.kind, each.rowid) for each in told if each.version == oldest]
        assert first == [("insert", row["id"]) for row in shown(table, oldest)[oldest]]
        whole = shown(table, oldest)
        copies = (str(tmp_path / "copy.flac"), url.replace(".flac", "-copy.flac"))
        for copy in copies:
            table.backup(copy)
    for copy in copies:
        with am.open(copy) as other:
            assert shown(other, oldest) == whole
            assert changes(other.snapshot, oldest, other.snapshot.newest) == told
            with pytest.raises(QueryError):
                other.pinned(oldest - 1)


def test_again_and_again(url: str, tmp_path: Path) -> None:
    """Each vacuum adds what ended since; a copy has all, and what is salvaged too."""
    before = filled(url)
    with am.open(url) as table:
        for version in (2, 4, 6):
            table.vacuum(history=str(table.version - version + 1))
            assert shown(table) == before
        assert [each.last_version for each in manifest_of(url).history] == [4, 6]  # nothing ended before
        table.tag("kept", 6)
        transaction = table.begin()
        transaction.delete(300)
        table.commit()
        before = shown(table)
        table.vacuum(history="1")  # the tag keeps version 6 near
        assert len(manifest_of(url).history) == 2
        table.backup(tmp_path / "copy.flac")
        table.backup(f"{url}.copy.flac")
        table.backup(tmp_path / "old.flac", version=4)
        assert list(problems(table)) == []
    for path in (tmp_path / "copy.flac", f"{url}.copy.flac"):
        with am.open(path) as copy:
            assert shown(copy) == before
    with am.open(tmp_path / "old.flac") as copy:
        assert shown(copy) == {version: before[version] for version in range(1, 5)}
    with am.open(url, salvage=True) as left:
        assert shown(left) == before


def test_replicas_have_it_too(url: str) -> None:
    """Healing puts segments of old versions where they are missing, and reads take them from any place."""
    before, far = filled(url), f"{url}.far.flac"
    with am.open(url) as table:
        table.vacuum(history="1")
    with pytest.warns(DamageWarning, match="is left out"), am.open(url, replicas=[far]) as both:
        both.heal()
    obstore.delete(memory_store(), path_of(url, manifest_of(url).history[0].name))
    with am.open(url, replicas=[far]) as both, pytest.warns(DamageWarning, match="is left out of the rep"):
        assert shown(both) == before
    with am.open(url, replicas=[far]) as both:
        assert [each.changed for each in both.heal()] == [True, False]
    with am.open(url) as table:
        assert shown(table) == before


class Killed(BaseException):
    """The process ends."""


class Killing:
    """A store whose writer ends before, or behind, its change number ``last``."""

    def __init__(self, store: ObjectStore, last: int, *, behind: bool) -> None:
        self._store, self.left, self._behind = store, last, behind

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name not in ("put_if_absent", "put_if_match", "put_parts", "delete"):
            return call

        def counted(*arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self._behind:
                raise Killed
            result = call(*arguments)
            if self.left == 0:
                raise Killed
            return result

        return counted


@pytest.mark.parametrize("behind", [False, True])
def test_killed_between_the_steps(url: str, behind: bool) -> None:
    """Whenever a vacuum that divides is killed, each version is what it was; the next one succeeds."""
    before = filled(url)
    for step in count(1):
        table = am.open(url)
        committer = table.files.stored.committer  # type: ignore[union-attr]
        committer.store = Killing(committer.store, step, behind=behind)  # type: ignore[assignment]
        if step > 1:  # something to collect
            table.append([{"a": f"step {step}"}])
            before[table.version] = shown(table, table.version)[table.version]
            committer.store.left = step
        try:
            table.vacuum(history="1")
        except Killed:
            with am.open(url) as other:
                assert shown(other) == before
                assert list(problems(other)) == []
                manifest = manifest_of(url)
                keys = [each["path"] for each in obstore.list(memory_store(), path_of(url, "")).collect()]
                assert {path_of(url, name) for name in manifest.names} <= set(keys)
                if manifest.history:
                    transaction = other.begin()  # the next one has something to part again
                    transaction.delete(100 + step)
                    other.commit()
                    before[other.version] = shown(other, other.version)[other.version]
        else:
            break
    assert step > 4
    with am.open(url) as other:
        assert shown(other) == before


def test_commits_of_others_meanwhile(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append and a change between reading and replacing the manifest; another vacuum is refused."""
    from audiomem_sql.table.stored_upkeep import StoredUpkeep

    before = filled(url)
    replace = StoredUpkeep._replace
    with am.open(url) as table, am.open(url) as other:
        meanwhile: list[Callable[[], Any]] = []

        def late(self: StoredUpkeep, *arguments: Any) -> None:
            if meanwhile:
                meanwhile.pop()()
            replace(self, *arguments)

        def change() -> None:
            transaction = other.begin()
            transaction.update(250, 250, [250, "by another", 3])
            transaction.delete(30)
            other.commit()
            other.append([{"a": "beside"}])

        monkeypatch.setattr(StoredUpkeep, "_replace", late)
        meanwhile.append(change)
        table.vacuum(history="1")
        assert [each.last_version for each in manifest_of(url).history] == [7]
        assert shown(table) == shown(other)
        assert {version: rows for version, rows in shown(table).items() if version < 8} == before
        kept = shown(table)
        meanwhile.append(lambda: other.vacuum(history="1"))
        with pytest.raises(BusyError, match="another vacuum or merge came first"):
            table.vacuum(history="1")
        assert [each.last_version for each in manifest_of(url).history] == [7, 9]
        assert shown(table) == shown(other) == kept


def test_where_there_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "kb.flac", "memory://history/kb.shards"):
        shards = {"shards": 2} if str(path).endswith(".shards") else {}
        with (
            am.create(path, ["id INTEGER PRIMARY KEY"], profile="embedded", **shards) as table,
            pytest.raises(UnsupportedError, match="keeps old versions apart"),
        ):
            table.vacuum(history="1")


# -- Glacier -------------------------------------------------------------------------------------------------


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3

    from remote.commits.servers import moto

    with moto(tmp_path) as started:
        monkeypatch.setenv("AWS_ENDPOINT_URL", started)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        yield boto3.client("s3")


def test_archived(s3: Any, audiomem: Command, tmp_path: Path) -> None:
    """What only old versions are read from goes to GLACIER; the newest is read, and written, all the same."""
    url = "s3://tables/kb.flac"
    before = filled(url)
    later = datetime.now(UTC) + timedelta(days=90)
    given = ["tier", url, "--older-than", "0s", "--to", "GLACIER"]
    assert "puts rows that ended before apart" in audiomem(*given).err
    assert audiomem("vacuum", url, "--history", "2").code == 0
    with am.open(url) as table:
        (entry,) = table.snapshot.manifest.history  # type: ignore[attr-defined]
    old = f"{url}.d/seg/{entry.name}"
    assert old not in {each.url for each in move_old(url, timedelta(days=91), "GLACIER", now=later)}
    moved = json.loads(audiomem(*given, "--json").out)
    assert old in {each["url"] for each in moved}
    assert not any(each["fault"] for each in moved)
    with am.open(url) as table:
        assert shown(table, 6) == {6: before[6], 7: before[7]}
        table.append([{"a": "more"}])
        transaction = table.begin()
        transaction.delete(300)
        table.commit()
        assert table.vacuum(history="1") == 1
        before |= shown(table, 8)
        with pytest.raises(ArchivedError, match=r"audiomem tier s3://tables/kb\.flac --restore"):
            table.pinned(5)
        with pytest.raises(ArchivedError):
            table.backup(tmp_path / "copy.flac")
        with pytest.warns(DamageWarning, match="is archived, and was not looked at"):
            assert list(problems(table)) == []
        assert not any(each.changed for each in table.repair())
    assert am.open(url, version=6).to_arrow().num_rows == len(before[6])
    with pytest.raises(StorageError, match="its restore was asked for: try again after"):
        am.open(url, version=5, restore=True)
    restored = json.loads(audiomem("tier", url, "--restore", "--json").out)
    assert old in {each["url"] for each in restored}
    with am.open(url) as table:
        assert shown(table) == before
