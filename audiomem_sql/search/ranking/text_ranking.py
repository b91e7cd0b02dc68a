"""The rows of one segment whose texts are cut, ranked by all their passages.

A text is never nearer than its best passage (:mod:`~audiomem_sql.search.embedding.text_scores`). So the
indexes propose passages, nearest first, which say how near their rows are at most, and the rows are scored
from all their passages, until none of the others can be nearer than the last that is wanted. A row that is
missed is one whose near passages the indexes did not propose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I64Array, distinct
from audiomem_sql.indexes.vectors import PassageIndex, VectorIndex, lists_by_index, lists_of_several
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.search.embedding.text_scores import text_cosines
from audiomem_sql.search.ranking.lists_of_processes import MORE_PROPOSED, PROPOSED, Choice

#: Where lists are far away, what is proposed for each row that is wanted says which of them are read, as in a
#: search of texts that are not cut.
PROPOSED_FAR = 30
#: Rows that are scored at once, at least, and the most passages whose vectors are decoded at once.
SCORED_ROWS = 64
SCORED_PASSAGES = 8192


@dataclass(frozen=True, slots=True, eq=False)
class _Proposed:
    """Rows that the indexes propose.

    rows: int64 (n,), each once. most: float64 (n,), how near they are at most, falling; of rows with one
    passage, how near they are. others: how near any other row is at most; minus infinity where there is none.
    """

    rows: I64Array
    most: F64Array
    others: float


class TextRanking:
    """One search of a segment.

    Parameters
    ----------
    firsts: the index of the first passages, one of each row; further: that of the others.
    query: float32 (d,), of length 1. allowed: bool (rows,), which rows may be results; None: all.
    lists, further_lists: as of :meth:`VectorIndex.search`.
    """

    def __init__(
        self,
        firsts: VectorIndex,
        further: PassageIndex,
        query: F32Array,
        allowed: BoolArray | None,
        lists: BoolArray | None = None,
        further_lists: BoolArray | None = None,
    ) -> None:
        self._firsts = firsts
        self._further = further
        self._query = query
        self._allowed = allowed
        self._reach = firsts.reach if allowed is None else None
        self._allowed_entries = entries_of(further, allowed)
        self._lists, self._further_lists = lists, further_lists

    def nearest(self, k: int) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest rows, int64 (n,), fewer if there are no more, and their distances, float32."""
        wanted = PROPOSED * k + MORE_PROPOSED if self._reach is None else PROPOSED_FAR * k
        while True:
            check_interrupt()
            proposed = self._proposed(wanted)
            if (found := self._best_of(proposed, k)) is not None:
                return found
            wanted *= 4

    def _proposed(self, wanted: int) -> _Proposed:
        """The rows of ``wanted`` passages of each index."""
        first_rows, first_cosines, first_others = self._searched(
            self._firsts, wanted, self._allowed, self._lists
        )
        entries, further_cosines, further_others = self._searched(
            self._further, wanted, self._allowed_entries, self._further_lists
        )
        places = self._further.map
        entry_rows = places.entry_rows[entries]
        rows = distinct(np.concatenate([first_rows, entry_rows]))
        counts = np.maximum(places.counts[rows], 1)
        starts = np.cumsum(counts) - counts
        # what was not proposed is no nearer than the last that was
        cosines = np.full(int(counts.sum()), further_others)
        cosines[starts] = first_others
        cosines[starts[np.searchsorted(rows, first_rows)]] = first_cosines
        of_entries = starts[np.searchsorted(rows, entry_rows)] + 1 + entries - places.entry_starts[entry_rows]
        cosines[of_entries] = further_cosines
        lengths = np.ones(len(cosines), np.int64)
        lengths[np.repeat(places.counts[rows] > 0, counts)] = places.lengths_of(rows)
        most = text_cosines(cosines, lengths, starts)
        order = np.lexsort((rows, -most))
        return _Proposed(rows[order], most[order], max(first_others, further_others))

    def _searched(
        self, index: VectorIndex, wanted: int, allowed: BoolArray | None, lists: BoolArray | None
    ) -> tuple[I64Array, F64Array, float]:
        """The nearest passages of one index, their cosines, and the greatest one that another can have."""
        asked = max(1, min(wanted, index.count))
        found = index.search(self._query[np.newaxis], asked, allowed, reached=asked, lists=lists)
        places, distances = (each[0] for each in found)
        filled = places >= 0
        cosines = 1.0 - distances[filled].astype(np.float64)
        is_all = len(cosines) < asked or asked == index.count
        return places[filled], cosines, -np.inf if is_all else float(cosines[-1])

    def _best_of(self, proposed: _Proposed, k: int) -> tuple[I64Array, F32Array] | None:
        """The ``k`` nearest rows; None where rows that were not proposed may be among them."""
        rows, scores = proposed.rows, proposed.most.copy()
        is_cut = self._further.map.counts[rows] > 0
        end = 0
        while end < len(rows):
            start, end = end, min(max(k, SCORED_ROWS, 2 * end), len(rows))
            cut = start + np.flatnonzero(is_cut[start:end])
            scores[cut] = self._cosines(rows[cut])
            if end >= k:
                last = float(np.partition(scores[:end], end - k)[end - k])
                if last >= max(proposed.others, scores[end] if end < len(rows) else -np.inf):
                    break
        else:
            if proposed.others > -np.inf:
                return None
        distances = np.clip(1.0 - scores[:end], 0, 2).astype(np.float32)
        order = np.lexsort((rows[:end], distances))[:k]
        return rows[order], distances[order]

    def _cosines(self, rows: I64Array) -> F64Array:
        """How near int64 (n,) rows are that are cut, float64 (n,)."""
        ends = np.cumsum(self._further.map.counts[rows])
        found = np.empty(len(rows))
        end = 0
        while end < len(rows):
            check_interrupt()
            start, before = end, int(ends[end - 1]) if end else 0
            end = max(start + 1, int(np.searchsorted(ends, before + SCORED_PASSAGES, side="right")))
            found[start:end] = self._cosines_of(rows[start:end])
        return found

    def _cosines_of(self, rows: I64Array) -> F64Array:
        """The same, of all these rows at once."""
        places = self._further.map
        counts = places.counts[rows]
        starts = np.cumsum(counts) - counts
        is_first = np.zeros(int(counts.sum()), np.bool_)
        is_first[starts] = True
        cosines = np.empty(len(is_first))
        cosines[is_first] = self._firsts.coded(rows).cosines(self._query)
        cosines[~is_first] = self._further.coded(places.entries_of(rows)).cosines(self._query)
        return text_cosines(cosines, places.lengths_of(rows), starts)


