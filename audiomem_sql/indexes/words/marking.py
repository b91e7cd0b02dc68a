"""What FTS5's auxiliary functions highlight() and snippet() show of a row.

https://sqlite.org/fts5.html, sections 5.1.2 and 5.1.3.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.tokenizers import UNSAID
from audiomem_sql.indexes.words.fts_query import Expression
from audiomem_sql.indexes.words.matching import ROW_SHIFT, match
from audiomem_sql.indexes.words.rows_in_memory import KeywordRows
from audiomem_sql.indexes.words.tokenizer import PAIR, Token, Words, words_of

#: What a snippet is given for being the beginning of a text, or of a sentence; a phrase not seen yet, and one
#: seen.
_AT_BEGINNING, _AT_SENTENCE, _NEW_PHRASE, _SEEN_PHRASE = 120, 100, 1000, 1

#: What FTS5 takes for the end of a sentence.
_BETWEEN_SENTENCES = re.compile(r"[.:][ \t\n\r]+")


class Instance(NamedTuple):
    """A phrase in a text: its first token, its number in the query, and its number of tokens.

    Ordered as FTS5 orders them.
    """

    start: int
    phrase: int
    size: int


def instances(
    expression: Expression,
    row: Mapping[str, str | None],
    column: str,
    words: Mapping[str, Words] | None = None,
) -> list[Instance]:
    """Where the phrases of ``expression`` stand in ``column`` of a row, in order.

    None if the row does not fulfil it. ``words``: how the texts of the columns become words, by name;
    without, as ``unicode61`` says.

    Only what takes part in the match counts: both sides of NEAR where they are near, and no phrase behind
    NOT.
    """
    own = words_in(words, column)
    sources = {
        name: KeywordRows(pa.array([text], pa.string()), words_in(words, name)) for name, text in row.items()
    }
    matches = match(expression, sources, with_occurrences=True)
    low = (1 << ROW_SHIFT) - 1
    return sorted(
        Instance(int(position), phrase, len(own.phrase(expression.phrases[phrase][0].strings)))
        for (phrase, name), occurrences in matches.occurrences.items()
        if name == column and len(matches.hits[phrase].rows)
        for position in np.asarray(occurrences) & low
    )


def words_in(words: Mapping[str, Words] | None, column: str) -> Words:
    """How the texts of ``column`` become words; as ``unicode61`` says where nothing is known of it."""
    found = (words or {}).get(column)
    return words_of(UNSAID) if found is None else found


def highlight(
    text: str,
    expression: Expression,
    open_: str,
    close: str,
    *,
    row: Mapping[str, str | None] | None = None,
    column: str | None = None,
    words: Mapping[str, Words] | None = None,
) -> str:
    """``text`` with ``open_`` and ``close`` around each phrase that matches.

    Phrases that overlap share one pair.

    ``row`` gives the texts of all columns, by name, where the query speaks of several; ``text`` must be one
    of them, ``column``. ``words`` as in :func:`instances`.
    """
    column, row = _column_of(text, expression, row, column)
    own = words_in(words, column)
    tokens = own.spans(text)
    stretches: list[tuple[int, int]] = []
    for first, _, end in _coalesced(instances(expression, row, column, words), tokens, expression, own):
        start = tokens[first].start
        if stretches and start < stretches[-1][1]:  # tokens that share characters
            stretches[-1] = stretches[-1][0], max(stretches[-1][1], end)
        else:
            stretches.append((start, end))
    out: list[str] = []
    at = 0
    for start, end in stretches:
        out += [text[at:start], open_, text[start:end], close]
        at = end
    return "".join(out) + text[at:]


def snippet(
    text: str,
    expression: Expression,
    open_: str,
    close: str,
    ellipsis: str,
    max_tokens: int,
    *,
    row: Mapping[str, str | None] | None = None,
    column: str | None = None,
    words: Mapping[str, Words] | None = None,
) -> str:
    """At most ``max_tokens`` tokens of ``text`` around as many different phrases as can be, highlighted.

    A stretch that begins the text or a sentence is preferred to one that does not and holds as much.
    ``ellipsis`` stands for what is left out at either end. ``row``, ``column`` and ``words`` as in
    :func:`highlight`.
    """
    column, row = _column_of(text, expression, row, column)
    own = words_in(words, column)
    tokens = own.spans(text)
    marks = instances(expression, row, column, words)
    first, _ = _best_start(text, tokens, marks, max_tokens)
    last = first + max_tokens - 1
    out = [ellipsis] if first > 0 else []
    at = tokens[first].start if first > 0 and first < len(tokens) else 0
    reached = at
    for begin, end, stop in _coalesced(marks, tokens, expression, own):
        if begin < first or begin > last:
            continue
        start = tokens[begin].start
        stop = tokens[last].end if end > last else stop
        if start < reached:  # tokens that share characters
            out[-1:] = [text[reached:stop], close]
        else:
            out += [text[at:start], open_, text[start:stop], close]
        at = reached = max(reached, stop)
    if last >= len(tokens) - 1:
        out.append(text[at:])
    else:
        out += [text[at : max(at, tokens[last].end)], ellipsis]
    return "".join(out)


def best_column(
    row: Mapping[str, str | None],
    expression: Expression,
    max_tokens: int,
    words: Mapping[str, Words] | None = None,
) -> str | None:
    """The column of ``row`` whose snippet says most, the first of those that say as much.

    None if none says anything.
    """
    best, best_score = None, 0
    for column, text in row.items():
        if text is not None:
            marks = instances(expression, row, column, words)
            _, score = _best_start(text, words_in(words, column).spans(text), marks, max_tokens)
            if score > best_score:
                best, best_score = column, score
    return best


def _column_of(
    text: str, expression: Expression, row: Mapping[str, str | None] | None, column: str | None
) -> tuple[str, Mapping[str, str | None]]:
    if row is not None:
        if column is not None:
            return column, row
        return next(name for name, value in row.items() if value == text), row
    names = {name for _, columns in expression.phrases for name in columns} or {""}
    return min(names), {min(names): text}


def _coalesced(
    marks: list[Instance], tokens: list[Token], expression: Expression, words: Words
) -> list[tuple[int, int, int]]:
    """First and last token of stretches of instances that overlap, and the first character behind each."""
    stretches: list[tuple[int, int, int]] = []
    for instance in marks:
        last = instance.start + instance.size - 1
        stop = tokens[last].end
        if tokens[last].pair == PAIR and instance.size == 1:
            term, _ = words.phrase(expression.phrases[instance.phrase][0].strings)[0]
            stop = tokens[last].start + len(term.decode("utf-8", "replace"))
        if stretches and instance.start <= stretches[-1][1]:
            first, before, stop_before = stretches[-1]
            stretches[-1] = first, max(before, last), max(stop_before, stop)
        else:
            stretches.append((instance.start, last, stop))
    return stretches


def _best_start(text: str, tokens: list[Token], marks: list[Instance], size: int) -> tuple[int, int]:
    """The first token of the stretch of ``size`` tokens that says most, and how much it says."""
    sentences = _sentence_starts(text, tokens)
    best, best_score = 0, 0
    for instance in marks:
        score, start = _score(marks, instance.start, size, len(tokens))
        if score > best_score:
            best, best_score = start, score
        if len(tokens) > size:
            sentence = max(start for start in sentences if start <= instance.start)
            if sentence < instance.start:
                score = _score(marks, sentence, size, len(tokens))[0]
                score += _AT_BEGINNING if sentence == 0 else _AT_SENTENCE
                if score > best_score:
                    best, best_score = sentence, score
    return best, best_score


def _score(marks: list[Instance], start: int, size: int, total: int) -> tuple[int, int]:
    """What the stretch from ``start`` is worth, and the start that puts what it holds into its middle."""
    inside = [instance for instance in marks if start <= instance.start < start + size]
    phrases: set[int] = set()
    score = 0
    for instance in inside:
        score += _SEEN_PHRASE if instance.phrase in phrases else _NEW_PHRASE
        phrases.add(instance.phrase)
    if not inside:
        return score, start
    first, last = inside[0].start, inside[-1].start + inside[-1].size
    spare = size - (last - first)
    middle = first - (abs(spare) // 2 if spare >= 0 else -(abs(spare) // 2))
    return score, max(0, min(middle, total - size))


def _sentence_starts(text: str, tokens: list[Token]) -> list[int]:
    """The tokens that begin the text, or stand behind a full stop or a colon and white space.

    Those characters may be part of tokens before it: trigrams overlap, and ``tokenchars`` may name them.
    """
    starts = [token.start for token in tokens]
    found = [0]
    for gap in _BETWEEN_SENTENCES.finditer(text):
        behind = range(bisect_right(starts, gap.start() + 1), bisect_right(starts, gap.end()))
        found += [number for number in behind if number > 0]
    return found
