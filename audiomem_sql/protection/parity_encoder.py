"""Parity of a whole segment, in memory that does not grow with it.

Every group reaches over the whole segment, so no parity cell is known before the last source cell. Up to a
budget, all of them are summed up while source cells pass by. A segment with more parity than that is read
again once it is written, by *bands* of neighbouring groups: a band is one piece of each G source cells, so
all bands together read the segment once, in pieces of many cells. They leave parity in pieces too; ``write``
puts these where they belong, in a file of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from threading import Event

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.machine.interrupts import check_interrupt, wait_for
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.protection.parity import ParityPlan

BUDGET_BYTES = 256 << 20
"""Bytes of parity that are held at once."""


class ParityEncoder:
    """Sums up the parity of the groups ``band``, by default all, of cells of ``size`` bytes."""

    def __init__(self, plan: ParityPlan, size: int, band: range | None = None) -> None:
        self.plan = plan
        self.size = size
        self.band = range(plan.groups) if band is None else band
        self._code = plan.code
        self._sums = np.zeros((self._code.held, len(self.band) * size), np.uint8)

    def add(self, first: int, cells: U8Array) -> None:
        """Add source cells ``first …``, uint8 (count, size); those of other groups are passed over.

        Every source cell is added once, in any order; one of zeros may be left out.
        """
        groups, size = self.plan.groups, self.size
        flat = np.ascontiguousarray(cells).reshape(-1)
        end = first + len(cells)
        for column in range(first // groups, -(-end // groups)):
            base = column * groups
            low = max(first, base + self.band.start)
            high = min(end, base + self.band.stop)
            if low < high:
                at = (low - base - self.band.start) * size
                piece = flat[(low - first) * size : (high - first) * size]
                self._code.add(self._sums[:, at : at + len(piece)], column, piece)

    def finish(self) -> U8Array:
        """The parity cells of the band, uint8 (rows, len(band), size).

        With all groups, that is the order in the file; cells beyond ``plan.parities`` are not stored. Nothing
        can be added after that.
        """
        return self._code.finish(self._sums).reshape(self.plan.rows, len(self.band), self.size)


def parity_bands(plan: ParityPlan, size: int, budget: int = BUDGET_BYTES) -> list[range]:
    """The groups, cut into bands of about equal size.

    The parity of a band takes at most ``budget`` bytes; a band has at least one group.
    """
    most = max(1, budget // (plan.rows * size))
    count = -(-plan.groups // most)
    cuts = [plan.groups * i // count for i in range(count + 1)]
    return [range(low, high) for low, high in pairwise(cuts)]


def encode_bands(
    plan: ParityPlan,
    size: int,
    read: Callable[[int, int], U8Array],
    write: Callable[[int, U8Array], object],
    budget: int = BUDGET_BYTES,
    threads: int = 1,
) -> None:
    """All parity, band by band.

    read: source cells by (first, count), uint8 (count, size). write: takes (first, cells), a run of parity
    cells, uint8 (count, size), that is not used again. Both are called from ``threads`` threads, which share
    the budget.
    """
    ended = Event()

    def encode(band: range) -> None:
        encoder = ParityEncoder(plan, size, band)
        for first in range(band.start, plan.sources, plan.groups):
            if ended.is_set():
                return
            check_interrupt()
            count = min(len(band), plan.sources - first)
            encoder.add(first, read(first, count))
        for row, cells in enumerate(encoder.finish()):
            first = row * plan.groups + band.start
            if first < plan.parities:
                write(first, cells[: plan.parities - first])

    bands = parity_bands(plan, size, budget // threads)
    if threads == 1:
        for band in bands:
            encode(band)
        return
    with ThreadPool(threads, thread_name_prefix="audiomem-parity") as pool:
        try:
            wait_for([pool.submit(encode, band) for band in bands])
        except BaseException:
            ended.set()
            pool.shutdown(cancel_futures=True)
            raise
