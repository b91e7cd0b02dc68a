"""Places for the tests of tiers: a source that counts, tiers of one test, servers that are really there."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.remote.tiers import CachedSource, CacheRow, cache_rows
from audiomem_sql.remote.tiers.block import SECTORS, Block, block_key
from audiomem_sql.remote.tiers.options import parse_tiers
from audiomem_sql.remote.tiers.registry import Lease
from audiomem_sql.remote.tiers.tier import Tier

ALL = (1 << SECTORS) - 1


class CountingSource(ByteSource):
    """A local file; ``reads``: the ranges of each read, which those that were reopened share."""

    def __init__(self, path: Path) -> None:
        self._below = open_source(path)
        self.name, self.size, self.identity = self._below.name, self._below.size, self._below.identity
        self.reads: list[list[tuple[int, int]]] = []

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.reads.append(list(ranges))
        return self._below.read(ranges)

    def reopen(self) -> CountingSource:
        again = CountingSource.__new__(CountingSource)
        vars(again).update(vars(self), _below=self._below.reopen())
        return again

    def close(self) -> None:
        self._below.close()

    @property
    def bytes_read(self) -> int:
        return sum(length for ranges in self.reads for _, length in ranges)


def behind(source: ByteSource, *tiers: str) -> CachedSource:
    """The source behind tiers that are written as users do."""
    return CachedSource(source, Lease(parse_tiers(tiers)))


def made(text: str) -> Tier:
    """A tier of its own, opened."""
    tier = parse_tiers([text])[0][1]()
    tier.open()
    return tier


def row_of(name: str) -> CacheRow:
    return next(row for row in cache_rows() if row.tier == name)


def some_blocks(count: int, size: int = 20_000, start: int = 0) -> dict[bytes, Block]:
    """Blocks of ``size`` bytes that cannot be compressed, by their keys."""
    sectors = (1 << -(-size // 1024)) - 1
    return {
        block_key(b"object", number): Block(sectors, os.urandom(size))
        for number in range(start, start + count)
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers at ``port`` of this machine; ended by its process id."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert server.poll() is None, command
            time.sleep(0.01)
        yield server
    finally:
        server.kill()
        server.wait()


def redis_command(port: int, *options: str) -> list[str]:
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]


def memcached_command(port: int, *options: str) -> list[str]:
    return ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-U", "0", *options]
