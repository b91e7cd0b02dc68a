"""Copies of what was read from far away, kept in nearer places: memory, a disk, a server of many machines."""

from __future__ import annotations

from audiomem_sql.bytes.cache_row import CacheRow
from audiomem_sql.remote.tiers.cached_source import CachedSource
from audiomem_sql.remote.tiers.options import cached, local_file_is_not_cached, parse_tiers
from audiomem_sql.remote.tiers.prices import Prices
from audiomem_sql.remote.tiers.registry import cache_rows, price_store

__all__ = [
    "CacheRow",
    "CachedSource",
    "Prices",
    "cache_rows",
    "cached",
    "local_file_is_not_cached",
    "parse_tiers",
    "price_store",
]
