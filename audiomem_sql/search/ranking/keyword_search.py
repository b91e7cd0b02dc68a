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
    JoinedSources,
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
from audiomem_sql.search.ranking.processes import Session, answered, new_number
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
    words = column_words(readable, columns)
    passing = tuple(filters), row_filter

    def alone() -> list[KeywordRanking]:
        groups = matched_groups(readable, columns, expression, words, use_indexes)
        statistics = statistics_of(groups)
        return [] if statistics is None else [group.scored(statistics, *passing) for group in groups]

    def together(session: Session) -> list[KeywordRanking]:
        number = new_number()
        tokenizers = {name: str(own.tokenizer) for name, own in words.items()}
        session.ask("words", number, dict(columns), tokenizers, expression)
        groups = matched_groups(session.own, columns, expression, words)
        found = [each for each in (statistics_of(groups), *session.answers()) if each is not None]
        if not found:
            return []
        statistics = reduce(add, found)
        session.ask("scores", number, statistics, *passing)
        scored = [group.scored(statistics, *passing) for group in groups]
        return [*scored, *(KeywordRanking(*each) for answer in session.answers() for each in answer)]

    scored = answered(readable, together, alone) if use_indexes else alone()
    if not scored:
        return KeywordRanking(np.empty(0, np.int64), np.empty(0), 0)
    rowids, scores = (np.concatenate([each[place] for each in scored]) for place in (0, 1))
    order = np.lexsort((rowids, scores))
    return KeywordRanking(rowids[order], scores[order], sum(each.rows for each in scored))


class Group(NamedTuple):
    """Parts whose texts become words in the same way, and what the expression finds in all of them."""

    parts: list[Part]
    starts: I64Array
    matches: Matches

    @property
    def statistics(self) -> Statistics:
        """Those of the rows that are there."""
        return self.matches.statistics_of(self._joined([live_rows(part) for part in self.parts]))

    def scored(
        self, statistics: Statistics, filters: Sequence[Filter], row_filter: RowFilter | None
    ) -> KeywordRanking:
        """The rows that pass the filters, in no order."""
        rowids, allowed = [], []
        for part in self.parts:
            check_interrupt()
            part_rowids, part_allowed = _rows_of(part, filters, row_filter)
            rowids.append(part_rowids)
            allowed.append(part_allowed)
        joined = self._joined(allowed)
        rows, scores = self.matches.scores(statistics, joined)
        ends = np.searchsorted(rows, self.starts)
        found = [
            part_rowids[rows[low:high] - start]
            for part_rowids, start, low, high in zip(
                rowids, self.starts[:-1], ends[:-1], ends[1:], strict=True
            )
        ]
        passing = int(self.starts[-1]) if joined is None else int(np.count_nonzero(joined))
        return KeywordRanking(np.concatenate(found), scores, passing)

    def _joined(self, masks: Sequence[BoolArray | None]) -> BoolArray | None:
        """Masks of the parts, None for all rows, as one."""
        if all(mask is None for mask in masks):
            return None
        sizes = np.diff(self.starts).tolist()
        return np.concatenate(
            [
                np.ones(size, np.bool_) if mask is None else mask
                for mask, size in zip(masks, sizes, strict=True)
            ]
        )


def statistics_of(groups: Sequence[Group]) -> Statistics | None:
    """Those of all rows that are there; None without a group."""
    return reduce(add, (group.statistics for group in groups)) if groups else None


def matched_groups(
    readable: Readable,
    columns: Mapping[str, int],
    expression: Expression,
    words: Mapping[str, Words],
    use_indexes: bool = True,
) -> list[Group]:
    """What the expression finds, in as few groups of parts as can be. words: of the columns, by name."""
    alike: dict[tuple[Words, ...], list[tuple[Part, dict[str, KeywordSource]]]] = {}
    for part, sources in _sources_of_parts(readable, columns, expression, words, use_indexes):
        alike.setdefault(tuple(source.words for source in sources.values()), []).append((part, sources))
    groups = []
    for members in alike.values():
        check_interrupt()
        joined = {name: JoinedSources([sources[name] for _, sources in members]) for name in columns}
        starts = next(iter(joined.values())).starts
        own = members[0][1] if len(members) == 1 else joined
        groups.append(Group([part for part, _ in members], starts, match(expression, own)))
    return groups


def matched_parts(
    readable: Readable, columns: Mapping[str, int], expression: Expression
) -> tuple[list[tuple[Part, Matches]], Statistics | None]:
    """What the expression finds in each part, and the statistics of all of them; None without a part."""
    words = column_words(readable, columns)
    matched = [
        (part, match(expression, sources))
        for part, sources in _sources_of_parts(readable, columns, expression, words)
    ]
    if not matched:
        return [], None
    return matched, reduce(add, (matches.statistics_of(live_rows(part)) for part, matches in matched))


def _sources_of_parts(
    readable: Readable,
    columns: Mapping[str, int],
    expression: Expression,
    words: Mapping[str, Words],
    use_indexes: bool = True,
) -> Iterator[tuple[Part, dict[str, KeywordSource]]]:
    """Each part, and where the words of each column are looked up in it."""
    for part in parts(readable):
        check_interrupt()
        sources = {
            name: source_of(part, column, words[name], use_indexes) for name, column in columns.items()
        }
        for source in sources.values():
            if isinstance(source, KeywordIndex) and source.is_planned:
                phrases = [source.words.phrase(phrase.strings) for phrase, _ in expression.phrases]
                source.prefetch(term for phrase in phrases for term, _ in phrase)
        yield part, sources


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
