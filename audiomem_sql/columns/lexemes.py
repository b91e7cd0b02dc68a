"""SQL text as tokens, the way SQLite reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from audiomem_sql.errors import SchemaError


class Token(Enum):
    """What a token is: a bare word, a quoted identifier, a 'string', x'a blob', a number, or a punctuation mark."""

    WORD = "word"
    QUOTED = "quoted"
    STRING = "string"
    BLOB = "blob"
    NUMBER = "number"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One token: its kind, its meaning (unquoted; words as written), its source text, and where that begins."""

    token: Token
    value: str
    text: str
    start: int

    def is_word(self, *words: str) -> bool:
        """Whether this is one of ``words``, given in capitals, outside quotes."""
        return self.token is Token.WORD and self.value.isascii() and self.value.upper() in words


WORD = r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*"
SPACE = r"(?>(?:[ \t\n\f\r]|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*)"  # atomic: a comment ends at its first */
_LEXEME = re.compile(
    rf"""(?P<blob>[xX]'[0-9A-Fa-f]*') | (?P<word>{WORD})
    | "(?P<double>(?:[^"]|"")*)" | `(?P<back>(?:[^`]|``)*)` | \[(?P<bracket>[^\]]*)\]
    | '(?P<string>(?:[^']|'')*)'
    | (?P<number>\.?[0-9](?:[eE][+-](?=[0-9])|[0-9A-Za-z_.])*)
    | (?P<mark>[^\s"'`\[])""",
    re.VERBOSE | re.DOTALL,
)
_SPACES = re.compile(SPACE, re.DOTALL)
_BARE_NAME = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*")
# https://www.sqlite.org/lang_keywords.html
_RESERVED = """
    ABORT ACTION ADD AFTER ALL ALTER ALWAYS ANALYZE AND AS ASC ATTACH AUTOINCREMENT BEFORE BEGIN BETWEEN BY CASCADE
    CASE CAST CHECK COLLATE COLUMN COMMIT CONFLICT CONSTRAINT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME
    CURRENT_TIMESTAMP DATABASE DEFAULT DEFERRABLE DEFERRED DELETE DESC DETACH DISTINCT DO DROP EACH ELSE END ESCAPE
    EXCEPT EXCLUDE EXCLUSIVE EXISTS EXPLAIN FAIL FILTER FIRST FOLLOWING FOR FOREIGN FROM FULL GENERATED GLOB GROUP
    GROUPS HAVING IF IGNORE IMMEDIATE IN INDEX INDEXED INITIALLY INNER INSERT INSTEAD INTERSECT INTO IS ISNULL JOIN KEY
    LAST LEFT LIKE LIMIT MATCH MATERIALIZED NATURAL NO NOT NOTHING NOTNULL NULL NULLS OF OFFSET ON OR ORDER OTHERS OUTER
    OVER PARTITION PLAN PRAGMA PRECEDING PRIMARY QUERY RAISE RANGE RECURSIVE REFERENCES REGEXP REINDEX RELEASE RENAME
    REPLACE RESTRICT RETURNING RIGHT ROLLBACK ROW ROWS SAVEPOINT SELECT SEMANTIC SET TABLE TEMP TEMPORARY THEN TIES TO
    TRANSACTION TRIGGER UNBOUNDED UNION UNIQUE UPDATE USING VACUUM VALUES VIEW VIRTUAL WHEN WHERE WINDOW WITH WITHIN
    WITHOUT"""
_KEYWORDS = frozenset(_RESERVED.split())


def lexemes(definition: str) -> list[Lexeme]:
    """The tokens of a piece of SQL, comments left out. Raises SchemaError where a quote is not closed."""
    found = []
    at = end_of_space(definition, 0)
    while at < len(definition):
        match = _LEXEME.match(definition, at)
        if match is None:
            raise SchemaError(
                f"{definition.strip()!r} cannot be read from character {at + 1} on",
                remedy="Look for a quotation mark that is not closed",
            )
        group = match.lastgroup or ""
        value = match[group]
        token = Token.QUOTED
        if group == "double":
            value = value.replace('""', '"')
        elif group == "back":
            value = value.replace("``", "`")
        elif group == "string":
            token, value = Token.STRING, value.replace("''", "'")
        elif group != "bracket":
            token = Token(group)
        found.append(Lexeme(token, value, match[0], at))
        at = end_of_space(definition, match.end())
    return found


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


def bare(name: str) -> str:
    """``name`` as an SQL identifier, in quotes only if it needs them."""
    plain = _BARE_NAME.fullmatch(name) and name.upper() not in _KEYWORDS
    return name if plain else quote(name)
