"""The filter of the Python API as a condition: any expression of SQL that speaks of one row.

:mod:`audiomem_sql.predicates.where` reads the part of the language that zone maps and Arrow's kernels decide.
A filter beyond it is taken apart at its AND, OR, NOT and parentheses. What then is a comparison of one column
still prunes, and SQLite decides the others (:class:`~audiomem_sql.predicates.predicate.SqlPredicate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from audiomem_sql.columns.lexemes import Lexeme, Token, lexemes, source
from audiomem_sql.errors import QueryError, SchemaError
from audiomem_sql.predicates import And, Condition, Not, Or
from audiomem_sql.predicates.operands import Wide
from audiomem_sql.predicates.predicate import SqlPredicate
from audiomem_sql.predicates.where import MAX_LENGTH, bound_value, not_understood, parse_where

#: Parentheses inside parentheses that are taken apart; what is deeper is decided as a whole.
_DEEPEST = 32
#: Marks that begin a parameter with a name.
_NAMED = frozenset(":@$#")


def condition_of(text: str, names: Sequence[str], parameters: Sequence[Any] = ()) -> Condition:
    """The filter as a condition on columns numbered as in ``names``; each ``?`` is one of ``parameters``.

    QueryError for what is no filter, and when the number of parameters is not that of the question marks.
    """
    try:
        return parse_where(text, names, parameters)
    except QueryError:
        if len(text) > MAX_LENGTH:
            raise
        try:
            words = lexemes(text)
        except SchemaError:
            words = []
        if not words:
            raise
    return _Reader(text, names, words, parameters).condition(words, 0)


def whole_condition(text: str, names: Sequence[str], parameters: Sequence[Any] = ()) -> Condition:
    """The same, all of it decided by SQLite."""
    words = lexemes(text)
    return _Reader(text, names, words, parameters).leaf(words)


class _Reader:
    """Takes a filter apart. words: its tokens."""

    def __init__(
        self, text: str, names: Sequence[str], words: Sequence[Lexeme], parameters: Sequence[Any]
    ) -> None:
        self._text = text
        self._names = names
        marks = [word.start for word in words if word.text == "?"]
        self._check(words, marks, len(parameters))
        values = (bound_value(value, number) for number, value in enumerate(parameters, 1))
        #: The value of each question mark, by its place in the text.
        self._values = dict(zip(marks, values, strict=True))

    def _check(self, words: Sequence[Lexeme], marks: Sequence[int], given: int) -> None:
        places = set(marks)
        for word in words:
            numbered = word.token is Token.NUMBER and word.start - 1 in places
            if numbered or (word.token is Token.MARK and word.text in _NAMED):
                raise not_understood(self._text, word.start, "a parameter is a question mark alone")
        if len(marks) != given:
            raise QueryError(f"the filter has {len(marks)} question marks, and there are {given} parameters")

    def condition(self, words: Sequence[Lexeme], depth: int) -> Condition:
        """The condition that ``words`` state."""
        alternatives = list(_split(words, "OR"))
        if len(alternatives) > 1:
            return Or(tuple(self.condition(part, depth) for part in alternatives))
        together = list(_split(words, "AND"))
        if len(together) > 1:
            return And(tuple(self.condition(part, depth) for part in together))
        negated = False
        while words and words[0].is_word("NOT"):
            words, negated = words[1:], not negated
        inner = _inside(words)
        if inner is None or depth >= _DEEPEST:
            condition: Condition = self.leaf(words)
        else:
            condition = self.condition(inner, depth + 1)
        return Not(condition) if negated else condition

    def leaf(self, words: Sequence[Lexeme]) -> Condition:
        """What is decided as a whole: as a comparison of one column if it is one, and else by SQLite."""
        if not words:
            raise not_understood(self._text, len(self._text), "a condition is missing")
        text = source(self._text, words)
        values = tuple(self._values[word.start] for word in words if word.text == "?")
        try:
            return parse_where(text, self._names, values)
        except QueryError:
            for value in values:
                if isinstance(value, Wide):
                    raise value.refused() from None
            return SqlPredicate.of(text, values, words[0].start)


def _split(words: Sequence[Lexeme], joint: str) -> Iterator[Sequence[Lexeme]]:
    """The parts of ``words`` between the words ``joint`` that join conditions.

    Not: those in parentheses, those between CASE and END, and the AND of a BETWEEN.
    """
    start = depth = cases = ranges = 0
    for number, word in enumerate(words):
        if word.token is Token.MARK:
            depth += (word.text == "(") - (word.text == ")")
        if depth or word.token is not Token.WORD:
            continue
        if word.is_word("CASE", "END"):
            cases = max(0, cases + (1 if word.is_word("CASE") else -1))
        elif cases:
            continue
        elif word.is_word("BETWEEN"):
            ranges += 1
        elif ranges and word.is_word("AND"):
            ranges -= 1
        elif word.is_word(joint):
            yield words[start:number]
            start = number + 1
    yield words[start:]


def _inside(words: Sequence[Lexeme]) -> Sequence[Lexeme] | None:
    """What is in the parentheses that enclose all of ``words``, if it is a condition; None otherwise."""
    if len(words) < 3 or words[0].text != "(":
        return None
    depth = 0
    for number, word in enumerate(words):
        if word.token is not Token.MARK:
            continue
        depth += (word.text == "(") - (word.text == ")")
        if not depth and number < len(words) - 1:
            return None
        if depth == 1 and word.text == ",":  # a row of values
            return None
    if depth or words[1].is_word("SELECT", "WITH", "VALUES"):
        return None
    return words[1:-1]