def text_rankings(
    firsts: Sequence[tuple[VectorIndex, BoolArray | None]],
    further: Sequence[PassageIndex | None],
    query: F32Array,
    k: int,
    given: Choice | None = None,
) -> list[TextRanking | None]:
    """The search of each segment for ``k`` rows of all; None where no text is cut.

    firsts: of each segment the index of the first passages and the allowed rows. Lists that are near are
    chosen for all segments together, also those that other processes have, if they are ``given``.
    """
    lists: list[BoolArray | None] = [None] * len(firsts)
    further_lists = lists.copy()
    others = [(number, index) for number, index in enumerate(further) if index is not None]
    found: list[BoolArray] = []
    if given is not None:
        lists = [*lists_by_index([index for index, _ in firsts], given.cut)]
        found = lists_by_index([index for _, index in others], given.further)
    elif len(firsts) > 1 and all(index.reach is None for index, _ in firsts):
        wanted = PROPOSED * k + MORE_PROPOSED
        indexes, allowed = zip(*firsts, strict=True)
        lists = [*lists_of_several(indexes, query, wanted, allowed)]
        entries = [entries_of(index, allowed[number]) for number, index in others]
        found = lists_of_several([index for _, index in others], query, wanted, entries)
    for (number, _), chosen in zip(others, found, strict=False):
        further_lists[number] = chosen
    return [
        None if index is None else TextRanking(first, index, query, each, *both)
        for (first, each), index, both in zip(
            firsts, further, zip(lists, further_lists, strict=True), strict=True
        )
    ]


def entries_of(further: PassageIndex, allowed: BoolArray | None) -> BoolArray | None:
    """Which passages of an index belong to rows that may be results."""
    return None if allowed is None else allowed[further.map.entry_rows]
