"""Shards in several stores: read as one, compared, healed, and made anew in a place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import duckdb
import obstore
import pytest
from cli.conftest import Command, audiomem

import audiomem_sql as am
from audiomem_sql import warn_once
from audiomem_sql.errors import DamageWarning, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.remote import memory_store

__all__ = ["audiomem"]  # a fixture
pytestmark = pytest.mark.damages
COLUMNS = ["code TEXT PRIMARY KEY", "n INTEGER"]
_NUMBERS = count()
SUM = (200, sum(range(200)))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is kept of another test; readers look for newer states whenever they are asked."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    SHARED.clear()
    warn_once.warned.clear()
    yield
    SHARED.clear()


@pytest.fixture
def places() -> list[str]:
    """A table of two shards in one place, and two that are empty."""
    number = next(_NUMBERS)
    urls = [f"memory://{where}/t{number}.shards" for where in ("near", "far", "farther")]
    with am.create(urls[0], COLUMNS, shards=2, profile="embedded", protection="none") as table:
        table.append([{"code": f"a{n}", "n": n} for n in range(190)])
        table.vacuum()
        table.append([{"code": f"a{n}", "n": n} for n in range(190, 200)])
    SHARED.clear()
    return urls


def objects(url: str) -> dict[str, bytes]:
    """What is at a URL, by what stands behind its key."""
    key = url.removeprefix("memory://")
    found = [meta["path"] for page in obstore.list(memory_store(), key) for meta in page]
    return {each.removeprefix(key): bytes(obstore.get(memory_store(), each).bytes()) for each in found}


def put(url: str, inside: str, data: bytes | None) -> None:
    key = url.removeprefix("memory://") + inside
    if data is None:
        obstore.delete(memory_store(), key)
    else:
        obstore.put(memory_store(), key, data)
    SHARED.clear()


def copy_all(places: list[str]) -> None:
    for inside, data in objects(places[0]).items():
        for other in places[1:]:
            put(other, inside, data)


def segments(url: str) -> list[str]:
    """Those of the shards that the manifest names, the largest of each first."""
    with am.open(url) as table:
        shards = table.snapshot.head.shards
    return [f"/seg/{max(shard.segments, key=lambda each: each.size).name}" for shard in shards]


def spoiled(data: bytes, start: float, stop: float) -> bytes:
    out = bytearray(data)
    for place in range(int(start * len(data)), int(stop * len(data)), 97):
        out[place] ^= 0xFF
    return bytes(out)


def total(places: list[str]) -> tuple[int, int]:
    with am.open(places[0], replicas=places[1:]) as table:
        found = table.to_arrow(columns=["n"])["n"].to_pylist()
    return len(found), sum(found)


def named(places: list[str]) -> list[str]:
    return [part for other in places[1:] for part in ("--replica", other)]


def test_damage_in_each_place_is_read_past_and_healed(places: list[str], audiomem: Command) -> None:
    copy_all(places)
    whole = objects(places[0])
    one, other = segments(places[0])
    put(places[0], one, spoiled(whole[one], 0.1, 0.9))
    put(places[1], other, spoiled(whole[other], 0.1, 0.9))
    put(places[2], one, None)
    put(places[2], other, spoiled(whole[other], 0.5, 0.6))
    with pytest.warns(DamageWarning, match="left out of the replicas"):
        assert total(places) == SUM
    done = audiomem("verify", places[0], *named(places), "--all-replicas", "--json")
    assert [each["ok"] for each in json.loads(done.out)] == [False, False, False]
    done = audiomem("repair", places[0], *named(places))
    assert done.code == 0, done.out + done.err
    assert done.out.count("written anew") == 3
    assert audiomem("verify", places[0], *named(places), "--all-replicas").code == 0
    assert [objects(url) for url in places] == [whole] * 3
    assert total(places) == SUM


def test_a_place_gets_what_it_lacks(places: list[str]) -> None:
    """An empty place becomes a copy; one that is behind gets the objects, and then the manifest."""
    table = am.open(places[0], replicas=places[1:])
    with pytest.warns(DamageWarning, match="left out"):
        table.to_arrow()
    with table:
        assert [name for name, fault in table.replicas.items() if fault] == places[1:]
        assert [each.changed for each in table.heal()] == [False, True, True]
        assert len(table.to_arrow()) == 200
        assert not any(table.replicas.values())
    assert len(am.read_flac(places[2])) == 200
    with am.open(places[0]) as writer, am.open(places[0], replicas=places[1:]) as reader:
        writer.append([{"code": f"b{n}", "n": 0} for n in range(400)])
        writer.vacuum()
        reader.refresh()
        assert len(reader) == 600
        assert [each.changed for each in reader.heal()] == [False, True, True]
        assert len(am.read_flac(places[1])) == 600
        assert [each.changed for each in reader.heal()] == [False, False, False]


def test_a_first_place_that_is_away(places: list[str]) -> None:
    copy_all(places)
    with am.open(places[0]) as writer:
        writer.append([{"code": "new", "n": 0}])
    reader = am.open(places[0], replicas=places[1:])
    assert len(reader) == 201
    manifest = objects(places[0])["/manifest"]
    put(places[0], "/manifest", None)
    with pytest.warns(DamageWarning, match="goes on being shown"):
        reader.refresh()
    assert len(reader.to_arrow()) == 201
    with pytest.warns(DamageWarning, match="is shown as memory://far/.* has it"):
        late = am.open(places[0], replicas=places[1:])
    assert len(late.to_arrow()) == 200
    with pytest.raises(StorageError, match="restore a backup"):
        late.heal()
    put(places[0], "/manifest", manifest)
    assert len(am.open(places[0], replicas=places[1:])) == 201


def test_what_is_no_copy(places: list[str], tmp_path: Path) -> None:
    copy_all(places)
    with pytest.raises(UnsupportedError, match="only read"):
        am.Table(places[0], replicas=places[1:]).append([{"code": "x", "n": 1}])
    with am.create(tmp_path / "t.shards", COLUMNS, shards=2, profile="embedded") as folder:
        for first, others in (
            (tmp_path / "t.shards", places[1:]),
            (places[0], [str(tmp_path / "t.shards")]),
        ):
            with pytest.raises(UnsupportedError, match="in stores alone"):
                am.open(first, replicas=others)
        copied = [url.replace(".shards", "-copied.shards") for url in places[:2]]
        for url in copied:
            folder.backup(url)
    with pytest.raises(UnsupportedError, match="a copy of a folder of shards"):
        am.open(copied[0], replicas=copied[1:])
    with am.open(places[1]) as fork:
        fork.append([{"code": "fork", "n": 1}])
    with pytest.raises(StorageError, match="another history"):
        am.open(places[0], replicas=places[1:]).heal()
    with am.create(places[2].replace("t", "else"), COLUMNS, shards=2) as other:
        other.append([{"code": "x", "n": 1}])
    with pytest.raises(StorageError, match="another table"):
        am.open(places[0], replicas=[places[2].replace("t", "else")]).heal()


def test_every_door(places: list[str], audiomem: Command) -> None:
    copy_all(places)
    (lost, _) = segments(places[0])
    put(places[0], lost, None)
    name = places[0].rpartition("/")[2].removesuffix(".shards")
    with pytest.warns(DamageWarning, match="left out"):
        assert total(places) == SUM
    connection = am.connect(places[0], replicas=places[1:])
    assert connection.execute(f"SELECT count(*), sum(n) FROM {name}").fetchone() == SUM
    connection.close()
    duck = duckdb.connect()
    am.register_duckdb(duck)
    query = f"SELECT count(*), sum(n) FROM audiomem_scan('{places[0]}', replicas := '{','.join(places[1:])}')"
    assert duck.execute(query).fetchone() == SUM
    duck.close()
    assert "200" in audiomem("sql", places[0], f"SELECT count(*) FROM {name}", *named(places)).out
