"""A query of plain words: whatever a person types. A row needs one of the words to be found."""

from __future__ import annotations

from collections.abc import Mapping

from audiomem_sql.indexes.words.fts_query import Expression, Near, Nothing, Or, Phrase, numbered
from audiomem_sql.indexes.words.tokenizer import Words

#: Different words of a query that are looked for: those of a page or two.
MOST_WORDS = 512
#: Characters of a query that are looked at for words.
_MOST_CHARACTERS = 1 << 20


def plain_query(text: str, columns: Mapping[str, Words]) -> Expression:
    """The expression for any of the words of ``text``, in any of ``columns``.

    columns: how the texts of each become words. Stop words are left out, unless there is nothing else. A word
    that stands there several times counts so often.
    """
    by_words: dict[Words, set[str]] = {}
    for column, words in columns.items():
        by_words.setdefault(words, set()).add(column)
    nodes: list[Near] = []
    weights: list[int] = []
    for words, names in by_words.items():
        for word, count in _counted(text[:_MOST_CHARACTERS], words):
            nodes.append(Near((Phrase(((word, False),)),), frozenset(names)))
            weights.append(count)
    root = nodes[0] if len(nodes) == 1 else Or(tuple(nodes)) if nodes else Nothing()
    return numbered(root, tuple(weights))


def _counted(text: str, words: Words) -> list[tuple[str, int]]:
    """The words of a query that make a difference, and how often each stands there."""
    written = words.plain(text)
    stops = words.stop_words
    chosen = [word for word in written if word.lower() not in stops] or written
    counts: dict[str, int] = {}
    for word in chosen:
        counts[word] = counts.get(word, 0) + 1
    first_of: dict[object, str] = {}
    merged: dict[str, int] = {}
    for word, count in counts.items():
        if len(first_of) >= MOST_WORDS:
            break
        terms = words.phrase(((word, False),))
        if terms:
            first = first_of.setdefault(terms, word)
            merged[first] = merged.get(first, 0) + count
    return list(merged.items())
