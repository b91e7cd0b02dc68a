"""What a process keeps of an index that was opened: its header, taken apart, and the lists that were decoded.

All who read the same bytes share it, such as two connections to one state of an object in a store, and a
connection that is made after another one was closed. Who they are says a key, which is a promise that the
bytes are the same; without one an index has its own, which goes with it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache

import numpy as np

from audiomem_sql.arrays import I32Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.indexes.vectors.index_format import IndexHeader
from audiomem_sql.indexes.vectors.lists_together import ListsTogether, Room
from audiomem_sql.indexes.vectors.scanning import FEW_VECTORS, faiss
from audiomem_sql.indexes.vectors.tails import tails_of
from audiomem_sql.machine.block_cache import BlockCache

#: Decoded lists of all indexes of the process: codes of 1.3 million vectors of 384 numbers.
CACHE_BYTES = 512 << 20
DECODED_LISTS = BlockCache(CACHE_BYTES)
TOGETHER = Room(CACHE_BYTES)
#: What is kept for who opens an index again, when nobody has it open: so many bytes, of so many indexes.
KEPT_BYTES = 64 << 20
KEPT_INDEXES = 16

FindCodec = Callable[[bytes], VectorCodec | None]


class OpenedIndex:
    """The header of an index, and what belongs to it. What was decoded of its lists is kept under it.

    cache: where decoded lists are kept. Raises DamagedFileError for bytes that contradict each other.
    """

    def __init__(
        self,
        header: bytes,
        rows: int,
        find_codec: FindCodec | None = None,
        cache: BlockCache = DECODED_LISTS,
    ) -> None:
        self.cache = cache
        self.header = parsed = IndexHeader.from_bytes(header, rows)
        codec = _read_codec(parsed.codec) if parsed.codec else None
        if codec is None and find_codec is not None:
            codec = find_codec(parsed.digest)
        if codec is None:
            raise DamagedFileError("the codec of an index of vectors is not there")
        stated = parsed.digest, parsed.dimensions, parsed.has_trellis
        if (codec.digest, codec.dimensions, codec.trellis.width > 0) != stated:
            raise DamagedFileError("the codec of an index of vectors is another one than its header names")
        self.codec = codec
        self.order = np.argsort(parsed.membership, kind="stable")
        counts = np.bincount(parsed.membership, minlength=parsed.lists + 2)
        #: int64 (lists,), the vectors of each list.
        self.counts = counts[: parsed.lists]
        self.starts = np.concatenate(([0], np.cumsum(counts)))
        if (self.counts == 0).any():
            raise DamagedFileError("a list of vectors has no row")
        self.centres = codec.placed(parsed.centres)
        #: The rows of all lists, int32, once a filter needs them.
        self.by_list: I32Array | None = None
        self.lock = threading.Lock()

    def lists_together(self) -> ListsTogether | None:
        """The decoded lists of a large index side by side, if there are any."""
        return TOGETHER.lists_of(self)

    def empty_lists(self) -> ListsTogether:
        """Room for the lists of a large index side by side, without any list so far."""
        header, count = self.header, int(self.counts.sum())
        tails = tails_of(header.membership, header.centres, count, rotated=self.codec.axes is not None)
        shape = header.lists, len(header.membership), header.dimensions
        return ListsTogether(*shape, faiss(), metric=header.metric, tails=tails)

    def keep(self, lists: ListsTogether, more: int) -> bool:
        """Whether there is room for ``lists``, and ``more`` bytes."""
        return TOGETHER.keep(self, lists, more)

    @property
    def bytes(self) -> int:
        """Bytes of memory that it takes, or may take where it is small."""
        own = self.order.nbytes + self.header.membership.nbytes + 5 * self.header.centres.nbytes
        count = int(self.counts.sum())
        decoded = count * self.codec.dimensions if count <= FEW_VECTORS else TOGETHER.bytes_of(self)
        return own + decoded

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:  # globals may be gone by then
        if not ending() and hasattr(self, "cache"):
            TOGETHER.forget(self)
            self.cache.discard(id(self))


class _Known:
    """The opened indexes of a process by their keys: those in use, and some that were."""

    def __init__(self) -> None:
        self._known: weakref.WeakValueDictionary[Hashable, OpenedIndex] = weakref.WeakValueDictionary()
        self._kept: OrderedDict[Hashable, OpenedIndex] = OrderedDict()
        # A garbage collection may call ``trim`` in the midst of any other method, on the same thread.
        self._lock = threading.RLock()

    def get(self, key: Hashable) -> OpenedIndex | None:
        """What is known of the index ``key``, now the most recently used."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._kept[key] = found
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Hashable, opened: OpenedIndex) -> OpenedIndex:
        """Keep it from now on; what is kept already, if somebody was faster."""
        with self._lock:
            opened = self._known.setdefault(key, opened)
            self._kept[key] = opened
            self.trim()
            return opened

    def trim(self) -> None:
        """Let go of what was used longest ago, where there is too much. Others may still use it."""
        if not self._lock.acquire(blocking=False):
            return  # whoever is at work does it, or the next one
        try:
            gone = []
            while self._kept and (len(self._kept) > KEPT_INDEXES or self._bytes() > KEPT_BYTES):
                gone.append(self._kept.popitem(last=False))
        finally:
            self._lock.release()

    def _bytes(self) -> int:
        return sum(opened.bytes for opened in self._kept.values())

    def clear(self) -> None:
        """Let go of all that nobody uses."""
        with self._lock:
            self._known.clear()
            self._kept.clear()


KNOWN_INDEXES = _Known()

#: Making a rotation orthonormal takes longer than many searches, and a table is often opened again.
_read_codec = lru_cache(8)(VectorCodec.from_bytes)
