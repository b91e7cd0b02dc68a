"""Postings of a column on their way into an index: collected batch by batch, in files where they are many.

A batch of texts is sorted by term as it comes. When all are there, every batch is sorted once more, by the
class of its terms, which only all together tell; then what a piece of the index needs is one run in each
batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I32Array, I64Array, U8Array
from audiomem_sql.errors import LimitError
from audiomem_sql.indexes.words.directory import MAX_ROWS
from audiomem_sql.indexes.words.postings import ranges
from audiomem_sql.indexes.words.tokenizer import TokenizedTexts, Words, ranked
from audiomem_sql.machine.interrupts import apart, check_interrupt
from audiomem_sql.machine.spooled_arrays import SpooledRows

#: Texts that are tokenized at once; each byte takes about ten more.
_BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Postings of some terms, term by term.

    ``rows`` and ``frequencies`` int64 (p,), ``counts`` int64 (terms,), ``positions`` int64 (o,).
    """

    rows: I64Array
    frequencies: I64Array
    counts: I64Array
    positions: I64Array


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """``terms``: binary, ascending.

    ``counts``: int64 (terms,), postings of each; ``words``: words of each.
    """

    terms: pa.Array
    counts: I64Array
    words: I64Array


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """A batch in the order of the index.

    ``terms``: int64 (t,), rising positions in that order; ``postings`` and ``words``, int64 (t + 1,): where
    in all batches those of each begin, and where the last end.
    """

    terms: I64Array
    postings: I64Array
    words: I64Array


