"""Which rows fulfil a query, and how often each of its phrases stands in them.

A query is matched against one column or several. A KeywordSource knows the words of a column: it is the index
of a segment, or rows in memory. The answers are those of FTS5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Protocol, TypeAlias

import numpy as np

from audiomem_sql.arrays import BoolArray, F64Array, I64Array, distinct
from audiomem_sql.indexes.words.bm25 import Statistics, bm25, top
from audiomem_sql.indexes.words.fts_query import And, Expression, Near, Node, Not, Nothing, Or, Phrase, spoken
from audiomem_sql.indexes.words.tokenizer import Words
from audiomem_sql.machine.interrupts import check_interrupt

_NONE = np.empty(0, np.int64)
#: Occurrences are int64: the row, then in the low bits the position in the row.
ROW_SHIFT = 32
_POSITION = (1 << ROW_SHIFT) - 1


#: What a phrase is to a column: terms, and whether any word that begins so will do.
PhraseTerms: TypeAlias = tuple[tuple[bytes, bool], ...]


class KeywordSource(Protocol):
    """What a column's words can be asked for; rows are numbered 0 … row_count - 1 inside the source."""

    @property
    def words(self) -> Words:
        """How texts become words."""

    @property
    def row_count(self) -> int:
        """The number of rows."""

    @property
    def lengths(self) -> I64Array:
        """Tokens of each row, int64 (row_count,)."""

    def postings(self, term: bytes) -> tuple[I64Array, I64Array]:
        """The rows that hold ``term``, ascending, and how often: int64 (df,) twice."""

    def postings_of(self, terms: Sequence[bytes]) -> tuple[I64Array, I64Array]:
        """The postings of several terms, in no order: a row stands there once for each term that it holds."""

    def prefixed(self, prefix: bytes) -> list[bytes]:
        """The terms that begin with ``prefix``, ascending."""

    def occurrences(self, terms: Sequence[Sequence[bytes]], rows: I64Array) -> list[I64Array]:
        """For each list of terms the occurrences in ``rows`` (ascending) of any of them, ascending.

        An occurrence is row << ROW_SHIFT | position.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Rows, ascending int64 (n,), and in each the number of times: int64 (n,), float64 with weights."""

    rows: I64Array
    counts: I64Array | F64Array

    def within(self, rows: I64Array) -> Hits:
        """The hits in ``rows``, ascending."""
        if rows is self.rows:
            return self
        kept = _is_in(self.rows, rows)
        return Hits(self.rows[kept], self.counts[kept])


@dataclass(slots=True, eq=False)
class Matches:
    """What a query finds in one segment, or among the rows of the log.

    ``rows`` int64 (n,) ascending; ``hits`` for each phrase of the query how often it counts in which of them;
    ``alone`` for each phrase the rows that hold it, whatever else the query asks, int64 (m,);
    ``lengths`` int64 (row_count,); ``weights`` those of the expression.
    """

    rows: I64Array
    hits: list[Hits]
    alone: list[I64Array]
    lengths: I64Array
    weights: tuple[int, ...] | None = None
    #: Where each phrase begins in each column, as occurrences; only of phrases that were looked for by
    #: position.
    occurrences: dict[tuple[int, str], I64Array] = field(default_factory=dict)

    @property
    def statistics(self) -> Statistics:
        """What BM25 must know of these rows; those of all segments and of the log are added up."""
        frequencies = np.array([len(rows) for rows in self.alone], np.int64)
        return Statistics(len(self.lengths), int(self.lengths.sum()), frequencies)

    def statistics_of(self, live: BoolArray | None) -> Statistics:
        """The statistics of the rows that are there, bool (row_count,); None: all of them."""
        if live is None:
            return self.statistics
        frequencies = np.array([np.count_nonzero(live[rows]) for rows in self.alone], np.int64)
        return Statistics(int(np.count_nonzero(live)), int(self.lengths[live].sum()), frequencies)

    def counts(self, rows: I64Array) -> F64Array:
        """How often each phrase counts in each of ``rows``, ascending int64 (n,): float64 (phrases, n)."""
        counts = np.zeros((len(self.hits), len(rows)))
        for phrase, hits in enumerate(self.hits):
            kept = hits.within(rows)
            counts[phrase, np.searchsorted(rows, kept.rows)] = kept.counts
        return counts

    def score(
        self, statistics: Statistics, k: int | None = None, allowed: BoolArray | None = None
    ) -> tuple[I64Array, F64Array]:
        """The best ``k`` of ``scores``, best (lowest, as FTS5 has it) first; equal ones by row."""
        rows, scores = self.scores(statistics, allowed)
        best = top(scores, k)
        return rows[best], scores[best]

    def scores(self, statistics: Statistics, allowed: BoolArray | None = None) -> tuple[I64Array, F64Array]:
        """The rows that the filter ``allowed``, bool (row_count,), lets through, and their scores."""
        rows = self.rows if allowed is None else self.rows[allowed[self.rows]]
        return rows, bm25(statistics, self.counts(rows), self.lengths[rows], self.weights)


