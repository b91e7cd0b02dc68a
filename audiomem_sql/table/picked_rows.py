"""Which rows a first look shows: the last ones, and a sample that depends on the rows and a seed only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array, U64Array
from audiomem_sql.blocks.bloom import hash_integers
from audiomem_sql.errors import QueryError
from audiomem_sql.scan import Filter, Readable, RowFilter, scan

#: Rows that a sample holds beside twice those that it keeps, before it drops what is too many.
_SLACK = 1 << 16


def check_count(count: Any, path: str) -> int:
    """``count`` as a number of rows, 0 or more; QueryError for anything else."""
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 0:
        raise QueryError(f"n = {count!r:.60} is no number of rows", file=path, remedy="Ask for 0 or more.")
    return int(count)


def sample_size(n: Any, fraction: Any, rows: int | None, path: str) -> int | None:
    """How many of ``rows`` rows a sample has; None if that cannot be told, as they are not counted yet.

    QueryError unless one of ``n`` and ``fraction`` is given, and is a number of rows or a part of them.
    """
    if (n is None) is (fraction is None):
        raise QueryError(
            "a sample needs either n or fraction",
            file=path,
            remedy="Write sample(100), or sample(fraction=0.1).",
        )
    if n is not None:
        return check_count(n, path)
    if not isinstance(fraction, int | float | np.floating) or not 0 <= fraction <= 1:
        raise QueryError(
            f"fraction = {fraction!r:.60} is no part of the rows",
            file=path,
            remedy="Write a number from 0 to 1.",
        )
    return None if rows is None else round(float(fraction) * rows)


def checked_seed(seed: Any, path: str) -> int:
    """``seed`` in 64 bits, or a random one for None; QueryError for what is no integer."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
        raise QueryError(f"seed = {seed!r:.60} is no integer", file=path, remedy="Write seed=1.")
    return int(seed) & (1 << 64) - 1


def last_rowids(readable: Readable, count: int) -> I64Array:
    """The rowids of the last ``count`` rows of a scan, int64 (n,), in the order of the scan."""
    parts: list[I64Array] = []
    missing = count
    if missing:
        for batch in scan(readable, (), descending=True):
            parts.append(batch.rowids[:missing])
            missing -= len(parts[-1])
            if not missing:
                break
    return np.concatenate(parts)[::-1] if parts else np.empty(0, np.int64)


def sampled_rowids(
    readable: Readable, count: int, seed: int, filters: Sequence[Filter], row_filter: RowFilter | None
) -> I64Array:
    """``count`` of the rowids of the rows that pass a filter, int64 (n,), in the order of a scan.

    They are those with the least hashes of rowid and seed, of which few are in memory at a time.
    """
    kept, hashes = np.empty(0, np.int64), np.empty(0, np.uint64)
    mixed = hash_integers(np.array([seed], np.uint64).view(np.int64))
    if count:
        for batch in scan(readable, (), filters, row_filter=row_filter):
            hashed = hash_integers(batch.rowids ^ mixed.view(np.int64))
            kept, hashes = np.concatenate([kept, batch.rowids]), np.concatenate([hashes, hashed])
            if len(kept) > 2 * count + _SLACK:
                kept, hashes = _least(kept, hashes, count)
    return _least(kept, hashes, count)[0]


def _least(rowids: I64Array, hashes: U64Array, count: int) -> tuple[I64Array, U64Array]:
    """The ``count`` rowids with the least hashes, in the order in which they are."""
    if len(rowids) <= count:
        return rowids, hashes
    chosen = np.sort(np.argpartition(hashes, count)[:count])
    return rowids[chosen], hashes[chosen]
