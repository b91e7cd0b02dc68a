"""The cache of decoded blocks: what it keeps, and what passes it by."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
from samples import create

from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.table import Table

VALUES = pa.array([1, 2, 3])


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = BlockCache(100)
    for key in "abcd":
        cache.put(key, VALUES, 25)
    assert cache.get("a") is VALUES
    cache.put("e", VALUES, 25)
    assert [key for key in "abcde" if cache.get(key) is not None] == ["a", "c", "d", "e"]
    cache.put("f", VALUES, 26)  # over a quarter
    assert cache.get("f") is None


def test_a_thread_that_reads_everything_once_leaves_the_others_their_blocks() -> None:
    cache = BlockCache(100)
    cache.put("a", VALUES, 25)
    with cache.bypassed():
        with cache.bypassed():
            pass
        cache.put("b", VALUES, 25)
        other = threading.Thread(target=cache.put, args=("c", VALUES, 25))
        other.start()
        other.join()
        assert cache.get("a") is VALUES
    cache.put("d", VALUES, 25)
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]


def test_a_vacuum_keeps_no_blocks(tmp_path: Path) -> None:
    cache = BlockCache()
    create(tmp_path / "t.flac", 3000).close()
    with Table(tmp_path / "t.flac", cache=cache) as table:
        assert table.get(17) is not None
        used = cache.bytes
        assert used > 0
        table.vacuum(level=3)
        assert cache.bytes <= used
