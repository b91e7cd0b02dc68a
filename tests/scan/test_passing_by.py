"""Scans of more than the cache holds leave most of it to others."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.scan import filters_of_text, scan
from audiomem_sql.table.table import Table

ROWS = 20_000
#: Bytes of the texts, each different from the others.
TEXT_BYTES = ROWS * 500


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT", "n INTEGER"], {"profile": "mobile"}) as t:
        bodies = [f"{number:06}".ljust(500, "abcdefgh"[number % 8]) for number in range(ROWS)]
        t.append(pa.table({"body": bodies, "n": [number % 10 for number in range(ROWS)]}))
        t.checkpoint()
    return path


def bodies(table: Table, where: str | None = None) -> list[str]:
    filters, row_filter = filters_of_text(where, (), table.schema)
    found = scan(table.snapshot, [1], filters, row_filter=row_filter)
    return [text for batch in found for text in batch.arrays[0].to_pylist()]


@pytest.mark.parametrize("capacity", [TEXT_BYTES // 2, TEXT_BYTES, 3 * TEXT_BYTES])
def test_what_a_scan_leaves_in_the_cache(path: Path, capacity: int) -> None:
    cache = BlockCache(capacity)
    with Table(path, cache=cache) as table:
        first = bodies(table)
        assert [text[:6] for text in first] == [f"{number:06}" for number in range(ROWS)]
        kept, hits = cache.bytes, cache.hits
        if capacity > 2 * TEXT_BYTES:
            assert kept >= TEXT_BYTES
        else:
            assert 0 < kept < capacity // 4 + (3 << 20)  # batches that threads read at the same time
        for _ in range(4):
            assert bodies(table) == first
        assert kept <= cache.bytes < max(2 * kept, capacity)
        assert cache.hits > hits  # what is kept is of use


def test_what_others_use_stays(path: Path) -> None:
    cache = BlockCache(TEXT_BYTES)
    with Table(path, cache=cache) as table:
        cache.put("of another", pa.array([1]), TEXT_BYTES // 4)
        for _ in range(3):
            bodies(table)
        assert cache.get("of another") is not None


def test_few_rows_of_a_large_table_are_kept(path: Path) -> None:
    """What is tested is small: all of it is kept, and so are the few rows that pass."""
    cache = BlockCache(TEXT_BYTES)
    with Table(path, cache=cache) as table:
        for _ in range(2):
            assert len(bodies(table, "id BETWEEN 100 AND 200 AND n = 3")) == 10
        misses = cache.misses
        bodies(table, "id BETWEEN 100 AND 200 AND n = 3")
        assert cache.misses == misses
