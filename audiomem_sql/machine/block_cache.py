"""Decoded blocks, kept while they fit: one least-recently-used cache for all tables of a process."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.observe import hooks
from audiomem_sql.observe.figures import CacheFigures


class BlockCache:
    """Maps keys to Arrow arrays; holds at most ``capacity`` bytes. Safe to use from several threads.

    capacity: None for what the profiles of the tables call for that have been opened in this process.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self._chosen = capacity
        self._needed = min(limits.cache_bytes for limits in LIMITS.values())
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[Hashable, tuple[pa.Array, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._gone: deque[Hashable] = deque()
        self._local = threading.local()

    @property
    def capacity(self) -> int:
        """Bytes that are kept; whoever sets it has decided, whatever is opened later."""
        return self._needed if self._chosen is None else self._chosen

    @capacity.setter
    def capacity(self, capacity: int | None) -> None:
        self._chosen = capacity

    def make_room(self, capacity: int) -> None:
        """A table is opened whose profile keeps so many bytes."""
        self._needed = max(self._needed, capacity)

    @contextmanager
    def bypassed(self) -> Iterator[None]:
        """Keep nothing that this thread puts while the block lasts.

        Whoever reads everything once would push out what others use.
        """
        before = getattr(self._local, "bypassed", False)
        self._local.bypassed = True
        try:
            yield
        finally:
            self._local.bypassed = before

    def get(self, key: Hashable) -> pa.Array | None:
        """The array under ``key``, now the most recently used; None if it is not there."""
        with self._lock:
            if self._gone:
                self._sweep()
            entry = self._entries.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, array: pa.Array, size: int) -> None:
        """Keep ``array`` of ``size`` bytes, dropping what was used longest ago.

        Larger than a quarter: not kept.
        """
        if size > self.capacity // 4 or getattr(self._local, "bypassed", False):
            return
        with self._lock:
            if self._gone:
                self._sweep()
            if key in self._entries:
                return
            self._entries[key] = (array, size)
            self.bytes += size
            while self.bytes > self.capacity:
                self.bytes -= self._entries.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
            self.bytes = 0

    def discard(self, owner: Hashable) -> None:
        """Drop every entry whose key is a tuple that begins with ``owner``.

        Never waits: a garbage collection may call this in the midst of any other method, on the same thread.
        Then the entries go when the cache is used next.
        """
        self._gone.append(owner)
        if self._lock.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                self._lock.release()

    def _sweep(self) -> None:
        while self._gone:
            owner = self._gone.popleft()
            for key in [key for key in list(self._entries) if isinstance(key, tuple) and key[0] == owner]:
                self.bytes -= self._entries.pop(key)[1]


#: The cache that tables share unless they are given another.
SHARED = BlockCache()
hooks.caches.append(
    lambda: [CacheFigures("blocks", SHARED.hits, SHARED.misses, SHARED.bytes, SHARED.capacity)]
)
