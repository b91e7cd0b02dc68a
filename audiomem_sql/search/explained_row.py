"""The figures of a row of a search."""

from __future__ import annotations

from typing import NamedTuple


class Explained(NamedTuple):
    """A row of a search, its place counted from 1.

    key: its primary key as text, of several columns as JSON; without one the rowid. A kind that did not hand
    the row over has no rank and no value. words: JSON, for each word of the query that the row has how often,
    its weight (idf) and how that counts here (tf); score is repeat · idf · tf. Of a search with weights of
    columns also how often it stands in each (counts), and the sum of these, each times the weight of its
    column (weighted), which tf is made of. reranked: what the reranker gave. vectors: JSON, of each column of
    vectors that is searched beside others its name, the figures of a kind, and as ``score`` the cosine, or
    minus a distance of another kind. passage: of a text that is cut, the best passage as ``[first,behind]``,
    passage_cosine: how near that is, and passages: how many there are; the cosine is of all of them.
    """

    rank: int
    row_id: int
    key: str | None
    score: float
    fusion: str | None
    distance: float | None
    meaning_rank: int | None = None
    cosine: float | None = None
    meaning_mean: float | None = None
    meaning_deviation: float | None = None
    meaning_part: float | None = None
    meaning_weight: float | None = None
    words_rank: int | None = None
    bm25: float | None = None
    words_mean: float | None = None
    words_deviation: float | None = None
    words_part: float | None = None
    words_weight: float | None = None
    words: str | None = None
    reranked: float | None = None
    vectors: str | None = None
    passage: str | None = None
    passage_cosine: float | None = None
    passages: int | None = None