def match(
    expression: Expression, columns: Mapping[str, KeywordSource], *, with_occurrences: bool = False
) -> Matches:
    """The rows that fulfil ``expression``; the sources have the same rows.

    With ``with_occurrences`` the occurrences of every phrase are kept (highlight needs them).
    """
    matcher = _Matcher(columns, with_occurrences, expression.column_weights)
    root = spoken(expression.root, matcher.has_terms)
    rows = matcher.rows_of(root)
    hits = [Hits(_NONE, _NONE)] * len(expression.phrases)
    matcher.count(root, rows, hits)
    lengths = reduce(np.add, (source.lengths for source in columns.values()))
    alone = matcher.alone(expression)
    return Matches(rows, hits, alone, lengths, expression.weights, matcher.occurrences)


class _Matcher:
    """One query over the rows of some columns."""

    def __init__(
        self,
        columns: Mapping[str, KeywordSource],
        keep_occurrences: bool,
        column_weights: Mapping[str, float],
    ) -> None:
        self._columns = columns
        self._keep_occurrences = keep_occurrences
        self._column_weights = column_weights
        self._words: dict[tuple[Phrase, Words], PhraseTerms] = {}
        self._rows: dict[int, I64Array] = {}
        self._phrases: dict[tuple[Phrase, str, bool], Hits] = {}
        self._starts: dict[tuple[Phrase, str], I64Array] = {}
        self._near: dict[int, list[Hits]] = {}
        self.occurrences: dict[tuple[int, str], I64Array] = {}

    def has_terms(self, phrase: Phrase) -> bool:
        """Whether there is a word in ``phrase``, to one column at least."""
        return any(self._phrase_terms(phrase, column) for column in self._columns)

    def _phrase_terms(self, phrase: Phrase, column: str) -> PhraseTerms:
        key = phrase, self._columns[column].words
        terms = self._words.get(key)
        if terms is None:
            terms = self._words[key] = key[1].phrase(phrase.strings)
        return terms

    def rows_of(self, node: Node) -> I64Array:
        """The rows that fulfil ``node``, ascending."""
        rows = self._rows.get(id(node))
        if rows is None:
            rows = self._rows[id(node)] = self._evaluate(node)
        return rows

    def _evaluate(self, node: Node) -> I64Array:
        if isinstance(node, Nothing):
            return _NONE
        if isinstance(node, Near):
            hits = self._near[id(node)] = self._near_hits(node)
            return hits[0].rows if len(hits) == 1 else reduce(_common, (one.rows for one in hits))
        if isinstance(node, And):
            return reduce(_common, (self.rows_of(child) for child in node.children))
        if isinstance(node, Or):
            return distinct(np.concatenate([self.rows_of(child) for child in node.children]))
        left_rows = self.rows_of(node.left)
        return left_rows[~_is_in(left_rows, self.rows_of(node.right))]

    def count(self, node: Node, rows: I64Array, hits: list[Hits]) -> None:
        """Put into ``hits`` what counts for BM25: phrases fulfilled up to the root, none under NOT."""
        if isinstance(node, Near):
            for number, one in zip(node.phrase_numbers, self._near[id(node)], strict=True):
                hits[number] = one.within(rows)
            return
        if isinstance(node, And):
            for child in node.children:
                self.count(child, rows, hits)
        elif isinstance(node, Or):
            for child in node.children:
                self.count(child, _common(rows, self.rows_of(child)), hits)
        elif isinstance(node, Not):
            self.count(node.left, rows, hits)

    def alone(self, expression: Expression) -> list[I64Array]:
        """For each phrase the rows that hold it in the columns that it is looked for in, ascending."""
        held = []
        for phrase, columns in expression.phrases:
            by_column = [self._phrase(phrase, column) for column in self._columns if column in columns]
            held.append(_merged(by_column).rows)
        return held

    def _near_hits(self, node: Near) -> list[Hits]:
        by_phrase: list[list[Hits]] = [[] for _ in node.phrases]
        for column in self._columns:
            if column not in node.columns:
                continue
            if len(node.phrases) == 1 and not self._keep_occurrences:
                by_phrase[0].append(self._weighted(self._phrase(node.phrases[0], column), column))
                continue
            starts = [self._starts_of(phrase, column) for phrase in node.phrases]
            if len(starts) > 1:
                sizes = [len(self._phrase_terms(phrase, column)) for phrase in node.phrases]
                starts = near(starts, sizes, node.distance)
            for hits, number, occurrences in zip(by_phrase, node.phrase_numbers, starts, strict=True):
                self.occurrences[number, column] = occurrences
                hits.append(self._weighted(_counted(occurrences), column))
        return [_merged(hits) for hits in by_phrase]

    def _weighted(self, hits: Hits, column: str) -> Hits:
        """The hits in ``column``, as much as they count there."""
        if not self._column_weights:
            return hits
        counts: F64Array = hits.counts.astype(np.float64) * self._column_weights.get(column, 1.0)
        return Hits(hits.rows, counts)

    def _phrase(self, phrase: Phrase, column: str) -> Hits:
        """The rows whose ``column`` holds ``phrase``, and how often."""
        key = phrase, column, False
        hits = self._phrases.get(key)
        if hits is None:
            terms = self._phrase_terms(phrase, column)
            if not terms:
                hits = Hits(_NONE, _NONE)
            elif len(terms) > 1 or phrase.first:
                hits = _counted(self._starts_of(phrase, column))
            else:
                source = self._columns[column]
                hits = _held(source, self._terms(phrase, column)[0])
            self._phrases[key] = hits
        return hits

    def _starts_of(self, phrase: Phrase, column: str) -> I64Array:
        """Where ``phrase`` begins in ``column``: occurrences, ascending."""
        starts = self._starts.get((phrase, column))
        if starts is None:
            starts = self._starts[phrase, column] = self._find(phrase, column)
        return starts

    def _find(self, phrase: Phrase, column: str) -> I64Array:
        if not self._phrase_terms(phrase, column):
            return _NONE
        source = self._columns[column]
        terms = self._terms(phrase, column)
        rows: I64Array | None = None
        for alternatives in terms:
            rows_held = _held(source, alternatives).rows
            rows = rows_held if rows is None else _common(rows, rows_held)
            if len(rows) == 0:
                return _NONE
        assert rows is not None
        begins: I64Array | None = None
        for offset, occurrences in enumerate(source.occurrences(terms, rows)):
            # A word too near the beginning of its row would be taken for one of the row before it.
            starts = occurrences[(occurrences & _POSITION) >= offset] - offset
            begins = starts if begins is None else _common(begins, starts)
        assert begins is not None
        return begins[(begins & _POSITION) == 0] if phrase.first else begins

    def _terms(self, phrase: Phrase, column: str) -> list[list[bytes]]:
        source = self._columns[column]
        return [
            source.prefixed(term) if prefix else [term] for term, prefix in self._phrase_terms(phrase, column)
        ]


