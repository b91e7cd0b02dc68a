"""Where the text of a DEFAULT or a CHECK ends, before SQLite says whether it means anything.

Files bring such text along, so nothing reaches SQLite that is not one value or one expression in parentheses.
"""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.columns.lexemes import Lexeme, Token, blob_of, lexemes
from audiomem_sql.errors import SchemaError

#: Most characters of a DEFAULT or CHECK.
MAX_EXPRESSION = 1 << 16
DEFAULT_REMEDY = (
    "Behind DEFAULT comes a number, a 'text', x'a blob', TRUE, FALSE, NULL, CURRENT_TIMESTAMP, CURRENT_DATE, "
    "CURRENT_TIME or an (expression)"
)
_CONSTANTS = ("NULL", "TRUE", "FALSE", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP")


def default_length(words: Sequence[Lexeme]) -> int:
    """How many of ``words`` are the value of a DEFAULT; 0 if they do not begin with one."""
    if not words:
        return 0
    first = words[0]
    if first.token in (Token.STRING, Token.NUMBER) or first.is_word(*_CONSTANTS):
        return 1
    if first.token is Token.BLOB:
        return int(blob_of(first) is not None)
    if first.text in ("+", "-"):
        return 2 if len(words) > 1 and words[1].token is Token.NUMBER else 0
    return enclosed_length(words)


def enclosed_length(words: Sequence[Lexeme]) -> int:
    """How many of ``words`` are one pair of parentheses and what is inside.

    0 if they do not begin with one.
    """
    depth = 0
    for number, word in enumerate(words):
        if word.token is Token.MARK:
            depth += (word.text == "(") - (word.text == ")")
            if word.text == ";":
                return 0
        if not depth:
            return number + 1 if number > 1 else 0
    return 0


def is_default(text: str) -> bool:
    """Whether ``text`` is a value that DEFAULT takes, and nothing beyond it."""
    words = _words(f"({text})")
    if not words or words[-1].text != ")":  # a comment that does not end hides what would follow it
        return False
    return len(words) > 2 and default_length(words[1:-1]) == len(words) - 2


def is_expression(text: str) -> bool:
    """Whether ``text`` could stand in one pair of parentheses."""
    words = _words(f"({text}\n)")
    return len(words) > 2 and enclosed_length(words) == len(words)


def _words(text: str) -> list[Lexeme]:
    if len(text) > MAX_EXPRESSION or "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        return []
    try:
        return lexemes(text)
    except SchemaError:
        return []
