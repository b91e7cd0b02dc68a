"""Tiers of a cache beside each other: ``python -m benchmarks.tiers`` prints the first table of TIERS.md.

Blocks of 20 KB (of a small read) and of 128 KiB (of a scan), each put and got alone, in random order. The
programs redis-server and memcached are started on this machine, so their way is as short as it can be; a
tier whose program is missing is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from audiomem_sql.remote.tiers import parse_tiers
from audiomem_sql.remote.tiers.block import SECTOR_BYTES, Block, block_key
from benchmarks.timing import Times, timed

SIZES = {"20 KB": 20 * SECTOR_BYTES, "128 KiB": 128 * SECTOR_BYTES}
BLOCKS = 400


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def served(command: list[str], port: int) -> Iterator[None]:
    """A program that listens at a port, until the block ends."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while server.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.01)
        yield
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def tiers(folder: str) -> Iterator[dict[str, str]]:
    """The tiers that there are here, by what the table calls them."""
    known = {
        "memory": "memory:400MB",
        "disk": f"disk:{folder}/disk:1GB",
        "RocksDB": f"rocksdb:{folder}/rocks:1GB",
    }
    with contextlib.ExitStack() as servers:
        for name, program, options in (
            ("Redis", "redis-server", ["--bind", "127.0.0.1", "--save", "", "--port"]),
            ("Memcached", "memcached", ["-u", "nobody", "-l", "127.0.0.1", "-m", "256", "-p"]),
        ):
            if shutil.which(program):
                port = free_port()
                servers.enter_context(served([program, *options, str(port)], port))
                known[name] = f"{'redis' if name == 'Redis' else 'memcached'}://127.0.0.1:{port}?timeout=5"
        yield known


def measured(tier: str, size: int) -> tuple[Times, Times]:
    """(put, get) of blocks of ``size`` bytes in a tier."""
    [(_, make)] = parse_tiers([tier])
    made = make()
    made.open()
    chance = random.Random(7)
    sectors = (1 << size // SECTOR_BYTES) - 1
    blocks = [(block_key(b"benchmark", n), Block(sectors, chance.randbytes(size))) for n in range(BLOCKS)]
    put = timed(lambda block: made.put_many(dict([block])), blocks)
    chance.shuffle(blocks)

    def get(block: tuple[bytes, Block]) -> None:
        if made.get_many([block[0]]) != {block[0]: block[1]}:
            raise SystemExit(f"{tier} lost a block")

    got = timed(get, blocks)
    made.close()
    return put, got


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    print(f"{BLOCKS} blocks, {os.cpu_count()} processors; a get from the disk takes 1 (the median, by size)")
    print("| tier | block | put p50 | put p99 | get p50 | get p99 |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, tiers(folder) as known:
        for label, size in SIZES.items():
            figures = {name: measured(tier, size) for name, tier in known.items()}
            unit = figures["disk"][1].p50
            for name, (put, got) in figures.items():
                ratios = [each / unit for each in (put.p50, put.p99, got.p50, got.p99)]
                cells = [f"{ratio:,.{2 if ratio < 10 else 0}f}" for ratio in ratios]
                print(f"| {name} | {label} | {' | '.join(cells)} |")
            print(f"(1 is {1e3 * unit:.0f} µs at {label})")


if __name__ == "__main__":
    main()
