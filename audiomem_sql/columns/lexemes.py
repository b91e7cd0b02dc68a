"""SQL text as tokens, the way SQLite reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from audiomem_sql.errors import SchemaError


class Token(Enum):
    """What a token is: a word, a quoted identifier, a 'string', x'a blob', a number, or a punctuation mark.

    OPEN: a quotation mark that is not closed, of a blob with its x. END: the end of the text.
    """

    WORD = "word"
    QUOTED = "quoted"
    STRING = "string"
    BLOB = "blob"
    NUMBER = "number"
    MARK = "mark"
    OPEN = "open"
    END = "end"


class Lexeme(NamedTuple):
    """One token: its kind, its meaning, its source text, where that begins, and the first place behind it.

    The meaning of what is quoted is what the quotes enclose, of a blob its digits, of all others the text.
    """

    token: Token
    value: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether this is one of ``words``, given in capitals, outside quotes."""
        return self.token is Token.WORD and self.value.isascii() and self.value.upper() in words


#: ASCII that is none of A-Z, a-z, 0-9, _ and $: what is beyond ASCII belongs to a word. A class with a range
#: up to U+10FFFF would take 5 ms to compile.
_NO_WORD = r"\x00-\x23\x25-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f"
WORD = rf"[^{_NO_WORD}0-9$][^{_NO_WORD}]*"
SPACE = r"(?>(?:[ \t\n\f\r]|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*)"  # atomic: a comment ends at its first */
_LEXEME = re.compile(
    rf"""[xX]'(?P<blob>[^']*)' | (?P<open_blob>[xX]') | (?P<word>{WORD})
    | "(?P<double>(?>(?:[^"]|"")*))" | `(?P<back>(?>(?:[^`]|``)*))` | \[(?P<bracket>[^\]]*)\]
    | '(?P<string>(?>(?:[^']|'')*))'
    | (?P<number>\.?[0-9](?:[eE][+-](?=[0-9])|\.|[^{_NO_WORD}])*)
    | (?P<open>["'`\[])
    | (?P<mark><>|<=|<<|>=|>>|==|!=|\|\||->>?|--|/\*|\S)""",
    re.VERBOSE | re.DOTALL,
)
#: What a group of the expression is, and the quotation mark that is written twice inside it.
_KINDS: dict[str | None, tuple[Token, str]] = {
    "blob": (Token.BLOB, ""),
    "open_blob": (Token.OPEN, ""),
    "word": (Token.WORD, ""),
    "double": (Token.QUOTED, '"'),
    "back": (Token.QUOTED, "`"),
    "bracket": (Token.QUOTED, ""),
    "string": (Token.STRING, "'"),
    "number": (Token.NUMBER, ""),
    "open": (Token.OPEN, ""),
    "mark": (Token.MARK, ""),
}
_HEX_PAIRS = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_SPACES = re.compile(SPACE, re.DOTALL)
_BARE_NAME = re.compile(rf"[^{_NO_WORD}0-9$][^{_NO_WORD}$]*")
# https://www.sqlite.org/lang_keywords.html
_RESERVED = """
    ABORT ACTION ADD AFTER ALL ALTER ALWAYS ANALYZE AND AS ASC ATTACH AUTOINCREMENT BEFORE BEGIN BETWEEN
    BY CASCADE CASE CAST CHECK COLLATE COLUMN COMMIT CONFLICT CONSTRAINT CREATE CROSS CURRENT
    CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DATABASE DEFAULT DEFERRABLE DEFERRED DELETE DESC DETACH
    DISTINCT DO DROP EACH ELSE END ESCAPE EXCEPT EXCLUDE EXCLUSIVE EXISTS EXPLAIN FAIL FILTER FIRST
    FOLLOWING FOR FOREIGN FROM FULL GENERATED GLOB GROUP GROUPS HAVING IF IGNORE IMMEDIATE IN INDEX
    INDEXED INITIALLY INNER INSERT INSTEAD INTERSECT INTO IS ISNULL JOIN KEY LAST LEFT LIKE LIMIT MATCH
    MATERIALIZED NATURAL NO NOT NOTHING NOTNULL NULL NULLS OF OFFSET ON OR ORDER OTHERS OUTER OVER
    PARTITION PLAN PRAGMA PRECEDING PRIMARY QUERY RAISE RANGE RECURSIVE REFERENCES REGEXP REINDEX RELEASE
    RENAME REPLACE RESTRICT RETURNING RIGHT ROLLBACK ROW ROWS SAVEPOINT SELECT SEMANTIC SET TABLE TEMP
    TEMPORARY THEN TIES TO TRANSACTION TRIGGER UNBOUNDED UNION UNIQUE UPDATE USING VACUUM VALUES VIEW
    VIRTUAL WHEN WHERE WINDOW WITH WITHIN WITHOUT"""
_KEYWORDS = frozenset(_RESERVED.split())


def lexeme_at(text: str, position: int) -> Lexeme:
    """The token that begins at ``position``, where neither space nor comment is.

    Its kind is OPEN for a quotation mark that is not closed, and MARK for a single character that is part of
    nothing else.
    """
    match = _LEXEME.match(text, position)
    if match is None:
        character = text[position : position + 1]
        return Lexeme(Token.MARK if character else Token.END, character, character, position, len(text))
    kind, mark = _KINDS[match.lastgroup]
    whole, value = match.group(0, match.lastindex or 0)
    if mark and mark in value:
        value = value.replace(mark * 2, mark)
    return Lexeme(kind, value, whole, position, position + len(whole))


def lexemes(definition: str) -> list[Lexeme]:
    """The tokens of a piece of SQL, comments left out. Raises SchemaError where a quote is not closed."""
    tokens = []
    position = end_of_space(definition, 0)
    while position < len(definition):
        lexeme = lexeme_at(definition, position)
        if lexeme.token is Token.OPEN or (lexeme.token is Token.MARK and lexeme.text.isspace()):
            raise SchemaError(
                f"{definition.strip()!r} cannot be read from character {position + 1} on",
                remedy="Look for a quotation mark that is not closed",
            )
        tokens.append(lexeme)
        position = end_of_space(definition, lexeme.end)
    return tokens


def blob_of(lexeme: Lexeme) -> bytes | None:
    """The octets that a BLOB token spells; None if its digits do not spell any."""
    return bytes.fromhex(lexeme.value) if _HEX_PAIRS.fullmatch(lexeme.value) else None


def source(definition: str, words: Sequence[Lexeme]) -> str:
    """The part of ``definition`` from the first of ``words`` to the last, as it was written."""
    return definition[words[0].start : words[-1].start + len(words[-1].text)] if words else ""


def end_of_space(text: str, at: int) -> int:
    """The first place from ``at`` on that is neither space nor comment."""
    match = _SPACES.match(text, at)
    return match.end() if match else at


def quote(name: str) -> str:
    """``name`` as an SQL identifier, in quotes."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """``text`` as an SQL text."""
    return "'" + text.replace("'", "''") + "'"


def bare(name: str) -> str:
    """``name`` as an SQL identifier, in quotes only if it needs them."""
    plain = _BARE_NAME.fullmatch(name) and name.upper() not in _KEYWORDS
    return name if plain else quote(name)
