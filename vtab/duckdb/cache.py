"""What tiers of a cache did, as rows for DuckDB."""

from __future__ import annotations

import pyarrow as pa

from audiomem_sql.bytes.cache_row import CacheRow
from audiomem_sql.vtab.duckdb.source import Source, source_of_rows

#: The columns of CacheRow.
_CACHE = pa.schema(
    [
        ("tier", pa.string()),
        ("state", pa.string()),
        *((name, pa.int64()) for name in CacheRow._fields[2:-1]),
        ("cost", pa.float64()),
    ]
)


def audiomem_cache() -> Source:
    """What the tiers of this process hold and counted, and what was asked of the store below them."""
    from audiomem_sql.remote.tiers import cache_rows

    return source_of_rows(_CACHE, lambda: [tuple(row) for row in cache_rows()])