def near(starts: list[I64Array], sizes: list[int], distance: int) -> list[I64Array]:
    """Of the occurrences of some phrases those that stand near each other.

    At most ``distance`` tokens lie between the end of any of them and the beginning of the last.
    """
    rows = reduce(_common, (distinct(occurrences >> ROW_SHIFT) for occurrences in starts))
    kept: list[list[int]] = [[] for _ in starts]
    bounds = [
        (np.searchsorted(p, rows << ROW_SHIFT), np.searchsorted(p, (rows + 1) << ROW_SHIFT)) for p in starts
    ]
    for index in range(len(rows)):
        check_interrupt()
        lists = [
            occurrences[low[index] : high[index]].tolist()
            for occurrences, (low, high) in zip(starts, bounds, strict=True)
        ]
        _near_in_row(lists, sizes, distance, kept)
    return [distinct(np.array(occurrences, np.int64)) for occurrences in kept]


def _near_in_row(lists: list[list[int]], sizes: list[int], distance: int, kept: list[list[int]]) -> None:
    """One position in each list, all within reach of the greatest.

    Then the list whose next one is the least goes on.
    """
    at = [0] * len(lists)
    most = lists[0][0]
    while True:
        settled = False
        while not settled:
            settled = True
            for i, positions in enumerate(lists):
                least = most - sizes[i] - distance
                if not least <= positions[at[i]] <= most:
                    settled = False
                    while positions[at[i]] < least:
                        at[i] += 1
                        if at[i] == len(positions):
                            return
                    most = max(most, positions[at[i]])
        for i, positions in enumerate(lists):
            kept[i].append(positions[at[i]])
        following = [
            positions[i + 1] if i + 1 < len(positions) else None
            for positions, i in zip(lists, at, strict=True)
        ]
        ahead = [(value, i) for i, value in enumerate(following) if value is not None]
        if not ahead:
            return
        value, i = min(ahead)
        at[i] += 1
        most = max(most, value)


