"""The arguments of ``CREATE VIRTUAL TABLE … USING audiomem(…)``: SQLite hands each one over as the text between commas.

An argument is a column definition, ``name TYPE clauses``, or an option, ``name=value``. Which options exist is decided
by who reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from audiomem_sql.columns.column import Column, refusal
from audiomem_sql.columns.lexemes import SPACE, WORD, Lexeme, Token, end_of_space, lexemes, source
from audiomem_sql.columns.syntax import DEFAULT_REMEDY, default_length
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import OptionError, SchemaError

_OPTION = re.compile(rf"{SPACE}({WORD}){SPACE}=(?!=)(.*)", re.DOTALL)
_BARE_VALUE = re.compile(r"[^\s'\"]+")


def is_option(argument: str) -> bool:
    """Whether an argument is ``name=value``; the name is never quoted."""
    return _OPTION.fullmatch(argument) is not None


def parse_options(arguments: Iterable[str]) -> dict[str, str]:
    """The options by name, in small letters; their values without quotes.

    A value is 'quoted' or "quoted", the quote doubled inside, or bare, without spaces and quotes.
    Raises OptionError for what is no option, for a value that cannot be read, and for an option given twice.
    """
    options: dict[str, str] = {}
    for argument in arguments:
        match = _OPTION.fullmatch(argument)
        if match is None:
            raise OptionError(
                f"{argument.strip()!r} is not an option", remedy="Options are written name=value"
            )
        name = match[1].lower()
        if name in options:
            raise OptionError(f"the option {name} is given twice")
        options[name] = _option_value(name, match[2])
    return options


def _option_value(name: str, text: str) -> str:
    text = text[end_of_space(text, 0) :].rstrip()
    if text[:1] in ("'", '"'):
        quote = text[0]
        inside = text[1:-1]
        if len(text) > 1 and text[-1] == quote and quote not in inside.replace(quote * 2, ""):
            return inside.replace(quote * 2, quote)
    elif _BARE_VALUE.fullmatch(text):
        return text
    raise OptionError(
        f"the value of the option {name} cannot be read: {text!r}",
        remedy=f"Write {name}='…', and a quote inside it twice",
    )


_CLAUSES = ("PRIMARY", "NOT", "NULL", "UNIQUE", "DEFAULT", "COLLATE", "SEMANTIC")
_UNSUPPORTED = ("CHECK", "REFERENCES", "GENERATED", "AS", "CONSTRAINT", "ON")
_TABLE_LEVEL = {"PRIMARY": "KEY", "UNIQUE": "(", "FOREIGN": "KEY", "CHECK": "("}


def parse_column(definition: str) -> Column:
    """The column that a definition describes. Raises SchemaError for what is not understood or not supported."""
    words = lexemes(definition)
    if not words:
        raise SchemaError("a column definition is empty", remedy="Look for a comma too many")
    first, *rest = words
    if first.token is Token.WORD and (first.is_word("CONSTRAINT") or _is_table_level(first, rest)):
        raise SchemaError(
            f"constraints of the whole table are not supported yet: {definition.strip()}",
            remedy="Keys have one column: write PRIMARY KEY or UNIQUE behind that column's type",
        )
    if first.token not in (Token.WORD, Token.QUOTED):
        raise SchemaError(
            f"{definition.strip()!r} does not begin with the name of a column",
            remedy='Write name TYPE, and odd names in "double quotes"',
        )
    name = first.value
    end = next((i for i, word in enumerate(rest) if word.is_word(*_CLAUSES, *_UNSUPPORTED)), len(rest))
    column_type = ColumnType.parse(" ".join(word.text for word in rest[:end]), name)
    return Column(name, column_type, **_parse_clauses(name, definition, rest[end:]))


def _is_table_level(first: Lexeme, rest: list[Lexeme]) -> bool:
    following = _TABLE_LEVEL.get(first.value.upper())
    return following is not None and bool(rest) and rest[0].value.upper() == following


def _parse_clauses(name: str, definition: str, words: list[Lexeme]) -> dict[str, Any]:
    settings: dict[str, Any] = {}

    def put(key: str, value: bool | str) -> None:
        if key in settings:
            raise refusal(name, f"{key.upper().replace('_', ' ')} is told twice")
        settings[key] = value

    def expect(*expected: str) -> None:
        if not words or not words[0].is_word(*expected):
            found = words[0].text if words else "the end"
            raise refusal(name, f"{expected[0]} is expected, not {found}")
        words.pop(0)

    words = list(words)
    while words:
        word = words.pop(0)
        if word.is_word("PRIMARY"):
            expect("KEY")
            put("primary_key", True)
            if words and words[0].is_word("ASC"):
                words.pop(0)
            elif words and words[0].is_word("DESC", "AUTOINCREMENT"):
                raise refusal(
                    name, f"PRIMARY KEY {words[0].text} is not supported yet", "Write PRIMARY KEY alone"
                )
        elif word.is_word("NOT"):
            expect("NULL")
            put("not_null", True)
        elif word.is_word("NULL"):
            put("not_null", False)
        elif word.is_word("UNIQUE", "SEMANTIC"):
            put(word.value.lower(), True)
        elif word.is_word("DEFAULT"):
            length = default_length(words)
            if not length:
                found = words[0].text if words else "the end"
                raise refusal(name, f"a value is expected behind DEFAULT, not {found}", DEFAULT_REMEDY)
            put("default", source(definition, words[:length]))
            del words[:length]
        elif word.is_word("COLLATE"):
            if not words or words[0].token not in (Token.WORD, Token.QUOTED):
                raise refusal(name, "COLLATE needs the name of a collation")
            put("collation", words.pop(0).value.upper())
        elif word.is_word(*_UNSUPPORTED):
            raise refusal(name, f"{word.value.upper()} is not supported yet", "Leave the clause out")
        else:
            raise refusal(
                name,
                f"{word.text} cannot be understood here",
                "Behind the type come PRIMARY KEY, NOT NULL, UNIQUE, DEFAULT, COLLATE, SEMANTIC",
            )
    return settings
