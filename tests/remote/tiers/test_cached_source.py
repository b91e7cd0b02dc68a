"""A source behind tiers: the same bytes, and only those are asked for that no tier has."""

from __future__ import annotations

import http.client
import http.server
import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from bytes.contract import DATA, ByteSourceContract
from bytes.memory_source import MemorySource
from hypothesis import given, settings
from hypothesis import strategies as st

import audiomem_sql as am
from audiomem_sql.audio import PROFILES, open_pages
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import OptionError, StorageError, UnsupportedError
from audiomem_sql.remote.tiers import CachedSource, cached
from audiomem_sql.remote.tiers.block import (
    BLOCK_BYTES,
    SECTOR_BYTES,
    Block,
    bytes_in,
    runs_of,
    sectors_between,
)
from audiomem_sql.remote.tiers.cache import Cache
from audiomem_sql.remote.tiers.cached_source import GAP_BYTES
from audiomem_sql.remote.tiers.registry import Lease
from remote.tiers.places import ALL, CountingSource, behind, made, row_of, some_blocks

SIZE = 3 * BLOCK_BYTES + 5000
BYTES = random.Random(1).randbytes(SIZE)


class TestOneTier(ByteSourceContract):
    """A file behind the memory of the process, or no more than a byte behind a disk."""

    tiers: tuple[str, ...] = ("memory:8MB",)

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self, data: bytes) -> CachedSource:
        (self.folder / "bytes").write_bytes(data)
        return behind(CountingSource(self.folder / "bytes"), *(self.written(tier) for tier in self.tiers))

    def replace(self, source: ByteSource, data: bytes) -> CachedSource:
        (self.folder / "new").write_bytes(data)
        os.replace(self.folder / "new", source.name)
        return behind(CountingSource(Path(source.name)), *(self.written(tier) for tier in self.tiers))

    def written(self, tier: str) -> str:
        return tier.format(folder=self.folder)


class TestTwoTiers(TestOneTier):
    tiers = ("memory:1MB", "disk:{folder}/cache:2MB")

    def test_one_answer_a_range(self) -> None:
        """It is that of the class above, whose thousand files take long."""
        source = self.make(DATA)
        assert source.read([(5, 9), (70_000, 9_000)]) == [DATA[5:14], DATA[70_000:]]
        source.close()


class Forgetful:
    """A tier that gives a block as often as not, and parts of it at that."""

    name = "forgetful"

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._tier = made("memory:64MB")
        self.counters, self.prices = self._tier.counters, self._tier.prices

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Block]:
        kept = self._tier.get_many(keys)
        return {key: block for key, block in kept.items() if self._random.random() < 0.5}

    def put_many(self, blocks: Mapping[bytes, Block]) -> int:
        return self._tier.put_many(blocks)


RANGES = st.lists(st.tuples(st.integers(0, SIZE + 9), st.integers(0, 2 * BLOCK_BYTES)), max_size=5)


@settings(max_examples=60)
@given(st.lists(RANGES, max_size=5), st.integers())
def test_the_bytes_are_those_of_the_source_whatever_the_tiers_lose(
    reads: list[list[tuple[int, int]]], seed: int
) -> None:
    below = MemorySource(BYTES)
    source = CachedSource(below, Lease([]))
    source._cache = Cache([Forgetful(seed), Forgetful(seed + 1)])  # type: ignore[list-item]
    for ranges in reads:
        before = len(below.requests)
        assert source.read(ranges) == [BYTES[start : start + length] for start, length in ranges]
        assert len(below.requests) <= before + 1
    source.close()


@pytest.fixture
def counting(tmp_path: Path) -> CountingSource:
    (tmp_path / "bytes").write_bytes(BYTES)
    return CountingSource(tmp_path / "bytes")


def test_only_what_is_missing_is_read_and_at_once(counting: CountingSource) -> None:
    source = behind(counting, "memory:9MB")
    source.read([(0, 10), (BLOCK_BYTES * 2, 10)])
    assert counting.reads == [[(0, SECTOR_BYTES), (BLOCK_BYTES * 2, SECTOR_BYTES)]]
    source.read([(5, 700), (BLOCK_BYTES * 2 + 1000, 24)])
    assert len(counting.reads) == 1
    source.read([(1000, 2000)])
    assert counting.reads[1:] == [[(SECTOR_BYTES, 2 * SECTOR_BYTES)]]
    # What lies between two ranges is fetched with them, and kept.
    start = BLOCK_BYTES - 2 * SECTOR_BYTES
    source.read([(start + 7, 1), (start + 10 * SECTOR_BYTES, 1)])
    assert counting.reads[2:] == [[(start, 11 * SECTOR_BYTES)]]
    assert source.read([(start, 11 * SECTOR_BYTES)]) == [BYTES[start : start + 11 * SECTOR_BYTES]]
    assert len(counting.reads) == 3
    assert source.read_at(SIZE - 3, 90) == BYTES[-3:]
    assert counting.reads[3:] == [[(SIZE - SIZE % SECTOR_BYTES, SIZE % SECTOR_BYTES)]]
    assert source.read([(0, SIZE)]) == [BYTES]
    assert counting.bytes_read <= SIZE + GAP_BYTES
    source.close()


