"""Each profile from its first row to a vacuum, and what a profile decides."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import audiomem_sql
from audiomem_sql.audio import PROFILES
from audiomem_sql.machine import hardware
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.limits import LIMITS, cache_room, limits_of
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

ROWS = 600


def opened(path: Path, definition: str = "") -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}'{definition})")
    return connection


@pytest.mark.parametrize("modulation", ["pcm", "spectrum"])
@pytest.mark.parametrize("profile", PROFILES)
def test_from_the_first_row_to_a_vacuum(tmp_path: Path, profile: str, modulation: str) -> None:
    path = tmp_path / "t.flac"
    connection = opened(
        path,
        f", id INTEGER PRIMARY KEY, body TEXT, x REAL, profile={profile}, modulation={modulation}, "
        "protection=standard",
    )
    expected = {n: (f"row {n}: {'naïve ' * (n % 9)}{n % 7}", n / 8) for n in range(ROWS)}
    with connection:
        connection.executemany(
            "INSERT INTO t VALUES (?, ?, ?)", ((n, body, x) for n, (body, x) in expected.items())
        )
    connection.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    connection.close()

    connection = opened(path)
    connection.execute("DELETE FROM t WHERE id % 3 = 0")
    connection.execute("UPDATE t SET body = 'changed' WHERE id = 4")
    expected = {n: row for n, row in expected.items() if n % 3} | {4: ("changed", 0.5)}
    everything = [(n, *row) for n, row in expected.items()]
    assert connection.execute("SELECT * FROM t ORDER BY id").fetchall() == everything
    assert connection.execute("SELECT x FROM t WHERE id = 100").get == 12.5
    wanted = sum("naïve 5" in body for body, _ in expected.values())
    assert connection.execute("SELECT count(*) FROM t WHERE body LIKE '%naïve 5%'").get == wanted
    connection.execute("INSERT INTO t(t) VALUES ('vacuum')")
    assert connection.execute("SELECT * FROM t ORDER BY id").fetchall() == everything
    connection.close()

    with Table(path) as table:
        assert not list(problems(table))
        assert (table.options.profile, table.options.modulation) == (profile, modulation)
        assert table.options.compression_level == LIMITS[profile].level
        assert [row["id"] for row in table.to_arrow().to_pylist()] == list(expected)


def test_the_level_is_the_profiles_unless_it_is_given() -> None:
    assert [TableOptions.parse({"profile": name}).compression_level for name in LIMITS] == [12, 9, 7, 6]
    given = TableOptions.parse({"profile": "embedded", "compression_level": 9})
    assert given.write_options().level == 9
    assert TableOptions.parse({"profile": "desktop"}).changed({"profile": "embedded"}).compression_level == 6
    assert given.changed({"profile": "mobile"}).compression_level == 9
    assert given.changed({"profile": "mobile", "compression_level": 3}).compression_level == 3


def test_tables_of_before_keep_their_level() -> None:
    for name in PROFILES:
        assert TableOptions.from_catalog({"profile": name, "compression_level": 9}).write_options().level == 9
        assert TableOptions.from_catalog({"profile": name}).compression_level == 9


def test_every_profile_has_limits() -> None:
    assert list(LIMITS) == list(PROFILES)
    assert limits_of("embedded") is LIMITS["embedded"]
    assert limits_of("of another version") is limits_of(None) is LIMITS["desktop"]


def test_the_cache_has_room_for_the_greatest_profile_that_was_opened(tmp_path: Path) -> None:
    cache, chosen = BlockCache(), BlockCache(1000)
    for name in reversed(LIMITS):
        Table.create(tmp_path / f"{name}.flac", ["a TEXT"], {"profile": name}, cache=cache).close()
        assert cache.capacity == cache_room(LIMITS[name])
        Table(tmp_path / f"{name}.flac", cache=chosen).close()
    Table(tmp_path / "embedded.flac", cache=cache).close()
    assert cache.capacity == cache_room(LIMITS["server"])
    cache.capacity = 7
    Table(tmp_path / "server.flac", cache=cache).close()
    assert (cache.capacity, chosen.capacity) == (7, 1000)


def test_the_cache_grows_with_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, expected in (
        (1 << 28, (256, 64, 16, 4)),
        (3 << 30, (384, 384, 16, 4)),
        (1 << 36, (1024, 1024, 16, 4)),
    ):
        monkeypatch.setattr(hardware, "total_memory", lambda memory=memory: memory)
        cache_room.cache_clear()
        assert tuple(cache_room(LIMITS[name]) >> 20 for name in LIMITS) == expected
    monkeypatch.undo()
    cache_room.cache_clear()
