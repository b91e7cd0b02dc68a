"""A table in a store is deleted with what is its own, and a kill leaves the table or what drop finishes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import obstore
import pytest
import sqlalchemy as sa
from cli.conftest import Command, audiomem
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.errors import (
    AudioMemError,
    BusyError,
    DamagedFileError,
    NotAudioMemoryError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.remote import NoObjectError, memory_store
from audiomem_sql.remote.commits import Committer, DroppedError, Lease, ObstoreStore, Refused
from audiomem_sql.table import stored_dropping
from remote.conftest import BUCKET
from remote.proxy import FaultyProxy

__all__ = ["audiomem"]  # a fixture
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT"]
_NUMBERS = count()


class Killed(BaseException):
    """Ends a call as a kill would."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")


@pytest.fixture
def url() -> str:
    return make(f"memory://dropped/t{next(_NUMBERS)}.flac")


def make(url: str) -> str:
    """A table of two segments, a retired one, and a record."""
    with am.create(url, COLUMNS) as table:
        table.append([{"id": n, "body": "first"} for n in range(10)])
        table.vacuum()
        table.append([{"body": "x" * 90_000}])
        table.checkpoint()
        table.append([{"body": "record"}])
    return url


def keys(url: str) -> set[str]:
    key = url.removeprefix("memory://")
    return {meta["path"] for page in obstore.list(memory_store(), key.rpartition("/")[0]) for meta in page
            if meta["path"].startswith(key)}  # fmt: skip


def put(url: str, inside: str, data: bytes = b"x") -> str:
    key = url.removeprefix("memory://") + inside
    obstore.put(memory_store(), key, data)
    return key


def test_all_of_it_goes(url: str) -> None:
    """But not what only stands beside it; a new table can be made there, and its writers meet no old ones."""
    foreign = {put(url, "/else"), put(url, ".d/notes.txt"), put(url, ".d/seg/mine.flac")}
    probe = put(url, f".d/probe-{'0' * 32}")
    before = keys(url)
    with am.open(url) as reader, am.open(url) as writer:
        gone = am.drop(url)
        assert {each.removeprefix("memory://") for each in gone} == before - foreign
        assert len(gone) == len(before) - len(foreign)
        assert probe not in keys(url) == foreign
        with pytest.raises(StorageError, match="is not there"):
            reader.refresh()
        with pytest.raises(StorageError, match="is not there"):
            writer.append([{"body": "late"}])
        with am.create(url, COLUMNS) as again:
            again.append([{"body": "new"}])
        with pytest.raises(StorageError, match="another table"):
            writer.append([{"body": "late"}])
    assert am.read_flac(url).body.tolist() == ["new"]
    am.drop(url)
    assert keys(url) == foreign
    with pytest.raises(NoObjectError, match="no such table"):
        am.drop("memory://dropped/nothing.flac")