def _counted(occurrences: I64Array) -> Hits:
    rows, counts = np.unique(occurrences >> ROW_SHIFT, return_counts=True)
    return Hits(rows, counts.astype(np.int64))


def _held(source: KeywordSource, terms: list[bytes]) -> Hits:
    """The rows that hold one of ``terms``, and how often."""
    if len(terms) == 1:
        return Hits(*source.postings(terms[0]))
    return _added(*source.postings_of(terms))


def _merged(parts: list[Hits]) -> Hits:
    """The hits of several columns, added up."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Hits(_NONE, _NONE)
    return _added(
        np.concatenate([hits.rows for hits in parts]), np.concatenate([hits.counts for hits in parts])
    )


def _added(rows: I64Array, counts: I64Array | F64Array) -> Hits:
    """Each row once, with the sum of its counts."""
    distinct, inverse = np.unique(rows, return_inverse=True)
    sums: F64Array = np.bincount(inverse, counts, len(distinct)).astype(np.float64)
    return Hits(distinct, sums if counts.dtype == np.float64 else sums.astype(np.int64))


def _common(a: I64Array, b: I64Array) -> I64Array:
    """What two ascending arrays share."""
    if a is b:
        return a
    return a[_is_in(a, b)]


def _is_in(a: I64Array, b: I64Array) -> BoolArray:
    """Whether each of ``a`` is in ``b``, both ascending; the shorter one is looked up in the longer."""
    if len(a) == 0 or len(b) == 0:
        return np.zeros(len(a), np.bool_)
    if len(a) <= len(b):
        positions = np.searchsorted(b, a)
        hits: BoolArray = b[np.minimum(positions, len(b) - 1)] == a
        return hits
    mask = np.zeros(len(a), np.bool_)
    positions = np.searchsorted(a, b)
    within = positions < len(a)
    within[within] = a[positions[within]] == b[within]
    mask[positions[within]] = True
    return mask
