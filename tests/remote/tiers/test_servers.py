"""Tiers on Redis and Memcached, on servers that the tests start: shared, checked, and never in the way."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pymemcache
import pytest
import redis
from bytes.memory_source import MemorySource

from audiomem_sql.errors import OptionError
from audiomem_sql.remote.tiers import cache_rows, cached, parse_tiers
from audiomem_sql.remote.tiers.block import BLOCK_BYTES, Block, seal
from audiomem_sql.remote.tiers.memcached_tier import MemcachedTier
from audiomem_sql.remote.tiers.server import AT_ONCE, server_key
from remote.tiers.places import (
    ALL,
    free_port,
    made,
    memcached_command,
    redis_command,
    running,
    some_blocks,
)

BYTES = random.Random(4).randbytes(300_000)
KINDS = ("redis", "memcached")


@dataclass
class Server:
    """A server: its address, how values are put there past the tier, and its process."""

    at: str
    put: Callable[[str, bytes], object]
    get: Callable[[str], bytes | None]
    process: subprocess.Popen[bytes]

    @property
    def tier(self) -> str:
        """A tier that waits for the server, however busy the machine is."""
        return f"{self.at}?timeout=30"


@contextlib.contextmanager
def served(kind: str, port: int, *options: str) -> Iterator[Server]:
    command = redis_command if kind == "redis" else memcached_command
    with running(command(port, *options), port) as process:
        client = (
            redis.Redis(port=port)
            if kind == "redis"
            else pymemcache.Client(("127.0.0.1", port), default_noreply=False)
        )
        yield Server(f"{kind}://127.0.0.1:{port}", client.set, client.get, process)
        client.close()


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with served(request.param, free_port()) as started:
        yield started


def test_what_was_put_is_there_for_other_machines(server: Server) -> None:
    tier, other = made(server.tier), made(server.tier)
    blocks = some_blocks(AT_ONCE + 9) | {bytes(20): Block(ALL, os.urandom(BLOCK_BYTES))}
    assert tier.put_many(blocks) == sum(len(block.data) for block in blocks.values())
    assert other.get_many([*blocks, bytes(range(20))]) == blocks
    assert other.counters.now().requests == 2
    assert other.info().state == "ok"
    tier.close()
    other.close()
    assert other.get_many(list(blocks)) == blocks  # it connects again
    other.close()


def test_what_is_not_ours_is_removed_and_never_read(server: Server) -> None:
    tier = made(server.tier)
    (one, block), (two, _), (three, _), (four, last) = some_blocks(4, 3000, start=500).items()
    sealed = seal(one, block)
    for number, wrong in enumerate(
        (b"", b"hello", sealed[:-1], sealed + b"x", sealed[:50] + bytes([sealed[50] ^ 1]) + sealed[51:]), 1
    ):
        server.put(server_key(one), wrong)
        server.put(server_key(two), sealed)
        tier.put_many({four: last})
        assert tier.get_many([one, two, three, four]) == {four: last}
        assert server.get(server_key(one)) is None
        assert server.get(server_key(two)) is None
        assert tier.counters.now().errors == 2 * number
    tier.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_not_there_is_asked_once(kind: str) -> None:
    port = free_port()
    source = cached(MemorySource(BYTES), f"memory:8MB, {kind}://127.0.0.1:{port}?pause=600")
    for start in range(0, 200_000, 50_000):
        assert source.read([(start, 50_000)]) == [BYTES[start : start + 50_000]]
    row = next(row for row in cache_rows() if str(port) in row.tier)
    assert (row.requests, row.errors, row.hits, row.bytes_in) == (1, 1, 0, 0)
    assert row.state.startswith("left out: ")
    source.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_hangs_is_waited_for_once(kind: str) -> None:
    with served(kind, free_port()) as server:
        tier = made(f"{server.at}?timeout=0.05&pause=600")
        blocks = some_blocks(3)
        tier.put_many(blocks)
        server.process.send_signal(signal.SIGSTOP)
        for _ in range(9):
            assert tier.get_many(list(blocks)) == {}
            assert tier.put_many(blocks) == 0
        assert (tier.counters.now().requests, tier.counters.now().errors) == (2, 1)
        server.process.send_signal(signal.SIGCONT)
        tier.close()


def test_a_server_that_takes_and_says_nothing_is_waited_for_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for kind in KINDS:
            tier = made(f"{kind}://127.0.0.1:{listener.getsockname()[1]}?timeout=0.05&pause=600")
            assert [tier.get_many([bytes(20)]) for _ in range(5)] == [{}] * 5
            assert tier.counters.now().errors == 1
            tier.close()


def test_a_server_that_speaks_something_else_is_left_out(server: Server) -> None:
    """Each kind is taken for the other one."""
    wrong = server.at.replace("redis:", "x:").replace("memcached:", "redis:").replace("x:", "memcached:")
    tier = made(f"{wrong}?timeout=0.1&pause=600")
    assert [tier.get_many([bytes(20)]) for _ in range(5)] == [{}] * 5
    assert tier.counters.now().errors == 1
    tier.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_comes_back_is_used_again(kind: str) -> None:
    port = free_port()
    blocks = some_blocks(3)
    with served(kind, port) as server:
        tier = made(f"{server.tier}&pause=0")
        tier.put_many(blocks)
        assert tier.get_many(list(blocks)) == blocks
    assert tier.get_many(list(blocks)) == {}
    assert tier.info().state.startswith("left out: ")
    with served(kind, port):
        assert tier.get_many(list(blocks)) == {}
        assert tier.info().state == "ok"
        tier.put_many(blocks)
        assert tier.get_many(list(blocks)) == blocks
        tier.close()


def test_what_is_too_large_for_memcached_is_left_out() -> None:
    """The server says what it takes: 512 KB is the least that Memcached 1.6 can be set to."""
    with served("memcached", free_port(), "-I", "512k") as server:
        tier = made(server.tier)
        assert isinstance(tier, MemcachedTier)
        assert 510_000 < tier._client().limit < 512 * 1024
        tier._client().limit = 64 * 1024
        small, large = some_blocks(3), some_blocks(2, 100_000, start=9)
        assert tier.put_many(small | large) == 60_000
        assert tier.get_many([*small, *large]) == small
        counts = tier.counters.now()
        assert (counts.skipped, counts.errors) == (2, 0)
        assert tier.put_many(large) == 0
        tier.close()


def test_a_redis_that_is_full_is_still_read() -> None:
    with served("redis", free_port(), "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        tier = made(server.tier)
        blocks = some_blocks(60, 60_000)
        kept = sum(tier.put_many({key: block}) for key, block in blocks.items())
        assert 0 < kept < 60 * 60_000
        assert len(tier.get_many(list(blocks))) * 60_000 == kept
        assert tier.info().state == "ok"
        assert tier.counters.now().errors == 60 - kept // 60_000
        tier.close()


def test_blocks_are_forgotten_after_a_while() -> None:
    with served("redis", free_port()) as server:
        tier = made(f"{server.tier}&keep=100")
        blocks = some_blocks(1)
        tier.put_many(blocks)
        with redis.Redis(port=int(server.at.rpartition(":")[2])) as client:
            assert 90 <= client.ttl(server_key(next(iter(blocks)))) <= 100
        tier.close()


def test_passwords_are_used_and_never_shown(tmp_path: Path) -> None:
    port = free_port()
    with running(redis_command(port, "--requirepass", "secret"), port):
        wrong = cached(MemorySource(BYTES), f"redis://:wrong@127.0.0.1:{port}/3?timeout=30")
        assert wrong.read_at(0, 9) == BYTES[:9]
        right = cached(MemorySource(BYTES), f"redis://:secret@127.0.0.1:{port}/3?timeout=30")
        assert right.read_at(0, 9) == BYTES[:9]
        rows = [row for row in cache_rows() if str(port) in row.tier]
        assert [row.tier for row in rows] == [f"redis://127.0.0.1:{port}/3?timeout=30"] * 2
        assert [row.errors for row in rows] == [1, 0]
        assert "wrong" not in rows[0].state.replace("wrong number", "")
        wrong.close()
        right.close()
    with pytest.raises(OptionError) as raised:
        parse_tiers(f"redis://me:secret@127.0.0.1:{port}/zero")
    assert "secret" not in str(raised.value)
    assert "me:" not in str(raised.value)


def test_a_child_of_a_fork_has_connections_of_its_own(server: Server) -> None:
    """On one connection each would read what the other asked for."""
    tier = made(server.tier)
    blocks = some_blocks(20)
    tier.put_many(blocks)
    keys = list(blocks)
    child = os.fork()
    right = all(tier.get_many([key]) == {key: blocks[key]} for _ in range(20) for key in keys)
    if not child:
        os._exit(not right)
    assert right
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert tier.counters.now().errors == 0
    tier.close()


@pytest.mark.parametrize(
    ("tier", "package", "extra"),
    [
        ("redis://localhost", "redis", "redis"),
        ("memcached://localhost", "pymemcache", "memcached"),
        ("rocksdb:cache:1MB", "rocksdict", "rocksdb"),
    ],
)
def test_the_extra_is_named(tier: str, package: str, extra: str, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        f"sys.modules[{package + '.exceptions'!r}] = None\n"
        "from audiomem_sql.remote.tiers.options import parse_tiers\n"
        "from audiomem_sql.remote.tiers.registry import Lease\n"
        "from audiomem_sql.errors import MissingExtraError\n"
        f"try:\n    Lease(parse_tiers(['memory:1MB', {tier!r}]))\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert f"a tier needs {package}, which is not installed" in done.stdout
    assert f"pip install 'audiomem-sql[{extra}]'" in done.stdout
