"""A table with a manifest in several places: read as one, compared, healed, and made anew in a place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import obstore
import pytest
from cli.conftest import Command, audiomem
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql import warn_once
from audiomem_sql.errors import AudioMemError, DamageWarning, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.remote import memory_store
from remote.conftest import BUCKET

__all__ = ["audiomem"]  # a fixture
pytestmark = pytest.mark.damages
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED", "n INTEGER"]
_NUMBERS = count()


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Nothing is kept of another test."""
    SHARED.clear()
    warn_once.warned.clear()
    yield
    SHARED.clear()


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": n, "body": f"wave {n} " * 40, "n": n % 7} for n in range(first, last)]


class Places:
    """A table in S3, and the same in memory and under another key."""

    def __init__(self, store: S3Store) -> None:
        self.s3, number = store, next(_NUMBERS)
        self.key = f"replicated/t{number}.flac"
        self.first = f"s3://{BUCKET}/{self.key}"
        self.others = [f"memory://{self.key}", f"s3://{BUCKET}/other/t{number}.flac"]

    def keys(self, url: str) -> dict[str, bytes]:
        """The objects at a URL of this table, by what stands behind its key."""
        store, key = self._of(url)
        found = [key, *(meta["path"] for page in obstore.list(store, f"{key}.d") for meta in page)]
        return {name.removeprefix(key): bytes(obstore.get(store, name).bytes()) for name in found}

    def put(self, url: str, inside: str, data: bytes | None) -> None:
        store, key = self._of(url)
        if data is None:
            obstore.delete(store, key + inside)
        else:
            obstore.put(store, key + inside, data)

    def copy_all(self) -> None:
        """What a store's own replication does."""
        for inside, data in self.keys(self.first).items():
            for other in self.others:
                self.put(other, inside, data)

    def _of(self, url: str) -> tuple[Any, str]:
        if url.startswith("memory://"):
            return memory_store(), url.removeprefix("memory://")
        return self.s3, url.removeprefix(f"s3://{BUCKET}/")


