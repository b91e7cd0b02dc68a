"""Words of texts: the keyword index of a segment, queries as in FTS5, BM25, and the marking of matches.

Other rooms import from here only.

- ``KeywordWriter`` writes the index of one column, ``KeywordIndex`` reads it. ``KeywordRows`` gives the same
  answers for texts in memory. Both are a ``KeywordSource``.
- ``parse_query`` makes an ``Expression`` of a query, ``quoted`` a query of a word, ``spans`` the words of a
  text.
- ``match`` says which rows fulfil an expression; ``Matches`` scores them, ``coverage`` says how much the best
  one holds.
- ``highlight``, ``snippet`` and ``best_column`` show what matches in a text.

It is not for meaning: synonyms are other words. Words are those of FTS5's tokenizer unicode61.
"""

from audiomem_sql.indexes.words.bm25 import coverage
from audiomem_sql.indexes.words.encoder import KeywordWriter
from audiomem_sql.indexes.words.fts_query import Expression, parse_query, quoted
from audiomem_sql.indexes.words.index import KeywordIndex
from audiomem_sql.indexes.words.marking import best_column, highlight, snippet
from audiomem_sql.indexes.words.matching import KeywordSource, Matches, match
from audiomem_sql.indexes.words.rows_in_memory import KeywordRows
from audiomem_sql.indexes.words.tokenizer import spans

__all__ = [
    "Expression",
    "KeywordIndex",
    "KeywordRows",
    "KeywordSource",
    "KeywordWriter",
    "Matches",
    "best_column",
    "coverage",
    "highlight",
    "match",
    "parse_query",
    "quoted",
    "snippet",
    "spans",
]
