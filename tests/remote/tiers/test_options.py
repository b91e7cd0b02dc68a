"""The option ``cache``: what is a tier, and what is said of what is none; who shares one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bytes.memory_source import MemorySource

from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.remote.tiers import cache_rows, local_file_is_not_cached, parse_tiers, price_store
from audiomem_sql.remote.tiers.disk import DiskTier
from audiomem_sql.remote.tiers.memory import MemoryTier
from audiomem_sql.remote.tiers.prices import Prices
from audiomem_sql.remote.tiers.redis_tier import RedisTier
from audiomem_sql.remote.tiers.registry import Lease
from audiomem_sql.remote.tiers.server import ServerOptions
from audiomem_sql.remote.tiers.sizes import parse_size
from remote.tiers.places import behind, row_of


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("17B", 17),
        ("256MB", 256_000_000),
        ("256mb", 256_000_000),
        ("10GB", 10**10),
        ("10G", 10**10),
        ("512MiB", 2**29),
        ("1.5 KiB", 1536),
        (" 2TB ", 2 * 10**12),
        ("3Ti", 3 * 2**40),
        ("0.5kB", 500),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "MB", "-1MB", "1e9", "1,5GB", "0", "0.2B", "10GBB", "iB", "5I", "1PB", "٣MB", "nan", "1" * 40],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(OptionError, match=r"is no size\. Write one such as 256MB"):
        parse_size(text)


def test_tiers_are_parsed() -> None:
    written = (
        "memory:256MB, disk:/a,b:c:10GB,redis://host?timeout=1&keep=60,MEMCACHED://[::1]:5,rocksdb:r:1GiB"
    )
    keys = [key for key, _ in parse_tiers(written)]
    assert keys == [
        "memory:256000000",
        "disk:/a,b:c:10000000000",
        "redis://host/0?timeout=1&keep=60",
        "memcached://[::1]:5",
        f"rocksdb:{Path.cwd()}/r:{2**30}",
    ]
    memory, disk, redis, memcached, rocksdb = (make() for _, make in parse_tiers(written))
    assert isinstance(memory, MemoryTier)
    assert (memory.name, memory.capacity) == ("memory:256MB", 256_000_000)
    assert isinstance(disk, DiskTier)
    assert (disk.name, disk.folder, disk.capacity) == ("disk:/a,b:c:10GB", "/a,b:c", 10**10)
    assert isinstance(redis, RedisTier)
    assert redis.name == "redis://host:6379/0?timeout=1&keep=60"
    assert redis._options == ServerOptions(timeout=1.0, keep=60)
    assert memcached.name == "memcached://[::1]:5"
    assert rocksdb.name == f"rocksdb:{Path.cwd()}/r:1GiB"
    assert parse_tiers(["rediss://u:p@h:1/2?gigabyte=0.02&million_requests=3"])[0][1]().prices == Prices(
        3, 0.02
    )
    assert parse_tiers("disk:~/c:1GB")[0][0] == f"disk:{Path.home()}/c:1000000000"
    assert [parse_tiers(nothing) for nothing in ("", "  ", [], ())] == [[]] * 4


@pytest.mark.parametrize(
    ("tiers", "words"),
    [
        (
            "memori:1MB",
            "'memori:1MB' is no tier. Did you mean memory? Write one such as memory:256MB, disk:/var",
        ),
        ("memory", "'memory' is no tier"),
        ("256MB", "'256MB' is no tier"),
        ("/var/cache", "'/var/cache' is no tier"),
        (["memory:1MB", ""], "'' is no tier"),
        ("memory:lots", "'lots' is no size. Write memory:256MB"),
        ("memory:999KB", "999KB is less than a tier needs, which is 1MB. Write memory:256MB"),
        ("disk:/var/cache", "'disk:/var/cache' has no folder, or no size. Write disk:/var"),
        ("disk:10GB", "has no folder, or no size"),
        ("disk::10GB", "has no folder, or no size"),
        ("disk:/a\0b:10GB", "has no folder, or no size"),
        ("disk:/a:b", "'b' is no size. Write disk:/var/cache/audiomem:10GB"),
        ("rocksdb:/a", "Write rocksdb:/var"),
        ("redis://", "'redis://' is no address of a server. Write redis://host:6379/0"),
        ("redis:host", "is no address of a server"),
        ("redis://host:99999", "is no address of a server"),
        ("redis://host:x", "is no address of a server"),
        ("redis://host/first", "is no address of a server"),
        ("redis://[::1", "is no address of a server"),
        ("memcached://host/0", "is no address of a server"),
        ("memcached://u:secret@host", "memcached:// takes no user and no password"),
        (
            "redis://host?time=1",
            "'time' is no parameter of a server. Did you mean timeout? There are timeout",
        ),
        (
            "redis://host?timeout=0",
            "timeout='0' is no number from 0.001 to 60. Write redis://host:6379/0?timeout=",
        ),
        ("redis://host?timeout=soon", "is no number from 0.001 to 60"),
        ("redis://host?timeout=nan", "is no number from 0.001 to 60"),
        ("memcached://host?keep=9999999", "is no number from 1 to 2.592e"),
        ("memory:1MB,memory:1000KB", "memory:1000KB is there twice. Name each tier once"),
        (17, "17 is no list of tiers"),
        ([17], "is no list of tiers"),
        ({"memory": 1}, "is no list of tiers"),
    ],
)
def test_what_is_no_tier_is_refused(tiers: Any, words: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse_tiers(tiers)
    assert words in str(raised.value)
    assert raised.value.place == "option cache"
    assert raised.value.remedy
    assert "secret" not in str(raised.value)


def test_a_local_file_is_not_cached() -> None:
    error = local_file_is_not_cached("kb.flac")
    assert str(error) == (
        "kb.flac: option cache: is a local file, which is read without a cache. "
        "Leave cache out, or name a URL."
    )


def test_a_tier_is_there_once_in_a_process(tmp_path: Path) -> None:
    first = behind(MemorySource(b"some bytes"), "memory:3MB", f"disk:{tmp_path}/cache:1MB")
    second = first.reopen()
    other = behind(MemorySource(b"other bytes"), "memory:3000KB")
    first.read_at(0, 4)
    first.close()
    assert second.read_at(0, 4) == b"some"
    other.read_at(0, 4)
    row = row_of("memory:3MB")
    assert (row.hits, row.misses) == (1, 2)
    second.close()
    other.close()
    other.close()


def test_a_tier_is_open_as_long_as_somebody_uses_it(tmp_path: Path) -> None:
    tier = f"rocksdb:{tmp_path}/cache:2MB"
    first = behind(MemorySource(b"some bytes"), tier)
    second = first.reopen()
    first.close()
    first.close()
    assert row_of(tier).state == "ok"
    second.close()
    assert row_of(tier).state == "closed"
    third = behind(MemorySource(b"some bytes"), tier)
    assert row_of(tier).state == "ok"
    del third  # it closes itself
    assert row_of(tier).state == "closed"


def test_a_tier_that_cannot_be_opened_leaves_none_in_use(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    good = f"rocksdb:{tmp_path}/cache:2MB"
    with pytest.raises(StorageError):
        Lease(parse_tiers([good, f"disk:{tmp_path}/file/cache:1MB"]))
    assert row_of(good).state == "closed"
    assert not [row for row in cache_rows() if "file/cache" in row.tier]


def test_what_the_store_costs() -> None:
    source = behind(MemorySource(bytes(5_000_000)), "memory:4MB")
    before = row_of("store")
    source.read([(0, 1_000_000), (2_000_000, 1_000_000)])
    after = row_of("store")
    source.close()
    assert after.requests == before.requests + 2
    moved = after.bytes_out - before.bytes_out
    assert 2_000_000 <= moved < 2_005_000
    assert after.cost - before.cost == pytest.approx(2 * 0.40e-6 + moved * 0.09e-9)
    price_store(million_requests=5.0, gigabyte=0.0)
    assert row_of("store").cost == pytest.approx(after.requests * 5e-6)
    price_store(0.40, 0.09)
    assert row_of("memory:4MB").cost == 0
