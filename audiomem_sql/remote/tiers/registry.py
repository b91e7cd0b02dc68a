"""The tiers of this process: each is there once, whoever uses it, and what is counted there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from audiomem_sql.bytes.cache_row import CacheRow
from audiomem_sql.observe import hooks
from audiomem_sql.observe.figures import CacheFigures
from audiomem_sql.remote.tiers.prices import S3, Prices
from audiomem_sql.remote.tiers.tier import Counters, PerProcess, Tier

#: What is asked of the sources below all caches of the process.
STORE = Counters()


class _Known:
    """A tier, and how many leases it is part of."""

    def __init__(self, tier: Tier) -> None:
        self.tier, self.users = tier, 0


class _Registry:
    def __init__(self) -> None:
        self._lock = PerProcess(threading.RLock)
        self._known: dict[str, _Known] = {}
        self.prices = S3

    def begin(self, key: str, make: Callable[[], Tier]) -> Tier:
        """The tier of that key, opened unless somebody uses it already; what its ``open`` raises."""
        with self._lock.get():
            known = self._known.get(key) or _Known(make())
            if not known.users:
                known.tier.open()
            self._known[key] = known
            known.users += 1
            return known.tier

    def end(self, key: str) -> None:
        """A user less; after the last the tier is closed, and keeps its counts."""
        with self._lock.get():
            known = self._known[key]
            known.users -= 1
            if not known.users:
                known.tier.close()

    def rows(self) -> list[CacheRow]:
        with self._lock.get():
            tiers = [known.tier for known in self._known.values()]
        return [_row(tier) for tier in tiers] + ([_store_row(self.prices)] if tiers else [])


_REGISTRY = _Registry()


def _figures() -> list[CacheFigures]:
    return [
        CacheFigures(row.tier, row.hits, row.misses, row.held, row.capacity, row.evictions, row.errors)
        for row in _REGISTRY.rows()
        if row.tier != "store"
    ]


hooks.caches.append(_figures)


class Lease:
    """The use of some tiers: opened when it begins, closed by the last who ends one."""

    def __init__(self, makers: Sequence[tuple[str, Callable[[], Tier]]]) -> None:
        """makers: key and maker of each tier. What ``Tier.open`` raises; then none is in use."""
        self._makers = tuple(makers)
        begun: dict[str, Tier] = {}
        try:
            for key, make in self._makers:
                begun[key] = _REGISTRY.begin(key, make)
        except BaseException:
            for key in begun:
                _REGISTRY.end(key)
            raise
        self.tiers = tuple(begun.values())
        self._ended = False

    def again(self) -> Lease:
        """Another use of the same tiers, which is ended by itself."""
        return Lease(self._makers)

    def end(self) -> None:
        """Use them no more; twice is harmless."""
        if not self._ended:
            self._ended = True
            for key, _ in self._makers:
                _REGISTRY.end(key)


def cache_rows() -> list[CacheRow]:
    """A row for each tier that this process has used, and one for the store; none without tiers."""
    return _REGISTRY.rows()


def price_store(million_requests: float, gigabyte: float) -> None:
    """Say what the store costs, in dollars, instead of what S3 costs: for ``cost`` of ``cache_rows``."""
    _REGISTRY.prices = Prices(million_requests, gigabyte)


def _row(tier: Tier) -> CacheRow:
    counts, info = tier.counters.now(), tier.info()
    moved = counts.bytes_in + counts.bytes_out
    return CacheRow(
        tier.name,
        info.state,
        counts.hits,
        counts.misses,
        counts.bytes_out,
        counts.bytes_in,
        info.held,
        info.capacity,
        counts.requests,
        counts.evictions,
        counts.errors,
        counts.skipped,
        tier.prices.cost(counts.requests, moved),
    )


def _store_row(prices: Prices) -> CacheRow:
    counts = STORE.now()
    cost = prices.cost(counts.requests, counts.bytes_out)
    return CacheRow("store", "ok", 0, 0, counts.bytes_out, 0, None, None, counts.requests, 0, 0, 0, cost)
