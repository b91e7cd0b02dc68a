"""Which blocks of a column are read at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from audiomem_sql.blocks.directory import BlockDirectory

#: Blocks that are needed together are read at once: up to so many bytes, with so many unneeded ones in
#: between.
RUN_BYTES = 1 << 20
GAP_BYTES = 16 << 10


def runs_of(directory: BlockDirectory, numbers: Sequence[int], gap: int) -> Iterator[list[int]]:
    """Blocks in groups that are worth one read, with at most ``gap`` bytes between two of them."""
    chosen = np.asarray(numbers, np.int64)
    offsets = directory.offsets[chosen].tolist()
    ends = (directory.offsets[chosen] + directory.stored[chosen]).tolist()
    run: list[int] = []
    first = end = 0
    for number, start, stop in zip(numbers, offsets, ends, strict=True):
        # below 0: one is lost, or matters more
        if run and (not 0 <= start - end <= gap or stop - first > RUN_BYTES):
            yield run
            run = []
        if not run:
            first = start
        run.append(number)
        end = stop
    if run:
        yield run


def joined_extents(extents: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Offsets and lengths; those that lie one behind the other, in this order, are one."""
    joined: list[tuple[int, int]] = []
    for offset, length in extents:
        if joined and sum(joined[-1]) == offset:
            joined[-1] = joined[-1][0], joined[-1][1] + length
        else:
            joined.append((offset, length))
    return joined