@pytest.fixture
def places(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A table whose readers look for newer states whenever they are asked."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    made = Places(store)
    with am.create(made.first, COLUMNS, protection="none") as table:
        table.append(rows(0, 900))
        table.vacuum()
        table.append(rows(900, 1000))
    SHARED.clear()
    return made


def segments(places: Places, url: str) -> list[str]:
    """Those that the manifest names, the largest first."""
    with am.open(url) as table:
        named = {segment.path.rpartition("/")[2] for segment in table.snapshot.segments}
    found = {inside: len(data) for inside, data in places.keys(url).items()}
    return sorted((each for each in found if each.rpartition("/")[2] in named), key=lambda each: -found[each])


def spoiled(data: bytes, start: float, stop: float) -> bytes:
    out = bytearray(data)
    for place in range(int(start * len(data)), int(stop * len(data)), 97):
        out[place] ^= 0xFF
    return bytes(out)


def total(url: str, others: list[str]) -> tuple[int, int]:
    with am.open(url, replicas=others) as table:
        found = table.to_arrow(columns=["id", "n", "body"])
    return found.num_rows, sum(found["n"].to_pylist())


SUM = (1000, sum(n % 7 for n in range(1000)))


def test_damage_in_each_place_is_read_past_and_healed(places: Places, audiomem: Command) -> None:
    places.copy_all()
    (big, *_) = segments(places, places.first)
    whole = places.keys(places.first)
    for number, url in enumerate((places.first, *places.others)):
        places.put(url, big, spoiled(whole[big], 0.2 + number / 5, 0.4 + number / 5))
    with pytest.raises(AudioMemError):
        am.read_flac(places.first)
    assert total(places.first, places.others) == SUM
    named = [part for other in places.others for part in ("--replica", other)]
    done = audiomem("verify", places.first, *named, "--all-replicas", "--json")
    assert done.code == 1
    assert [each["ok"] for each in json.loads(done.out)] == [False, False, False]
    done = audiomem("repair", places.first, *named)
    assert done.code == 0, done.out + done.err
    assert done.out.count("written anew") == 3
    done = audiomem("verify", places.first, *named, "--all-replicas")
    assert done.code == 0, done.out
    for url in (places.first, *places.others):
        assert places.keys(url) == whole
        assert len(am.read_flac(url)) == 1000


def test_a_place_gets_what_it_lacks(places: Places) -> None:
    """An empty place becomes a copy; one that is behind gets the objects first, and then the manifest."""
    with pytest.warns(DamageWarning, match="left out"):
        table = am.open(places.first, replicas=places.others)
    with table:
        healed = table.heal()
        assert [each.changed for each in healed] == [False, True, True]
        assert not any(each.fault for each in healed)
        assert len(table) == 1000
    whole = places.keys(places.first)
    for url in places.others:  # without what a vacuum retired
        found = places.keys(url)
        assert len(found) == 3
        assert all(whole[inside] == data for inside, data in found.items())
    with am.open(places.first) as writer, am.open(places.first, replicas=places.others) as reader:
        writer.append(rows(1000, 1900))
        writer.vacuum()
        reader.refresh()
        assert len(reader) == 1900
        assert [each.changed for each in reader.heal()] == [False, True, True]
        assert len(am.open(places.others[0])) == 1900
        assert [each.changed for each in reader.heal()] == [False, False, False]
        assert len(reader) == 1900


def test_a_first_place_that_is_away(places: Places) -> None:
    """What another place has is shown, and that it may be old is told; an open table does not go back."""
    places.copy_all()
    first = places.keys(places.first)
    with am.open(places.first) as writer:
        writer.append(rows(1000, 1010))
    reader = am.open(places.first, replicas=places.others)
    assert len(reader) == 1010
    manifest = places.keys(places.first)[".d/manifest"]
    places.put(places.first, ".d/manifest", None)
    with pytest.warns(DamageWarning, match="goes on being shown"):
        reader.refresh()
    assert len(reader) == 1010
    with pytest.warns(DamageWarning, match="is shown as memory://.* has it"):
        late = am.open(places.first, replicas=places.others)
    assert len(late) == 1000
    assert late.to_arrow().num_rows == 1000
    with pytest.raises(StorageError, match="restore a backup"):
        late.heal()
    places.put(places.first, ".d/manifest", manifest)
    assert len(am.open(places.first, replicas=places.others)) == 1010
    assert first != places.keys(places.first)


def test_what_is_no_copy(places: Places, tmp_path: Any) -> None:
    places.copy_all()
    am.write_flac([{"id": 1}], tmp_path / "one.flac").close()
    with pytest.raises(UnsupportedError, match="is one file"):
        am.open(places.first, replicas=[str(tmp_path / "one.flac")])
    with am.create("memory://replicated/else.flac", COLUMNS) as other:
        other.append(rows(0, 3))
    with pytest.warns(DamageWarning, match="left out"):
        reader = am.open(places.first, replicas=["memory://replicated/else.flac"])
    with pytest.raises(StorageError, match="another table"):
        reader.heal()
    with am.open(places.others[0]) as fork:
        fork.append(rows(2000, 2001))
    with pytest.raises(StorageError, match="another history"):
        am.open(places.first, replicas=places.others).heal()
    with pytest.raises(UnsupportedError, match="only read"):
        am.Table(places.first, replicas=places.others).append(rows(3000, 3001))


def test_every_door(places: Places, audiomem: Command) -> None:
    places.copy_all()
    (big, *_) = segments(places, places.first)
    places.put(places.first, big, None)
    name = places.key.rpartition("/")[2].removesuffix(".flac")
    with pytest.warns(DamageWarning, match="left out"):
        am.open(places.first, replicas=places.others).close()
    connection = am.connect(places.first, replicas=places.others)
    assert connection.execute(f"SELECT count(*), sum(n) FROM {name}").fetchone() == SUM
    assert len(am.read_flac(places.first, replicas=places.others, where="n = 3")) == SUM[0] // 7 + 1
    named = [part for other in places.others for part in ("--replica", other)]
    assert "1000" in audiomem("sql", places.first, f"SELECT count(*) FROM {name}", *named).out
