"""The decoded lists of a large index side by side, so that one call of FAISS looks through many of them.

A call for each list costs as much as 500 vectors do. FAISS's inverted lists take the codes as they are, and
are asked with the lists chosen already (``search_preassigned``); so nothing is trained, and no list is there
before a search wants it.

FAISS ranks by products alone. Where squared lengths count too, by l2, each vector gets three more bytes that
say its squared length, and each query three more numbers, so that a product is q·x - |x|² / 2, to ``STEP``.
Vectors with lengths of their own stand apart (``apart.py``). Of large indexes FAISS has only the first
coordinates, and the others are looked at for the best of those (``tails.py``).
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I8Array, I32Array, I64Array
from audiomem_sql.columns.vector_index import COSINE, L2
from audiomem_sql.indexes.vectors.apart import Apart
from audiomem_sql.indexes.vectors.tails import Tails, first_fetch

#: Bytes beside the codes of a vector: its row, twice, and its length.
_BYTES_OF_ROW = 20
#: The step in which squared lengths are said, where the usual one is 1; and the longest length that three
#: bytes can say.
STEP = 2.0**-20
LONGEST = 2.9
#: FAISS takes so many numbers at once, and is slow where some are left.
_LANES = 16


class ListsTogether:
    """The codes of some lists of one index.

    metric: by l2, products are less half the squared length. tails: what FAISS does not get of a vector; None
    if it gets all. held: bool (lists,), which ones. sizes: float32 (rows,), the lengths of their decoded
    codes. shortest, longest: float32 (lists,), the least and the greatest of them. losses: float32 (rows,),
    what products are less, and 1/2 more; 0 by other metrics. apart: the vectors that FAISS does not get at
    all.
    """

    def __init__(
        self,
        lists: int,
        rows: int,
        dimensions: int,
        module: Any,
        *,
        metric: str = COSINE,
        tails: Tails | None = None,
    ) -> None:
        self._faiss = module
        self._squares = metric == L2
        self._by_length = metric != COSINE
        self.tails = tails
        self.apart = Apart(metric, dimensions)
        self._bytes_of_vector = dimensions + _BYTES_OF_ROW
        self._own = dimensions = dimensions if tails is None else tails.head
        if self._squares:
            dimensions += 3 + -(dimensions + 3) % _LANES
        kind = module.ScalarQuantizer.QT_8bit_uniform
        self._quantizer = module.IndexFlatIP(dimensions)  # never asked, and has to live as long
        # With tails the product with the centre's goes to all products of a list, as that of a residual.
        self._index = module.IndexIVFScalarQuantizer(
            self._quantizer, dimensions, lists, kind, module.METRIC_INNER_PRODUCT, tails is not None
        )
        # A code c decodes to least + range * (c + 0.5) / 255.
        module.copy_array_to_vector(np.array([-128.5, 255.0], np.float32), self._index.sq.trained)
        self._index.is_trained = True
        self._dimensions = dimensions
        self.held = np.zeros(lists, bool)
        self.sizes = np.ones(rows, np.float32)
        self.losses = np.zeros(rows if self._squares else 1, np.float32)
        self.shortest, self.longest = np.full(lists, np.inf, np.float32), np.zeros(lists, np.float32)
        self.bytes = 4 * rows + self.losses.nbytes + (0 if tails is None else tails.bytes)

    def bytes_of(self, count: int) -> int:
        """Bytes that ``count`` more vectors take."""
        return count * (self._bytes_of_vector + self._dimensions - self._own)

    def first_fetch(self, k: int) -> int:
        """How many products to ask for at first, for the k nearest."""
        return k + max(8, k // 2) if self.tails is None else first_fetch(k)

    def add(
        self, number: int, rows: I64Array, codes: I8Array, sizes: F32Array, lengths: F32Array | None = None
    ) -> None:
        """Keep list ``number``, which is not held yet.

        Its rows int64 (n,), codes int8 (n, d), sizes float32 (n,), and lengths float32 (n,); None: all 1.
        """
        self.bytes += self.bytes_of(len(rows))
        if self.tails is not None:
            self.tails.add(number, rows, codes)
        if self._by_length:
            own = np.ones(len(rows), np.float32) if lengths is None else lengths
            alone = own != 1
            if self._squares:
                alone |= sizes > LONGEST
            if alone.any():
                self.apart.add(number, rows[alone], codes[alone], own[alone], sizes[alone])
                rows, codes, sizes = rows[~alone], codes[~alone], sizes[~alone]
        if len(rows):
            self._add(number, rows, codes[:, : self._own], sizes)
        self.held[number] = True

    def _add(self, number: int, rows: I64Array, codes: I8Array, sizes: F32Array) -> None:
        """Give FAISS the vectors of a list."""
        pointer = self._faiss.swig_ptr
        if self._squares:
            steps = np.rint((np.square(sizes, dtype=np.float64) - 1) / STEP).astype(np.int32)
            self.losses[rows] = steps * (STEP / 2)
            extended = np.zeros((len(codes), self._dimensions), np.int8)
            extended[:, : self._own] = codes
            extended[:, self._own : self._own + 3] = _digits(steps)
            codes = extended
        unsigned = np.bitwise_xor(codes.view(np.uint8), np.uint8(128), order="C")
        ids = np.ascontiguousarray(rows, np.int64)
        self._index.invlists.add_entries(number, len(ids), pointer(ids), pointer(unsigned))
        self.sizes[rows] = sizes
        self.shortest[number], self.longest[number] = sizes.min(), sizes.max()

    def greatest(
        self, queries: F32Array, visits: BoolArray, k: int, allowed: BoolArray | None
    ) -> tuple[F32Array, I64Array, F32Array]:
        """The ``k`` greatest products of float32 (m, d) with vectors of the lists in bool (m, lists).

        allowed: bool (rows,). Products float32 (m, k), rows int64 (m, k), -1 where there are fewer, and
        float32 (m,), more than which no other product is. With tails those with the greatest estimates, and
        none other is greater but by a rare chance; else the products fall.
        """
        if self.tails is None:
            products, rows = self._fetched(queries, visits, k, allowed, None)
            return products, rows, products[:, -1]
        nearness = self.tails.nearness(queries)
        estimates, rows = self._fetched(queries[:, : self._own], visits, k, allowed, nearness)
        products = self.tails.products(queries, nearness, estimates, rows)
        return products, rows, estimates[:, -1] + self.tails.doubt(queries, visits)

    def _fetched(
        self,
        queries: F32Array,
        visits: BoolArray,
        k: int,
        allowed: BoolArray | None,
        nearness: F32Array | None,
    ) -> tuple[F32Array, I64Array]:
        """The ``k`` greatest products with what FAISS has, falling, and their rows.

        nearness: float32 (m, lists), to add to the products of a list.
        """
        module, pointer = self._faiss, self._faiss.swig_ptr
        if self._squares:
            extended = np.zeros((len(queries), self._dimensions), np.float32)
            extended[:, : self._own] = queries
            extended[:, self._own : self._own + 3] = np.array([65536, 256, 1]) * (-STEP / 2)
            queries = extended
        queries = np.ascontiguousarray(queries, np.float32)
        most = int(visits.sum(axis=1).max(initial=1))
        order = np.argsort(~visits, axis=1, kind="stable")[:, :most]
        chosen = np.where(np.take_along_axis(visits, order, axis=1), order, -1).astype(np.int64)
        added = np.zeros(chosen.shape, np.float32)
        if nearness is not None:
            added = np.ascontiguousarray(np.take_along_axis(nearness, order, axis=1), np.float32)
        products = np.empty((len(queries), k), np.float32)
        rows = np.empty((len(queries), k), np.int64)
        parameters = module.SearchParametersIVF(nprobe=most)
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            selector = module.IDSelectorBitmap(bits)
            parameters = module.SearchParametersIVF(nprobe=most, sel=selector)
        self._index.search_preassigned_c(
            len(queries),
            pointer(queries),
            k,
            pointer(chosen),
            pointer(added),
            pointer(products),
            pointer(rows),
            False,
            parameters,
        )
        return products, rows


def _digits(numbers: I32Array) -> I8Array:
    """int8 (n, 3), the digits -128 … 127 of int32 (n,) numbers to the base 256, the highest first."""
    digits = np.empty((len(numbers), 3), np.int8)
    for place in (2, 1, 0):
        lowest = (numbers + 128) % 256 - 128
        digits[:, place] = lowest
        numbers = (numbers - lowest) // 256
    return digits


class Room:
    """Bytes that the lists of all indexes of the process may take; what was used longest ago goes first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._holders: OrderedDict[int, tuple[weakref.ref[Any], ListsTogether]] = OrderedDict()
        # A garbage collection may call ``forget`` in the midst of any other method, on the same thread.
        self._lock = threading.RLock()

    @property
    def bytes(self) -> int:
        """Bytes that are taken."""
        with self._lock:
            return self._taken()

    def _taken(self) -> int:
        return sum(lists.bytes for holder, lists in list(self._holders.values()) if holder() is not None)

    def lists_of(self, owner: Any) -> ListsTogether | None:
        """What is held of ``owner``, now the most recently used."""
        with self._lock:
            entry = self._holders.get(id(owner))
            if entry is None or entry[0]() is not owner:
                return None
            self._holders.move_to_end(id(owner))
            return entry[1]

    def keep(self, owner: Any, lists: ListsTogether, more: int) -> bool:
        """Whether there is room for ``lists`` and ``more`` bytes; others may have to go for it."""
        with self._lock:
            self._holders[id(owner)] = weakref.ref(owner), lists
            self._holders.move_to_end(id(owner))
            for number, (holder, _) in list(self._holders.items()):
                if holder() is None or (self._taken() + more > self.most and holder() is not owner):
                    self._holders.pop(number, None)
            if self._taken() + more <= self.most:
                return True
            self._holders.pop(id(owner), None)
            return False

    def bytes_of(self, owner: Any) -> int:
        """Bytes of what is held of ``owner``."""
        with self._lock:
            entry = self._holders.get(id(owner))
            return 0 if entry is None or entry[0]() is not owner else entry[1].bytes

    def forget(self, owner: Any) -> None:
        """Let go of the lists of ``owner``."""
        with self._lock:
            self._holders.pop(id(owner), None)

    def clear(self) -> None:
        """Let go of all lists."""
        with self._lock:
            self._holders.clear()