def test_gaps_that_are_wide_are_not_read(counting: CountingSource) -> None:
    source = behind(counting, "memory:9MB")
    source.read([(0, 1), (18 * SECTOR_BYTES, 1)])
    assert len(counting.reads[0]) == 2
    source.close()


def test_what_is_found_below_goes_up(counting: CountingSource, tmp_path: Path) -> None:
    disk = f"disk:{tmp_path}/cache:9MB"
    first = behind(counting, disk)
    first.read([(0, 40_000)])
    second = behind(counting.reopen(), "memory:7MB", disk)
    assert second.read([(0, 40_000)]) == [BYTES[:40_000]]
    third = behind(counting.reopen(), "memory:7MB")
    assert third.read([(0, 40_000)]) == [BYTES[:40_000]]
    assert len(counting.reads) == 1
    row = row_of("memory:7MB")
    assert (row.hits, row.misses, row.bytes_in, row.bytes_out) == (1, 1, 40_960, 40_960)
    for each in (first, second, third):
        each.close()


def test_tiers_that_have_parts_give_the_whole(counting: CountingSource, tmp_path: Path) -> None:
    disk = f"disk:{tmp_path}/cache:9MB"
    on_disk, in_memory = behind(counting, disk), behind(counting.reopen(), "memory:6MB")
    on_disk.read([(0, 1), (100 * SECTOR_BYTES, 1)])
    in_memory.read([(50 * SECTOR_BYTES, SECTOR_BYTES)])
    both = behind(counting.reopen(), "memory:6MB", disk)
    ranges = [(0, 9), (50 * SECTOR_BYTES, 9), (100 * SECTOR_BYTES, 9)]
    assert both.read(ranges) == [BYTES[start : start + 9] for start, _ in ranges]
    assert len(counting.reads) == 2
    assert in_memory.read(ranges) == [BYTES[start : start + 9] for start, _ in ranges]
    assert len(counting.reads) == 2
    for each in (on_disk, in_memory, both):
        each.close()


