"""Ranked rows as a search hands them over: few at first, then more and more, as far as they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I64Array

#: Rows that are handed over at first, and the most at once.
FIRST_ROWS = 16
MOST_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Rows of a search, best first.

    rowids: int64 (n,). distances: float32 (n,), NaN where there is none. ranks: float64 (n,), lower is
    better; None where they are the distances.
    """

    rowids: I64Array
    distances: F32Array
    ranks: F64Array | None = None

    def __len__(self) -> int:
        return len(self.rowids)


def in_steps(rows: Neighbours) -> Iterator[Neighbours]:
    """``rows`` in runs of growing length."""
    assert rows.ranks is not None
    start, step = 0, FIRST_ROWS
    while start < len(rows):
        run = slice(start, start + step)
        yield Neighbours(rows.rowids[run], rows.distances[run], rows.ranks[run])
        start, step = start + step, min(4 * step, MOST_ROWS)


def first_of(rows: Iterator[Neighbours], k: int | None) -> Iterator[Neighbours]:
    """The first ``k`` of ``rows``, all for None; no more are asked for than it takes."""
    while k is None or k > 0:
        run = next(rows, None)
        if run is None:
            return
        if k is not None and len(run) > k:
            run = Neighbours(run.rowids[:k], run.distances[:k], None if run.ranks is None else run.ranks[:k])
        yield run
        k = None if k is None else k - len(run)


def parted(rows: Iterator[Neighbours], count: int) -> tuple[Neighbours, Iterator[Neighbours]]:
    """The first ``count`` rows as one, and what comes behind them.

    No more is asked for than it takes. Where runs have ranks, the first rows have them.
    """
    runs: list[Neighbours] = []
    left: list[Neighbours] = []
    wanted = count
    while wanted and (run := next(rows, None)) is not None:
        runs.extend(first_of(iter([run]), wanted))
        if len(run) > wanted:
            ranks = None if run.ranks is None else run.ranks[wanted:]
            left.append(Neighbours(run.rowids[wanted:], run.distances[wanted:], ranks))
        wanted -= len(runs[-1])
    ranks_of_runs = [run.ranks for run in runs if run.ranks is not None]
    head = Neighbours(
        np.concatenate([np.empty(0, np.int64), *(run.rowids for run in runs)]),
        np.concatenate([np.empty(0, np.float32), *(run.distances for run in runs)]),
        np.concatenate(ranks_of_runs) if ranks_of_runs else None,
    )
    return head, chain(left, rows)
