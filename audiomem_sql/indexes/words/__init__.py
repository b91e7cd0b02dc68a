"""Words of texts: the keyword index of a segment, queries as in FTS5, BM25, and the marking of matches.

Other rooms import from here only.

- ``KeywordWriter`` writes the index of one column, ``KeywordIndex`` reads it. ``KeywordRows`` gives the same
  answers for texts in memory. Both are a ``KeywordSource``, and ``JoinedSources`` are several as one.
- ``words_of`` gives the ``Words`` of a tokenizer: how texts and queries become words.
- ``parse_query`` makes an ``Expression`` of a query in FTS5's syntax, ``plain_query`` one of plain words.
- ``match`` says which rows fulfil an expression; ``Matches`` scores them by ``Statistics``, and ``weights``
  and ``term_frequencies`` say how a score comes about.
- ``highlight``, ``snippet`` and ``best_column`` show what matches in a text.

It is not for meaning: synonyms are other words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.first_use import at_first_use

if TYPE_CHECKING:
    from audiomem_sql.indexes.words.bm25 import Statistics, term_frequencies, weights
    from audiomem_sql.indexes.words.encoder import KeywordWriter
    from audiomem_sql.indexes.words.fts_query import Expression, parse_query
    from audiomem_sql.indexes.words.index import KeywordIndex
    from audiomem_sql.indexes.words.joined import JoinedSources
    from audiomem_sql.indexes.words.marking import best_column, highlight, instances, snippet
    from audiomem_sql.indexes.words.matching import ROW_SHIFT, KeywordSource, Matches, match
    from audiomem_sql.indexes.words.plain_words import plain_query
    from audiomem_sql.indexes.words.rows_in_memory import KeywordRows
    from audiomem_sql.indexes.words.tokenizer import Words, words_of

__all__ = [
    "ROW_SHIFT",
    "Expression",
    "JoinedSources",
    "KeywordIndex",
    "KeywordRows",
    "KeywordSource",
    "KeywordWriter",
    "Matches",
    "Statistics",
    "Words",
    "best_column",
    "highlight",
    "instances",
    "match",
    "parse_query",
    "plain_query",
    "snippet",
    "term_frequencies",
    "weights",
    "words_of",
]

__getattr__ = at_first_use(
    __name__,
    {
        "bm25": ("Statistics", "term_frequencies", "weights"),
        "encoder": ("KeywordWriter",),
        "fts_query": ("Expression", "parse_query"),
        "index": ("KeywordIndex",),
        "joined": ("JoinedSources",),
        "marking": ("best_column", "highlight", "instances", "snippet"),
        "matching": ("KeywordSource", "Matches", "ROW_SHIFT", "match"),
        "plain_words": ("plain_query",),
        "rows_in_memory": ("KeywordRows",),
        "tokenizer": ("Words", "words_of"),
    },
)
