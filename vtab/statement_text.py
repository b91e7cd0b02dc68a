"""What the text of an INSERT or UPDATE says before its values: the table, the columns, the conflict clause.

SQLite passes NULL to a virtual table both for a column that INSERT left out and for one that was set to NULL,
and the same conflict mode for OR ABORT and for no clause. The text tells them apart. Only what is understood
without doubt is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from audiomem_sql.columns.column import fold
from audiomem_sql.columns.lexemes import Lexeme, Token, end_of_space, lexeme_at

#: Characters of a statement that are looked at. What is told stands before the values.
HEAD = 1 << 14
_NAMES = (Token.WORD, Token.QUOTED, Token.STRING)
_CONFLICTS = ("ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE")


@dataclass(frozen=True, slots=True)
class Writing:
    """The beginning of an INSERT or UPDATE.

    database: as it was written before the table, None without. conflict: the word behind OR, in capitals.
    columns: those that INSERT names, folded; None for all of them (and for UPDATE).
    """

    table: str
    database: str | None = None
    conflict: str | None = None
    columns: frozenset[str] | None = None


@lru_cache(maxsize=128)
def read_writing(text: str) -> Writing | None:
    """What a statement writes, by its text or the beginning of it; None for all others, and in doubt."""
    return _Reader(text).statement()


def has_returning(text: str) -> bool:
    """Whether a statement that writes has a RETURNING clause."""
    return "RETURNING" in text.upper() and any(
        not depth and lexeme.is_word("RETURNING") for depth, lexeme in _lexemes(text)
    )


def inserts_twice(text: str) -> bool:
    """Whether a text, or the beginning of it, is more than one statement, as INTO stands in it twice."""
    return sum(lexeme.is_word("INTO") for _, lexeme in _lexemes(text)) > 1


def _lexemes(text: str) -> Iterator[tuple[int, Lexeme]]:
    """(parentheses around it, token), up to the end or to what is never closed."""
    depth, position = 0, end_of_space(text, 0)
    while True:
        lexeme = lexeme_at(text, position)
        if lexeme.token in (Token.END, Token.OPEN):
            return
        depth += (lexeme.text == "(") - (lexeme.text == ")")
        yield depth, lexeme
        position = end_of_space(text, lexeme.end)


class _Reader:
    """Reads one statement, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = end_of_space(text, 0)

    def _peek(self) -> Lexeme:
        return lexeme_at(self._text, self._position)

    def _take(self) -> Lexeme:
        lexeme = self._peek()
        self._position = end_of_space(self._text, lexeme.end)
        return lexeme

    def _takes(self, *words: str) -> str | None:
        """Take one of these words or marks, if it comes next; it in capitals."""
        lexeme = self._peek()
        if lexeme.is_word(*words) or (lexeme.token is Token.MARK and lexeme.text in words):
            self._take()
            return lexeme.text.upper()
        return None

    def _name(self) -> str | None:
        lexeme = self._take()
        return lexeme.value if lexeme.token in _NAMES else None

    def statement(self) -> Writing | None:
        """The statement; None where it cannot be told."""
        if self._takes("WITH") and not self._skips_common_tables():
            return None
        verb = self._takes("INSERT", "REPLACE", "UPDATE")
        if verb is None:
            return None
        conflict = "REPLACE" if verb == "REPLACE" else None
        if verb != "REPLACE" and self._takes("OR"):
            conflict = self._takes(*_CONFLICTS)
            if conflict is None:
                return None
        if verb != "UPDATE" and not self._takes("INTO"):
            return None
        target = self._target()
        if target is None:
            return None
        if verb == "UPDATE":
            return Writing(*target, conflict)
        columns = self._columns()
        return None if columns is None else Writing(*target, conflict, columns[0])

    def _skips_common_tables(self) -> bool:
        """Whether what follows WITH could be passed over."""
        self._takes("RECURSIVE")
        while True:
            if self._name() is None or (self._peek().text == "(" and not self._skips_parentheses()):
                return False
            if not self._takes("AS"):
                return False
            if self._takes("NOT") and self._peek().value.upper() != "MATERIALIZED":
                return False
            self._takes("MATERIALIZED")
            if not self._skips_parentheses():
                return False
            if not self._takes(","):
                return True

    def _skips_parentheses(self) -> bool:
        depth = 0
        while True:
            lexeme = self._take()
            if lexeme.token in (Token.END, Token.OPEN):
                return False
            depth += (lexeme.text == "(") - (lexeme.text == ")")
            if depth <= 0:
                return lexeme.text == ")"

    def _target(self) -> tuple[str, str | None] | None:
        """(table, database), without the alias behind it."""
        table, database = self._name(), None
        if self._takes("."):
            table, database = self._name(), table
        return None if table is None else (table, database)

    def _columns(self) -> tuple[frozenset[str] | None] | None:
        """What stands between the table and the values; None if that cannot be told."""
        if self._takes("AS") and self._name() is None:
            return None
        columns: frozenset[str] | None = None
        if self._takes("("):
            names = []
            while True:
                name = self._name()
                if name is None:
                    return None
                names.append(fold(name))
                if self._takes(")"):
                    break
                if not self._takes(","):
                    return None
            columns = frozenset(names)
        if columns is None and self._takes("DEFAULT"):
            return (frozenset(),) if self._takes("VALUES") else None
        return (columns,) if self._takes("VALUES", "SELECT", "WITH") else None
