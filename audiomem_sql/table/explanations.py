"""How a search is asked to rank, by the names of Python's arguments, and why it did so, as an Arrow table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Unpack

import pyarrow as pa

from audiomem_sql import search

if TYPE_CHECKING:
    from audiomem_sql.search import Explained, RankingOptions

#: The columns of an explanation.
EXPLANATION = pa.schema(
    [
        ("rank", pa.int64()),
        ("row_id", pa.int64()),
        ("key", pa.string()),
        ("score", pa.float64()),
        ("fusion", pa.string()),
        ("distance", pa.float64()),
        ("meaning_rank", pa.int64()),
        ("cosine", pa.float64()),
        ("meaning_mean", pa.float64()),
        ("meaning_deviation", pa.float64()),
        ("meaning_part", pa.float64()),
        ("meaning_weight", pa.float64()),
        ("words_rank", pa.int64()),
        ("bm25", pa.float64()),
        ("words_mean", pa.float64()),
        ("words_deviation", pa.float64()),
        ("words_part", pa.float64()),
        ("words_weight", pa.float64()),
        ("words", pa.string()),
        ("reranked", pa.float64()),
        ("vectors", pa.string()),
        ("passage", pa.string()),
        ("passage_cosine", pa.float64()),
        ("passages", pa.int64()),
    ]
)


def named_ranking(**options: Unpack[RankingOptions]) -> search.Ranking:
    """How to rank. Naming a model in Python allows that it is loaded, as creating a table with one does."""
    ranking = search.Ranking.of(**options)
    if isinstance(ranking.rerank, str):
        search.allow_model(ranking.rerank)
    return ranking


def explanation_table(rows: Iterator[Explained]) -> pa.Table:
    """An explanation as an Arrow table."""
    return pa.Table.from_pylist([row._asdict() for row in rows], schema=EXPLANATION)
