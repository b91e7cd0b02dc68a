"""Keyword search: the rows that hold the words, ranked by BM25.

A segment that has an index of its words is searched by that, all other texts are read. The statistics are
those of all rows of the version that is read, whatever the filters are; deleted rows do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np

from audiomem_sql.arrays import BoolArray, F64Array, I64Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.words import (
    Expression,
    KeywordIndex,
    KeywordRows,
    KeywordSource,
    Matches,
    Statistics,
    Words,
    match,
)
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.search.ranking.column_words import column_words
from audiomem_sql.search.ranking.neighbours import Neighbours, in_steps
from audiomem_sql.search.ranking.parts import Part, allowed_rows, live_rows, parts
from audiomem_sql.warn_once import warn_once


class KeywordRanking(NamedTuple):
    """The rows that hold the words, best first.

    rowids: int64 (n,). scores: BM25, float64 (n,), lower is better. rows: how many rows pass the filters,
    with the words or without.
    """

    rowids: I64Array
    scores: F64Array
    rows: int


def ranked_by_keywords(
    readable: Readable,
    columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
) -> Iterator[Neighbours]:
    """The rows that hold the words, best first; all of them, or ``k``. They have a rank and no distance."""
    rowids, scores, _ = keyword_ranking(readable, columns, expression, filters, row_filter=row_filter)
    rowids, scores = rowids[:k], scores[:k]
    yield from in_steps(Neighbours(rowids, np.full(len(rowids), np.nan, np.float32), scores))


def keyword_ranking(
    readable: Readable,
    columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
) -> KeywordRanking:
    """All rows that hold the words and pass the filters.

    columns: the indices, by name, of the columns that the expression speaks of. A damaged index of words is a
    warning, and the texts are read instead.
    """
    try:
        return _ranking(readable, columns, expression, filters, row_filter, use_indexes=True)
    except DamagedFileError as error:
        # This fails as well, unless it was an index of words that is damaged.
        ranking = _ranking(readable, columns, expression, filters, row_filter, use_indexes=False)
        warn_once(
            ("words", error.file, error.place),
            f"{error.file}: an index of words is damaged, and all texts are read instead: "
            f"{error.place}: {error.what}",
        )
        return ranking


def _ranking(
    readable: Readable,
    columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter],
    row_filter: RowFilter | None,
    *,
    use_indexes: bool,
) -> KeywordRanking:
    """The ranking by the indexes of the segments, or by their texts. The results are the same."""
    matched, statistics = matched_parts(readable, columns, expression, use_indexes)
    if statistics is None:
        return KeywordRanking(np.empty(0, np.int64), np.empty(0), 0)
    passing = 0
    rowids: list[I64Array] = []
    scores: list[F64Array] = []
    for part, matches in matched:
        check_interrupt()
        part_rowids, allowed = _rows_of(part, filters, row_filter)
        rows, values = matches.score(statistics, None, allowed)
        rowids.append(part_rowids[rows])
        scores.append(values)
        passing += len(part_rowids) if allowed is None else int(np.count_nonzero(allowed))
    all_rowids, all_scores = np.concatenate(rowids), np.concatenate(scores)
    order = np.lexsort((all_rowids, all_scores))
    return KeywordRanking(all_rowids[order], all_scores[order], passing)


def matched_parts(
    readable: Readable, columns: Mapping[str, int], expression: Expression, use_indexes: bool = True
) -> tuple[list[tuple[Part, Matches]], Statistics | None]:
    """What the expression finds in each part, and the statistics of all of them; None without a part."""
    matched: list[tuple[Part, Matches]] = []
    words = column_words(readable, columns)
    for part in parts(readable):
        check_interrupt()
        sources = {
            name: source_of(part, column, words[name], use_indexes) for name, column in columns.items()
        }
        for source in sources.values():
            if isinstance(source, KeywordIndex) and source.is_planned:
                phrases = [source.words.phrase(phrase.strings) for phrase, _ in expression.phrases]
                source.prefetch(term for phrase in phrases for term, _ in phrase)
        matched.append((part, match(expression, sources)))
    if not matched:
        return [], None
    return matched, reduce(add, (matches.statistics_of(live_rows(part)) for part, matches in matched))


def source_of(part: Part, column: int, words: Words, use_index: bool) -> KeywordSource:
    """Where the words of ``column`` are looked up: in its index, or in its texts."""
    if part.pending is not None:
        return KeywordRows(part.pending.arrays[column], words)
    segment = part.views[0].segment
    index = segment.keyword_index(column) if use_index else None
    if index is None or index.is_outdated:
        return KeywordRows(segment.slice(column, 0, segment.rows), words)
    return index


def _rows_of(
    part: Part, filters: Sequence[Filter], row_filter: RowFilter | None
) -> tuple[I64Array, BoolArray | None]:
    """The rowids of ``part``, int64 (n,), and which rows may be results, bool (n,); None for all."""
    if part.pending is None:
        return part.views[0].segment.rowids(), allowed_rows(part, filters, row_filter)
    rowids = part.pending.rowids
    if not filters and row_filter is None:
        return rowids, None
    passed = [batch.rowids for batch in scan(part, (), filters, row_filter=row_filter)]
    return rowids, np.isin(rowids, np.concatenate([np.empty(0, np.int64), *passed]))
