"""Objects of a table in a store made what they were by their own parity, and what is left of others saved."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import obstore
import pytest
from cli.conftest import Command, audiomem
from damage.catalogs import without_catalog

import audiomem_sql as am
from audiomem_sql import warn_once
from audiomem_sql.errors import (
    AudioMemError,
    DamagedFileError,
    DamageWarning,
    QueryError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.remote import memory_store
from audiomem_sql.table.stored_dropping import remove_new_stored
from audiomem_sql.upkeep.repair_stored import repair_stored
from audiomem_sql.versions import StoredSnapshot, as_numbered

__all__ = ["audiomem"]  # a fixture
pytestmark = pytest.mark.damages
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT", "n INTEGER"]
_NUMBERS = count()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is kept of another test; readers look for newer states whenever they are asked."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    SHARED.clear()
    warn_once.warned.clear()
    yield
    SHARED.clear()


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": n, "body": f"wave {n} {n * n} " * 4, "n": n % 7} for n in range(first, last)]


def make(suffix: str = ".flac", **options: Any) -> str:
    """A table of three segments of 300 rows, and a record with 3 more."""
    url = f"memory://mended/t{next(_NUMBERS)}{suffix}"
    with am.create(url, COLUMNS, **{"profile": "embedded", "protection": "standard"} | options) as table:
        table.append(rows(0, 300))
        table.vacuum()
        for first in (300, 600):
            table.append(rows(first, first + 300))
            table.checkpoint()
        table.append(rows(900, 903))
    SHARED.clear()
    return url


def get(url: str) -> bytes:
    return bytes(obstore.get(memory_store(), url.removeprefix("memory://")).bytes())


def put(url: str, data: bytes | None) -> None:
    key = url.removeprefix("memory://")
    if data is None:
        obstore.delete(memory_store(), key)
    else:
        obstore.put(memory_store(), key, data)
    SHARED.clear()


def segments(url: str) -> list[str]:
    with am.open(url) as table:
        snapshot = table.snapshot
        assert isinstance(snapshot, StoredSnapshot)
        return [segment.path for segment in snapshot.segments]


def spoiled(data: bytes, start: float, stop: float) -> bytes:
    """Every 97th byte of a part is another one."""
    out = bytearray(data)
    for place in range(int(start * len(data)), int(stop * len(data)), 97):
        out[place] ^= 0xFF
    return bytes(out)


def hole(data: bytes, start: float, stop: float) -> bytes:
    low, high = int(start * len(data)), int(stop * len(data))
    return data[:low] + bytes(high - low) + data[high:]


def test_objects_are_what_they_were(audiomem: Command) -> None:
    """Each that is damaged, the others stay; a table that is open reads on, and writes."""
    url = make()
    own, (first, middle, _) = url, segments(url)
    whole = {each: get(each) for each in (own, first, middle)}
    put(first, spoiled(whole[first], 0.3, 0.34))
    put(own, spoiled(whole[own], 0.5, 0.55))
    with am.open(url) as table:
        done = table.repair()
        assert {each.file for each in done if each.changed} == {own, first}
        assert {each.file for each in done} == {own, *segments(url)}
        assert len(table.to_arrow()) == 903
        assert table.append(rows(903, 904)) == table.version
    assert get(first) == whole[first]
    assert get(own) == whole[own]
    put(middle, spoiled(whole[middle], 0.6, 0.64))
    done = json.loads(audiomem("repair", url, "--json").out)
    (changed,) = (each for each in done if each["changed"])
    assert changed["file"] == middle
    assert changed["inner"] + changed["outer"]
    assert get(middle) == whole[middle]
    assert "was whole" in audiomem("repair", url).out
    assert audiomem("repair", url, "-o", "new.flac").code == 2
    assert audiomem("verify", url).code == 0


def test_what_cannot_be_repaired_keeps_nobody_from_the_others() -> None:
    url = make()
    first, middle, last = segments(url)
    whole = {each: get(each) for each in (first, middle, last)}
    put(first, hole(whole[first], 0.3, 0.8))
    put(middle, None)
    put(last, spoiled(whole[last], 0.3, 0.34))
    broken = get(first)
    with pytest.raises(DamagedFileError, match=r"2 of 4 objects cannot be repaired") as raised:
        repair_stored(url)
    assert raised.value.file == first
    assert get(first) == broken
    assert get(last) == whole[last]
    bare = make(protection="none")
    (first, *_) = segments(bare)
    put(first, spoiled(get(first), 0.4, 0.5))
    with pytest.raises(UnsupportedError, match="has protection none") as without:
        am.open(bare).repair()
    assert without.value.file == first


def test_one_object_and_shards(tmp_path: Path) -> None:
    path = tmp_path / "one.flac"
    with am.create(path, COLUMNS, profile="embedded", protection="standard") as made:
        made.append(rows(0, 300))
        made.vacuum()
    whole = path.read_bytes()
    url = f"memory://mended/t{next(_NUMBERS)}.flac"
    put(url, spoiled(whole, 0.4, 0.44))
    with am.open(url) as table:
        (done,) = table.repair()
        assert done.changed
        assert len(table.to_arrow()) == 300
    assert get(url) == whole
    shards = make(".shards", shards=2)
    with am.open(shards) as table:
        objects = [entry.name for shard in table.snapshot.head.shards for entry in shard.segments]
    (name, *_) = objects
    whole = get(f"{shards}/seg/{name}")
    put(f"{shards}/seg/{name}", spoiled(whole, 0.4, 0.44))
    with am.open(shards) as table:
        assert sum(each.changed for each in table.repair()) == 1
        assert len(table.to_arrow()) == 903
    assert get(f"{shards}/seg/{name}") == whole


def numbers(table: Any) -> list[int]:
    return sorted(table.to_arrow(columns=["id"])["id"].to_pylist())


def test_salvage_of_what_is_left(tmp_path: Path, audiomem: Command) -> None:
    """A segment that is missing, one with a hole, and the records: into a file, and into a store."""
    url = make(protection="none")
    with am.open(url) as table:
        transaction = table.begin()
        assert transaction.delete(5)
        assert transaction.delete(305)
        row = [605, "changed", 1]
        assert transaction.update(605, 605, row) == 605
        table.commit()
    _, middle, last = segments(url)
    put(middle, None)
    put(last, hole(get(last), 0.5, 0.6))
    with pytest.raises(StorageError):
        am.open(url)
    with pytest.warns(DamageWarning, match=r"version 3 of 6 is missing.*not read: .*no such object"):
        broken = am.open(url, salvage=True, on_damage="skip")
    with broken:
        with pytest.warns(DamageWarning, match="rows 600 to 899 are left out"):
            kept = sorted(broken.to_arrow()["id"].to_pylist())
        assert kept == [*(n for n in range(300) if n != 5), 605, 900, 901, 902]
        assert len(numbers(broken)) == 299 + 300 + 3  # the hole is in the texts
        with pytest.raises(QueryError, match="version 3 is missing"):
            broken.checkout(3)
        assert len(broken.checkout(2)) == 300
        with pytest.raises(StorageError, match="only read"):
            am.Table(url, salvage=True).append(rows(1000, 1001))
    warn_once.warned.clear()
    for where in (str(tmp_path / "saved.flac"), f"memory://mended/t{next(_NUMBERS)}.flac"):
        done = audiomem("salvage", url, "-o", where)
        assert done.code == 0, done.err
        assert f"{len(kept):,} of " in done.out
        with am.open(where) as saved:
            assert numbers(saved) == kept
            assert saved.to_arrow(where="id = 605")["body"].to_pylist() == ["changed"]


@pytest.mark.parametrize("which", [0, 1], ids=["joined", "numbered"])
def test_salvage_without_a_catalog(which: int, tmp_path: Path) -> None:
    """Rows are read by the labels of blocks, with the rowids that the manifest says."""
    url = make()
    victim = segments(url)[which]
    (tmp_path / "segment.flac").write_bytes(get(victim))
    rng = random.Random(1)
    put(victim, without_catalog(tmp_path / "segment.flac", rng, "zeroed", numbering=as_numbered))
    with pytest.raises(DamagedFileError):
        am.open(url)
    with pytest.warns(DamageWarning, match="read by the labels of their blocks"):
        broken = am.open(url, salvage=True)
    with broken, am.Table.salvaged(broken, tmp_path / "saved.flac") as saved:
        assert numbers(saved) == list(range(903))


def test_a_newest_version_that_is_lost(tmp_path: Path) -> None:
    url = make()
    with am.open(url) as table:
        table.append(rows(1000, 1300))
        table.checkpoint()
    last = segments(url)[-1]
    put(last, get(last)[: len(get(last)) // 3])
    with pytest.warns(DamageWarning, match="versions 5 to 6 of 6 are missing"):
        broken = am.open(url, salvage=True, on_damage="skip")
    with broken:
        assert numbers(broken) == list(range(900))


def test_what_salvage_cannot_read(tmp_path: Path) -> None:
    """Without the manifest, without a segment, and what is no table; nothing is left of a new table."""
    url = make()
    every = segments(url)
    for each in every:
        put(each, None)
    with pytest.raises(StorageError, match="no such object"):
        am.open(url, salvage=True)
    put(f"{url}.d/manifest", b"damaged" * 9)
    with pytest.raises(DamagedFileError, match="Bring the object"):
        am.open(url, salvage=True)
    with pytest.raises(StorageError, match="no such object"):
        am.open("memory://mended/nothing.flac", salvage=True)
    bare = make(protection="none")
    with am.open(bare) as table:
        table.vacuum()
    (only,) = segments(bare)
    put(only, spoiled(get(only), 0.1, 1.0))
    target = f"memory://mended/t{next(_NUMBERS)}.flac"
    with pytest.raises(AudioMemError):
        am.Table.salvaged(am.open(bare, salvage=True, on_damage="skip"), target)
    with pytest.raises(StorageError, match="no such object"):
        am.open(target)


def test_one_object_without_a_catalog(tmp_path: Path) -> None:
    path = tmp_path / "one.flac"
    with am.create(path, COLUMNS, profile="embedded") as made:
        made.append(rows(0, 300))
        made.vacuum()
    url = f"memory://mended/t{next(_NUMBERS)}.flac"
    put(url, without_catalog(path, random.Random(2), "zeroed"))
    with pytest.warns(DamageWarning, match="labels"), am.open(url, salvage=True) as broken:
        assert numbers(broken) == list(range(300))


def test_a_new_table_that_somebody_wrote_to_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed removes the empty table that it made, and no rows of others."""
    target = f"memory://mended/t{next(_NUMBERS)}.flac"
    with pytest.raises(AudioMemError):
        am.write_flac([{"id": 1}, {"id": "x"}], target, columns=["id INTEGER PRIMARY KEY"])
    am.create(target, COLUMNS).close()
    with am.open(target) as table:
        remove_new_stored(target)
        with pytest.raises(StorageError):
            table.append(rows(0, 1))
    with am.create(target, COLUMNS) as table:
        table.append(rows(0, 1))
        remove_new_stored(target)
        assert len(am.open(target)) == 1