def test_a_kill_at_each_request(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either the table is whole, or nobody can open it, nor make another there, until drop is through."""
    stored_dropping.check_keeps_conditions(url)
    left, done = 0, {"put_if_match", "delete"}
    for name in done:
        method = getattr(ObstoreStore, name)

        def counted(self: ObstoreStore, *arguments: Any, method: Callable[..., Any] = method) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return method(self, *arguments)

        monkeypatch.setattr(ObstoreStore, name, counted)
    monkeypatch.setattr("audiomem_sql.remote.commits.dropping._AT_ONCE", 1)
    for steps in range(20):
        place = make_again(url)
        left = steps
        try:
            am.drop(place)
        except Killed:
            left = 10**6
            if steps == 0:
                assert len(am.read_flac(place)) == 12
            else:
                with pytest.raises(StorageError, match=r"dropped|no such object"):
                    am.open(place)
                with pytest.raises(DroppedError, match="audiomem drop"):
                    am.create(place, COLUMNS)
            assert am.drop(place)[-1] == f"{place}.d/manifest"
            assert not keys(place)
        else:
            assert steps > 4
            return
        left = 10**6
    raise AssertionError("drop did not end")


def make_again(url: str) -> str:
    """A copy of the objects of ``url`` under another key."""
    place, key = f"memory://dropped/t{next(_NUMBERS)}.flac", url.removeprefix("memory://")
    for each in keys(url):
        put(place, each.removeprefix(key), bytes(obstore.get(memory_store(), each).bytes()))
    return place


def test_a_commit_that_is_faster(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes place before the drop, which is made again; one that is slower is refused."""
    replace = ObstoreStore.put_if_match
    with am.open(url) as writer:
        late: list[str] = []

        def meanwhile(self: ObstoreStore, key: str, data: bytes, mark: Any) -> Any:
            monkeypatch.setattr(ObstoreStore, "put_if_match", replace)
            if not late:
                late.append("tried")
                assert writer.append([{"body": "faster"}]) == writer.version
            return replace(self, key, data, mark)

        stored_dropping.check_keeps_conditions(url)
        monkeypatch.setattr(ObstoreStore, "put_if_match", meanwhile)
        am.drop(url)
        assert late
        assert not keys(url)
        assert writer.snapshot.rows == 13


def test_who_lost_the_race_is_told(url: str) -> None:
    """A writer whose manifest was replaced by the word that the table is dropped."""
    with am.open(url) as writer:
        committer = Committer(ObstoreStore(memory_store(), "memory://"), url.removeprefix("memory://"))
        stored_dropping.check_keeps_conditions(url)
        from audiomem_sql.remote.commits import mark_dropped

        mark_dropped(committer)
        mark_dropped(committer)  # again is no error
        with pytest.raises(DroppedError):
            writer.append([{"body": "late"}])
        with pytest.raises(DroppedError):
            writer.refresh()
    am.drop(url)


def test_what_is_not_dropped(url: str, tmp_path: Any) -> None:
    with am.open(url) as table:
        segment = table.snapshot.segments[0].path
    before = keys(url)
    with pytest.raises(UnsupportedError, match="is a segment"):
        am.drop(segment)
    with pytest.raises(UnsupportedError, match=r"http:// has no conditional writes"):
        am.drop("http://127.0.0.1:1/kb.flac")
    with pytest.raises(UnsupportedError, match="a stream is only read"):
        am.drop("memory://dropped/kb.m3u8")
    other = f"memory://dropped/t{next(_NUMBERS)}.flac"
    put(other, "", b"somebody's")
    with pytest.raises(NotAudioMemoryError):
        am.drop(other)
    assert keys(other)
    with pytest.raises(UnsupportedError, match="part of a sharded table"):
        am.drop("memory://dropped/t.shards/shard-0001-00000002.flac")
    committer = Committer(ObstoreStore(memory_store(), "memory://"), url.removeprefix("memory://"))
    committer.make(Lease(committer.new_id(), committer.writer))
    with pytest.raises(BusyError, match="alone may write"):
        am.drop(url)
    manifest = put(url, ".d/manifest", b"damaged" * 10)
    with pytest.raises(DamagedFileError, match="no manifest"):
        am.drop(url)
    obstore.delete(memory_store(), manifest)
    with pytest.raises(StorageError, match=r"\.d/manifest, is not there"):
        am.drop(url)
    assert keys(url) == before - {manifest}


def test_one_object(url: str, tmp_path: Any) -> None:
    """A file that was put there goes by itself; beside the manifest of a table it is not clear what goes."""
    am.write_flac([{"id": 1}], tmp_path / "one.flac").close()
    data = (tmp_path / "one.flac").read_bytes()
    alone = f"memory://dropped/t{next(_NUMBERS)}.flac"
    put(alone, "", data)
    assert am.drop(alone) == [alone]
    assert not keys(alone)
    put(url, "", data)
    with pytest.raises(StorageError, match="not clear which"):
        am.drop(url)
    obstore.delete(memory_store(), url.removeprefix("memory://"))
    assert f"{url}.d/manifest" in am.drop(url)  # the object of the key was lost, and the table was not


def test_a_creation_that_was_killed(url: str) -> None:
    marker = bytes(obstore.get(memory_store(), url.removeprefix("memory://")).bytes())
    place = f"memory://dropped/t{next(_NUMBERS)}.flac"
    put(place, "", marker)
    assert am.drop(place) == [place]


def test_the_command_and_a_damaged_table(url: str, audiomem: Command) -> None:
    done = audiomem("drop", url, "--yes")
    assert "12 rows, 4 versions" in done.out
    assert "deleted in 5 objects" in done.out
    make(url)
    with am.open(url) as table:
        (first, *_) = (segment.path for segment in table.snapshot.segments)
    obstore.delete(memory_store(), first.removeprefix("memory://"))
    with pytest.raises(AudioMemError):
        am.open(url)
    assert "cannot be read as a whole" in audiomem("drop", url, "--yes").out
    assert not keys(url)
    assert audiomem("drop", url, "--yes").code == 1


def test_a_store_that_refuses(proxy: FaultyProxy, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays is named, and nobody opens it; later it goes."""
    url = make(f"s3://{BUCKET}/dropped/refused.flac")
    delete = ObstoreStore.delete

    def refused(self: ObstoreStore, key: str) -> None:
        if ".d/seg/" in key:
            raise StorageError("access was refused (status 403)")
        delete(self, key)

    monkeypatch.setattr(ObstoreStore, "delete", refused)
    with pytest.raises(StorageError, match=r"refused\.flac\.d/seg/.* stays of it: access was refused"):
        am.drop(url)
    with pytest.raises(StorageError, match=r"dropped|no such object"):
        am.open(url)
    monkeypatch.setattr(ObstoreStore, "delete", delete)
    am.drop(url)
    assert not [each for page in obstore.list(store, "dropped") for each in page]


def test_the_drop_goes_on_after_a_refused_condition(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that was lost makes the condition false: the manifest says that it took place."""
    replace = ObstoreStore.put_if_match
    stored_dropping.check_keeps_conditions(url)

    def twice(self: ObstoreStore, key: str, data: bytes, mark: Any) -> Any:
        replace(self, key, data, mark)
        raise Refused("the condition of a write does not hold")

    monkeypatch.setattr(ObstoreStore, "put_if_match", twice)
    am.drop(url)
    assert not keys(url)


def test_drop_table_of_sqlalchemy(url: str, tmp_path: Any) -> None:
    """That of the dialect; as text it leaves the objects, as everywhere in SQL."""
    engine = sa.create_engine(f"audiomem:///{tmp_path}/main.db")
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE VIRTUAL TABLE kb USING audiomem('{url}')"))
        connection.execute(sa.text("DROP TABLE kb"))
        connection.execute(sa.text(f"CREATE VIRTUAL TABLE kb USING audiomem('{url}')"))
        connection.execute(sa.text(f"CREATE VIRTUAL TABLE again USING audiomem('{url}')"))
    metadata = sa.MetaData()
    metadata.reflect(engine, only=["kb", "again"])
    metadata.tables["kb"].drop(engine)
    assert len(am.read_flac(url)) == 12  # another table is in it
    metadata.tables["again"].drop(engine)
    assert not keys(url)
    engine.dispose()
