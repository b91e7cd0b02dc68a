"""The words of a table: what stands in it and how often, and which of them are like a word that does not.

The terms are those that queries look for: stems, where a column has them. Rows that were deleted do not
count.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array, distinct
from audiomem_sql.errors import QueryError
from audiomem_sql.indexes.words import ROW_SHIFT, KeywordSource, Words
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.scan import Readable
from audiomem_sql.search.ranking.column_words import column_words
from audiomem_sql.search.ranking.keyword_search import source_of
from audiomem_sql.search.ranking.parts import Part, parts

#: Kinds of a vocabulary: each term once, once a column, or wherever it stands.
KINDS = ("row", "col", "instance")
#: Longer words are like none: nobody types them.
_MAX_LETTERS = 64
#: A word so short is like one with one letter changed, a longer one like one with two.
_SHORT = 4
#: Spellings of a stem, from other columns and segments, that are looked at.
_LOOKED_AT = 8


class Term(NamedTuple):
    """A term, the column where it stands (None: in any), the rows that have it, how often it is there.

    Of the kind ``instance``: the rowid in place of the number of rows, and which word of the column it is,
    counted from 0, in place of how often.
    """

    term: str
    column: str | None
    documents: int
    times: int | None
    offset: int | None = None


class Suggestion(NamedTuple):
    """A word as a text writes it, how many letters must be changed, and the rows that have its term."""

    word: str
    distance: int
    documents: int


class _Held(NamedTuple):
    """What one column of one part holds of a term; ordered by term, column and part."""

    term: bytes
    column: str
    part: int
    rows: I64Array
    counts: I64Array


def checked_word(word: object, path: str) -> str:
    """A word that others may be like. QueryError for what is no text."""
    if not isinstance(word, str):
        raise QueryError(f"{word!r:.40} is no word", file=path, remedy="Pass it as text.")
    return word


def checked_kind(kind: object, path: str) -> str:
    """A kind of vocabulary, ``row`` for None. QueryError for what is none."""
    if kind is None:
        return KINDS[0]
    if kind not in KINDS:
        raise QueryError(
            f"there is no vocabulary of kind {kind!r}",
            file=path,
            remedy="It is 'row', each term once, 'col', once a column, or 'instance', wherever it stands.",
        )
    return str(kind)


def vocabulary(readable: Readable, columns: Mapping[str, int], kind: str = KINDS[0]) -> Iterator[Term]:
    """The terms of columns, ascending by their UTF-8.

    columns: their indices by name. Of a kind ``instance`` the terms of a column are counted in its texts,
    which are read.
    """
    searched = _Searched(readable, columns, with_positions=kind == "instance")
    for term, held in groupby(searched.terms(), key=lambda each: each.term):
        here = list(held)
        text = term.decode("utf-8", "replace")
        if kind == "instance":
            for rowid, column, offset in sorted(searched.places(here)):
                yield Term(text, searched.names[column], rowid, None, offset)
            continue
        if kind == "row":
            yield Term(text, None, _documents(here), _count(here))
            continue
        for name, of_column in groupby(here, key=lambda each: each.column):
            alike = list(of_column)
            yield Term(text, name, _documents(alike), _count(alike))


def suggestions(readable: Readable, columns: Mapping[str, int], word: str, k: int) -> list[Suggestion]:
    """The ``k`` words of the columns that are written most like ``word``; of two alike the one in more rows.

    A word that is there itself comes first, with distance 0.
    """
    searched = _Searched(readable, columns)
    wanted = {name: _term_of(words, word) for name, words in searched.words.items()}

    def is_near(column: str, term: bytes) -> bool:
        return _near(wanted[column], term) is not None

    if not any(wanted.values()):
        return []
    best: dict[bytes, tuple[int, int, list[_Held]]] = {}
    for term, held in groupby(searched.terms(is_near), key=lambda each: each.term):
        here = list(held)
        distances = [_near(wanted[each.column], term) for each in here]
        best[term] = min(found for found in distances if found is not None), -_documents(here), here
    chosen = sorted(best.items(), key=lambda item: (*item[1][:2], item[0]))[:k]
    return [
        Suggestion(_like(word, [searched.written(held) for held in here[:_LOOKED_AT]]), distance, -documents)
        for _, (distance, documents, here) in chosen
    ]


class _Searched:
    """The columns in all parts of what is searched."""

    def __init__(
        self, readable: Readable, columns: Mapping[str, int], *, with_positions: bool = False
    ) -> None:
        self.words = column_words(readable, columns)
        self.names = {column: name for name, column in columns.items()}
        self._columns = columns
        self._parts = list(parts(readable))
        self._with_positions = with_positions
        self._sources: dict[tuple[int, str], KeywordSource] = {}

    def terms(self, wanted: Callable[[str, bytes], bool] | None = None) -> Iterator[_Held]:
        """What each part holds of each term, in order; wanted: whether a column's term is of interest."""
        return heapq.merge(
            *(
                self._of(number, part, name, wanted)
                for number, part in enumerate(self._parts)
                for name in self._columns
            ),
            key=lambda held: (held.term, held.column, held.part),
        )

    def _of(
        self, number: int, part: Part, name: str, wanted: Callable[[str, bytes], bool] | None
    ) -> Iterator[_Held]:
        source = self._source(number, part, name)
        live: BoolArray | None = None
        if part.pending is None:
            live = part.views[0].live(0, part.views[0].segment.rows)
        for term in source.prefixed(b""):
            if wanted is not None and not wanted(name, term):
                continue
            check_interrupt()
            rows, counts = source.postings(term)
            if live is not None:
                kept = live[rows]
                rows, counts = rows[kept], counts[kept]
            if len(rows):
                yield _Held(term, name, number, rows, counts)

    def _source(self, number: int, part: Part, name: str) -> KeywordSource:
        """The words of a column of a part; with positions, if they are asked for."""
        source = source_of(part, self._columns[name], self.words[name], not self._with_positions)
        if self._with_positions:  # the indexes of tables have none, so these are the texts
            self._sources[number, name] = source
        return source

    def places(self, held: list[_Held]) -> Iterator[tuple[int, int, int]]:
        """Where a term stands: rowid, index of the column, and which word of it."""
        for each in held:
            part = self._parts[each.part]
            rowids = part.views[0].segment.rowids() if part.pending is None else part.pending.rowids
            source, column = self._sources[each.part, each.column], self._columns[each.column]
            (occurrences,) = source.occurrences([[each.term]], each.rows)
            for occurrence in occurrences.tolist():
                row, offset = divmod(occurrence, 1 << ROW_SHIFT)
                yield int(rowids[row]), column, offset

    def written(self, held: _Held) -> str:
        """A term as the first row writes it that has it."""
        part, column = self._parts[held.part], self._columns[held.column]
        row = int(held.rows[0])
        if part.pending is not None:
            texts: pa.Array = part.pending.arrays[column].slice(row, 1)
        else:
            texts = part.views[0].segment.slice(column, row, row + 1)
        text = str(texts[0].as_py())
        spans = self.words[held.column].spans(text)
        found = next((span for span in spans if span.term == held.term), None)
        return (
            held.term.decode("utf-8", "replace") if found is None else text[found.start : found.end].lower()
        )