def test_a_row_that_was_made_again_is_there_once() -> None:
    """Its deletion is in the segment that is missing."""
    url = f"memory://mended/t{next(_NUMBERS)}.flac"
    with am.create(url, COLUMNS, profile="embedded", protection="none") as table:
        for change in ("rows", "delete", "again"):
            if change == "delete":
                table.begin().delete(7)
                table.commit()
            else:
                table.append(rows(7, 8) if change == "again" else rows(0, 50))
            table.checkpoint()
        table.append(rows(60, 61))
    SHARED.clear()
    put(segments(url)[-2], None)
    with pytest.warns(DamageWarning, match="version 3 of 5 is missing"):
        broken = am.open(url, salvage=True)
    with broken:
        assert numbers(broken) == [*range(50), 60]


def test_rows_that_the_manifest_numbered_have_its_numbers(tmp_path: Path) -> None:
    """Also in a segment without a catalog, which counts them from 0 on."""
    url = f"memory://mended/t{next(_NUMBERS)}.flac"
    rng = random.Random(3)
    with am.create(url, COLUMNS, profile="embedded") as table:
        table.append([{"n": n} for n in range(5)])
        table.append([{"body": rng.randbytes(300).hex(), "n": n} for n in range(300)])
        last = table.snapshot.segments[-1].path
    (tmp_path / "segment.flac").write_bytes(get(last))
    put(last, without_catalog(tmp_path / "segment.flac", rng, "zeroed", numbering=as_numbered))
    with pytest.warns(DamageWarning, match="labels"):
        broken = am.open(url, salvage=True)
    with broken:
        assert numbers(broken) == list(range(1, 306))