class KeywordBatches:
    """Texts in, by :meth:`add`.

    Then, after :meth:`end`, terms and postings out. ``words``: how texts become words; where these have no
    language yet, the first texts decide. ``positions``: keep those, too.
    """

    def __init__(self, words: Words, *, positions: bool) -> None:
        self.words_of_texts = words
        self._with_positions = positions
        self._batches: list[_Batch] = []
        self._postings = SpooledRows(2, "<i4")
        self._words = SpooledRows(1, "<i4")
        self._lengths: list[I32Array] = [np.empty(0, np.int32)]
        self._waiting: list[pa.Array] = []
        self._waiting_bytes = 0
        self._rows = 0
        self._runs: list[_Run] = []
        #: binary, ascending.
        self.terms: pa.Array = pa.array([], pa.binary())
        #: The bit length of the rows that hold each term, uint8 (terms,).
        self.classes: U8Array = np.empty(0, np.uint8)
        #: The terms by class, then as they are: int64 (terms,), and how many postings each has.
        self.order: I64Array = np.empty(0, np.int64)
        self.counts: I64Array = np.empty(0, np.int64)

    def add(self, texts: pa.Array) -> None:
        """Append an array of strings; a NULL has no words. LimitError for too many rows."""
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        if self._rows + len(texts) > MAX_ROWS:
            raise LimitError(f"a keyword index has up to {MAX_ROWS:,} rows, and this column more")
        step = max(1, int(_BATCH_BYTES * len(texts) / max(1, texts.nbytes)))
        for start in range(0, len(texts), step):
            part = texts.slice(start, step)
            self._waiting.append(part)
            self._waiting_bytes += part.nbytes
            self._rows += len(part)
            if self._waiting_bytes >= _BATCH_BYTES:
                self._tokenize()

    def _tokenize(self) -> None:
        texts = pa.concat_arrays(self._waiting)
        first = sum(map(len, self._lengths))
        self._waiting, self._waiting_bytes = [], 0
        if not self._batches:
            self.words_of_texts = self.words_of_texts.decided_by(texts)
        tokens = self.words_of_texts.tokenize(texts)
        batch, postings, positions = apart(_by_term, tokens, first)
        self._postings.append(postings)
        if self._with_positions:
            self._words.append(positions)
        self._batches.append(batch)
        self._lengths.append(tokens.lengths)

    @property
    def lengths(self) -> I32Array:
        """The words of each row, int32 (rows,)."""
        return np.concatenate(self._lengths)

    def end(self) -> None:
        """No more texts: put everything in the order of the index."""
        if self._waiting:
            self._tokenize()
        self.terms, codes = apart(ranked, [batch.terms for batch in self._batches])
        counts = np.zeros(len(self.terms), np.int64)
        at = 0
        own: list[I32Array] = []
        for batch in self._batches:
            own.append(codes[at : at + len(batch.terms)])
            counts[own[-1]] += batch.counts
            at += len(batch.terms)
        self.classes = np.frexp(counts.astype(np.float64))[1].astype(np.uint8)
        self.order = apart(partial(np.argsort, self.classes, kind="stable"))
        self.counts = counts[self.order]
        ranks = np.empty(len(self.order), np.int64)
        ranks[self.order] = np.arange(len(self.order))
        postings, words = SpooledRows(2, "<i4"), SpooledRows(1, "<i4")
        try:
            self._sort(own, ranks, postings, words)
        except BaseException:
            postings.close()
            words.close()
            raise
        self._batches.clear()
        self._postings.close()
        self._words.close()
        self._postings, self._words = postings, words

    def _sort(self, own: list[I32Array], ranks: I64Array, postings: SpooledRows, words: SpooledRows) -> None:
        """Put each batch in the order of the index. own: its terms among all terms; ranks: theirs."""
        first_posting = first_word = 0
        for batch, batch_codes in zip(self._batches, own, strict=True):
            check_interrupt()
            terms = ranks[batch_codes]
            order = np.argsort(terms, kind="stable")
            starts = np.cumsum(batch.counts) - batch.counts
            found = self._postings.read(first_posting, first_posting + int(batch.counts.sum()))
            postings.append(found[ranges(starts[order], batch.counts[order])])
            check_interrupt()
            if self._with_positions:
                starts = np.cumsum(batch.words) - batch.words
                found = self._words.read(first_word, first_word + int(batch.words.sum()))
                words.append(found[ranges(starts[order], batch.words[order])])
            ends = [np.concatenate(([0], np.cumsum(of[order]))) for of in (batch.counts, batch.words)]
            self._runs.append(_Run(terms[order], ends[0] + first_posting, ends[1] + first_word))
            first_posting += int(ends[0][-1])
            first_word += int(ends[1][-1])

    def postings(self, groups: I64Array) -> Iterator[Postings]:
        """Of terms by their positions in ``order``: those from groups[i] to groups[i + 1] - 1, for each i."""
        bounds = [np.searchsorted(run.terms, groups) for run in self._runs]
        for number in range(len(groups) - 1):
            terms: list[Any] = []
            found: list[Any] = []
            positions: list[Any] = []
            for run, bound in zip(self._runs, bounds, strict=True):
                low, high = bound[number], bound[number + 1]
                if low == high:
                    continue
                counts = np.diff(run.postings[low : high + 1])
                terms.append(np.repeat(run.terms[low:high], counts))
                found.append(self._postings.read(int(run.postings[low]), int(run.postings[high])))
                if self._with_positions:
                    positions.append(self._words.read(int(run.words[low]), int(run.words[high]))[:, 0])
            order = np.argsort(np.concatenate(terms), kind="stable")
            rows, frequencies = np.concatenate(found).astype(np.int64).T
            occurrences = np.empty(0, np.int64)
            if self._with_positions:
                starts = np.cumsum(frequencies) - frequencies
                occurrences = np.concatenate(positions)[ranges(starts[order], frequencies[order])]
            counts = self.counts[groups[number] : groups[number + 1]]
            yield Postings(rows[order], frequencies[order], counts, occurrences.astype(np.int64))

    def close(self) -> None:
        """Let go of the files."""
        self._postings.close()
        self._words.close()


def _by_term(tokens: TokenizedTexts, first: int) -> tuple[_Batch, I64Array, I32Array]:
    """The words of rows from ``first`` on, term by term: the batch, its postings, the positions of its words.

    Postings are int64 (p, 2), row and frequency; positions int32 (t, 1).
    """
    order = np.argsort(tokens.codes, kind="stable")
    codes, rows = tokens.codes[order], tokens.rows[order]
    begins = np.ones(len(codes), np.bool_)
    begins[1:] = (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1])
    firsts = np.flatnonzero(begins)
    frequencies = np.diff(np.append(firsts, len(codes)))
    postings = np.stack([rows[firsts] + np.int64(first), frequencies], axis=1)
    counts = np.bincount(codes[firsts], minlength=len(tokens.terms)).astype(np.int64)
    words = np.bincount(codes, minlength=len(tokens.terms)).astype(np.int64)
    return _Batch(tokens.terms, counts, words), postings, tokens.positions[order][:, None]