def test_a_changed_object_is_another(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(BYTES)
    before = behind(CountingSource(path), "memory:8MB")
    before.read([(0, 10)])
    path.unlink()
    path.write_bytes(BYTES[::-1])
    after = behind(CountingSource(path), "memory:8MB")
    assert after.read([(0, 10)]) == [BYTES[::-1][:10]]
    assert before.read([(0, 10)]) == [BYTES[:10]]
    before.close()
    after.close()


def test_stores_with_equal_names_are_told_apart() -> None:
    first, second = MemorySource(b"first", "bucket/key"), MemorySource(b"other", "bucket/key")
    first.identity = second.identity = "etag"
    one = cached(first, "memory:8MB", store="https://one")
    two = cached(second, "memory:8MB", store="https://two")
    assert (one.read_at(0, 5), two.read_at(0, 5)) == (b"first", b"other")
    one.close()
    two.close()


def test_without_an_identity_nothing_is_taken_for_the_same() -> None:
    first, second = MemorySource(b"first", "key"), MemorySource(b"other", "key")
    first.identity = second.identity = None
    one, two = cached(first, "memory:8MB"), cached(second, "memory:8MB")
    again = one.reopen()
    assert (one.read_at(0, 5), two.read_at(0, 5)) == (b"first", b"other")
    assert again.read_at(0, 5) == b"first"
    assert len(first.requests) == 1
    for each in (one, two, again):
        each.close()


def test_an_identity_that_no_other_process_knows_is_refused() -> None:
    source = MemorySource(b"bytes")
    source.identity = (1, ("a", object()))
    with pytest.raises(UnsupportedError, match="a object as identity cannot name"):
        cached(source, "memory:8MB")
    with pytest.raises(StorageError, match="closed"):
        source.read_at(0, 1)


def test_no_tiers_are_no_cache() -> None:
    source = MemorySource(b"bytes")
    assert cached(source, []) is source
    assert cached(source, "") is source
    with pytest.raises(OptionError):
        cached(source, "floppy:1MB")
    with pytest.raises(StorageError, match="closed"):
        source.read_at(0, 1)


def test_a_source_that_ends_early_is_not_cached(counting: CountingSource, tmp_path: Path) -> None:
    """Its own answer is given, and never a later one that would be short of what is there."""
    source = behind(counting, "memory:5MB")
    (tmp_path / "bytes").write_bytes(BYTES[:2000])
    assert source.read([(1500, 3000)]) == [BYTES[1500:2000]]
    (tmp_path / "bytes").write_bytes(BYTES)
    assert source.read([(1500, 3000)]) == [BYTES[1500:4500]]
    source.close()


class Short(MemorySource):
    """Gives less than there is of the first range of each read."""

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        answers = super().read(ranges)
        return [answers[0][:-500], *answers[1:]]


def test_what_stands_behind_a_short_answer_is_not_moved() -> None:
    below = Short(BYTES)
    source = behind(below, "memory:5MB")
    for _ in range(2):
        answers = source.read([(0, 1024), (2048, 1024)])
        assert answers == [BYTES[: 1024 - 500], BYTES[2048 : 2048 + 1024]]
    source.close()
    with pytest.raises(StorageError, match="closed"):
        below.read([(0, 1)])


def test_what_is_read_afresh_corrects_the_tiers(counting: CountingSource, tmp_path: Path) -> None:
    """A copy that was wrong when it was made: its CRC-32C is right, that of a cell is not."""
    source = behind(counting, "memory:5MB", f"disk:{tmp_path}/cache:5MB")
    wrong = Block(1, bytes(SECTOR_BYTES))
    source._cache.put({source._key(0): wrong})
    assert source.read([(0, 4)]) == [bytes(4)]
    assert source.read_fresh([(0, 4)]) == [BYTES[:4]]
    assert source.read([(0, 4)]) == [BYTES[:4]]
    assert [ranges for ranges in counting.reads if ranges] == [[(0, SECTOR_BYTES)]]
    source.close()


def test_a_block_of_another_length_is_none(counting: CountingSource) -> None:
    source = behind(counting, "memory:5MB")
    source._cache.put(
        {source._key(0): Block(3, BYTES[:SECTOR_BYTES]), source._key(3): Block(ALL, BYTES[:5000])}
    )
    assert source.read([(0, 2000), (SIZE - 5000, 5000)]) == [BYTES[:2000], BYTES[-5000:]]
    source.close()


def test_sectors_of_a_block() -> None:
    assert sectors_between(0, 1) == 1
    assert sectors_between(1023, 1025) == 3
    assert sectors_between(0, BLOCK_BYTES) == ALL
    assert bytes_in(ALL, BLOCK_BYTES) == BLOCK_BYTES
    assert bytes_in(0b101, 2500) == 1024 + 452
    assert bytes_in(0b011, 2500) == 2048
    assert bytes_in(0b1000, 2500) == -1
    assert runs_of(0) == []
    assert runs_of(0b1011_0001) == [(0, 1), (4, 6), (7, 8)]
    assert runs_of(ALL) == [(0, 128)]
    joined = Block(0b1001, b"a" * 1024 + b"d" * 1024).joined(Block(0b1010, b"b" * 1024 + b"x" * 1024))
    assert joined == Block(0b1011, b"a" * 1024 + b"b" * 1024 + b"d" * 1024)


def test_memory_forgets_what_was_used_longest_ago() -> None:
    tier = made("memory:1MB")
    blocks = some_blocks(60)
    keys = list(blocks)
    for key in keys:
        tier.put_many({key: blocks[key]})
        tier.get_many(keys[:2])
    held = set(tier.get_many(keys))
    assert held >= {*keys[:2], *keys[-5:]}
    assert keys[2] not in held
    info = tier.info()
    assert info.held == len(held) * 20_300
    assert info.held <= 10**6 == info.capacity
    assert tier.counters.now().evictions == 60 - len(held)
    tier.put_many(some_blocks(13, start=100))  # a quarter is 12
    assert tier.counters.now().skipped == 13
    assert set(tier.get_many(keys)) == held
    tier.put_many({keys[0]: Block(1, b"x" * 1024)})
    assert tier.info().held == info.held - 20_000 + 1024


class Ranges(http.server.BaseHTTPRequestHandler):
    """A file by ranges, over HTTP."""

    data = b""
    answered = 0

    def do_GET(self) -> None:
        type(self).answered += 1
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        body = self.data[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class HttpSource(ByteSource):
    """The bytes behind an address, each range a request."""

    def __init__(self, port: int, size: int) -> None:
        self.name, self.size, self.identity = f"http://127.0.0.1:{port}/t.flac", size, "etag"
        self._port = port

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        bodies = []
        for offset, length in ranges:
            with closing(http.client.HTTPConnection("127.0.0.1", self._port)) as connection:
                connection.request("GET", "/", headers={"Range": f"bytes={offset}-{offset + length - 1}"})
                bodies.append(connection.getresponse().read())
        return bodies

    def reopen(self) -> HttpSource:
        return HttpSource(self._port, self.size)

    def close(self) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    with am.Table.create(
        tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "body TEXT"], {"profile": "embedded"}
    ) as table:
        table.append([{"id": n, "body": f"row {n}" * 50} for n in range(3000)])
        table.vacuum()
    Ranges.data, Ranges.answered = (tmp_path / "t.flac").read_bytes(), 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving.server_address[1]
        serving.shutdown()
        thread.join()


def test_pages_over_http_are_asked_for_once(server: int, tmp_path: Path) -> None:
    def pages() -> bytes:
        source = cached(HttpSource(server, len(Ranges.data)), f"disk:{tmp_path}/cache:9MB")
        opened = open_pages(source, lambda head: PROFILES["embedded"].block_size)
        read = opened.read(0, opened.present).tobytes()
        opened.close()
        return read

    assert pages()
    first, Ranges.answered = Ranges.answered, 0
    assert 0 < first < 30
    local = open_pages(tmp_path / "t.flac", lambda head: PROFILES["embedded"].block_size)
    assert pages() == local.read(0, local.present).tobytes()
    local.close()
    assert Ranges.answered == 0