def _like(word: str, spellings: list[str]) -> str:
    """The spelling that is most like ``word``."""
    return min(spellings, key=lambda spelling: (_distance(word.lower(), spelling), spelling))


def _documents(held: list[_Held]) -> int:
    rows = 0
    for _, of_part in groupby(sorted(held, key=lambda each: each.part), key=lambda each: each.part):
        rows += len(distinct(np.concatenate([each.rows for each in of_part])))
    return rows


def _count(held: list[_Held]) -> int:
    return int(sum(each.counts.sum() for each in held))


def _term_of(words: Words, word: str) -> str:
    """The term that ``word`` is looked for as; empty for several, or none."""
    terms = words.phrase(((word, False),))
    return terms[0][0].decode("utf-8", "replace") if len(terms) == 1 else ""


def _near(wanted: str, term: bytes) -> int | None:
    """How many letters are changed between a word and a term, None for too many."""
    if not wanted or len(wanted) > _MAX_LETTERS or len(term) > 4 * _MAX_LETTERS:
        return None
    most = 1 if len(wanted) <= _SHORT else 2
    text = term.decode("utf-8", "replace")
    if abs(len(text) - len(wanted)) > most or len(set(text) ^ set(wanted)) > 2 * most:
        return None
    distance = _distance(wanted, text)
    return distance if distance <= most else None


def _distance(one: str, other: str) -> int:
    """Letters that are inserted, deleted, replaced, or swapped with the next (Damerau 1964)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, second in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != second))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == second:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
