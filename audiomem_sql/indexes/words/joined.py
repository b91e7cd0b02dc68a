"""The words of several sources as those of one, so that a query is matched once, not once for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.indexes.words.matching import ROW_SHIFT, KeywordSource
from audiomem_sql.indexes.words.tokenizer import Words

_NONE = np.empty(0, np.int64)


class JoinedSources:
    """A KeywordSource whose rows are those of others, one behind the other; they have the same words."""

    def __init__(self, sources: Sequence[KeywordSource]) -> None:
        self._sources = sources
        counts = [source.row_count for source in sources]
        #: The first row of each source, and the end of the last one.
        self.starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    @property
    def words(self) -> Words:
        """How texts become words."""
        return self._sources[0].words

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return int(self.starts[-1])

    @cached_property
    def lengths(self) -> I64Array:
        """Tokens of each row, int64 (row_count,)."""
        return np.concatenate([source.lengths for source in self._sources])

    def postings(self, term: bytes) -> tuple[I64Array, I64Array]:
        """The rows that hold ``term``, ascending, and how often: int64 (df,) twice."""
        return self._together(lambda source: source.postings(term))

    def postings_of(self, terms: Sequence[bytes]) -> tuple[I64Array, I64Array]:
        """The postings of several terms, in no order: a row stands there once for each term that it holds."""
        return self._together(lambda source: source.postings_of(terms))

    def _together(
        self, of: Callable[[KeywordSource], tuple[I64Array, I64Array]]
    ) -> tuple[I64Array, I64Array]:
        rows, counts = zip(*map(of, self._sources), strict=True)
        moved = [part + start for part, start in zip(rows, self.starts[:-1], strict=True)]
        return np.concatenate(moved), np.concatenate(counts)

    def prefixed(self, prefix: bytes) -> list[bytes]:
        """The terms that begin with ``prefix``, ascending."""
        return sorted({term for source in self._sources for term in source.prefixed(prefix)})

    def occurrences(self, terms: Sequence[Sequence[bytes]], rows: I64Array) -> list[I64Array]:
        """For each list of terms the occurrences in ``rows`` (ascending) of any of them, ascending."""
        ends = np.searchsorted(rows, self.starts)
        found: list[list[I64Array]] = [[_NONE] for _ in terms]
        for number in np.flatnonzero(np.diff(ends)).tolist():
            start = self.starts[number]
            own = self._sources[number].occurrences(terms, rows[ends[number] : ends[number + 1]] - start)
            for parts, occurrences in zip(found, own, strict=True):
                parts.append(occurrences + (start << ROW_SHIFT))
        return [np.concatenate(parts) for parts in found]
