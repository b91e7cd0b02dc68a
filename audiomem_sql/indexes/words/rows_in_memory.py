"""The words of a few rows in memory: those of the log, or those among which a phrase is looked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.indexes.words.matching import ROW_SHIFT
from audiomem_sql.indexes.words.tokenizer import Words

_NONE = np.empty(0, np.int64)


class KeywordRows:
    """A KeywordSource over an Arrow array of texts (NULL has no words), made at about 30 MB/s.

    Nothing is stored.
    """

    def __init__(self, texts: pa.Array, words: Words) -> None:
        self.words = words
        tokens = words.tokenize(texts)
        self._terms: list[bytes] = tokens.terms.to_pylist()
        self._lengths = tokens.lengths.astype(np.int64)
        order = np.argsort(tokens.codes, kind="stable")
        self._occurrences = (tokens.rows[order].astype(np.int64) << ROW_SHIFT) | tokens.positions[order]
        self._starts = np.searchsorted(tokens.codes[order], np.arange(len(self._terms) + 1))

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(self._lengths)

    @property
    def lengths(self) -> I64Array:
        """Tokens of each row, int64 (row_count,)."""
        return self._lengths

    def _of(self, term: bytes) -> I64Array:
        code = bisect_left(self._terms, term)
        if code == len(self._terms) or self._terms[code] != term:
            return _NONE
        return self._occurrences[self._starts[code] : self._starts[code + 1]]

    def postings(self, term: bytes) -> tuple[I64Array, I64Array]:
        """The rows that hold ``term``, ascending, and how often: int64 (df,) twice."""
        rows, counts = np.unique(self._of(term) >> ROW_SHIFT, return_counts=True)
        return rows, counts.astype(np.int64)

    def postings_of(self, terms: Sequence[bytes]) -> tuple[I64Array, I64Array]:
        """The postings of several terms, in no order: a row stands there once for each term that it holds."""
        postings = [self.postings(term) for term in terms]
        return (
            np.concatenate([_NONE, *(rows for rows, _ in postings)]),
            np.concatenate([_NONE, *(counts for _, counts in postings)]),
        )

    def prefixed(self, prefix: bytes) -> list[bytes]:
        """The terms that begin with ``prefix``, ascending."""
        start = end = bisect_left(self._terms, prefix)
        while end < len(self._terms) and self._terms[end].startswith(prefix):
            end += 1
        return self._terms[start:end]

    def occurrences(self, terms: Sequence[Sequence[bytes]], rows: I64Array) -> list[I64Array]:
        """For each list of terms the occurrences in ``rows`` of any of them, ascending.

        An occurrence is row << ROW_SHIFT | position.
        """
        by_terms = []
        for alternatives in terms:
            occurrences = np.concatenate([_NONE, *(self._of(term) for term in alternatives)])
            by_terms.append(np.sort(occurrences[np.isin(occurrences >> ROW_SHIFT, rows)]))
        return by_terms
