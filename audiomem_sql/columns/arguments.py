"""The arguments of ``CREATE VIRTUAL TABLE … USING audiomem(…)``, each the text between two commas.

An argument is a column definition, ``name TYPE clauses``, a constraint of the table, or an option,
``name=value``. Which options exist is decided by who reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from audiomem_sql.columns.column import Column
from audiomem_sql.columns.constraints import Check, Key
from audiomem_sql.columns.lexemes import SPACE, WORD, Lexeme, Token, end_of_space, lexemes, source
from audiomem_sql.columns.syntax import DEFAULT_REMEDY, default_length, enclosed_length
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


_CLAUSES = (
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "DEFAULT",
    "CHECK",
    "COLLATE",
    "SEMANTIC",
    "INDEXED",
    "CONSTRAINT",
)
_UNSUPPORTED = ("REFERENCES", "GENERATED", "AS", "ON")
_TABLE_LEVEL = {"PRIMARY": "KEY", "UNIQUE": "(", "FOREIGN": "KEY", "CHECK": "("}


@dataclass(frozen=True, slots=True)
class Definition:
    """What one argument defines: a column with its CHECKs, or constraints of the table.

    A key may have one column.
    """

    column: Column | None = None
    checks: tuple[Check, ...] = ()
    keys: tuple[Key, ...] = ()


def parse_definition(definition: str) -> Definition:
    """What a definition says. Raises SchemaError for what is not understood or not supported."""
    words = lexemes(definition)
    if not words:
        raise SchemaError("a column definition is empty", remedy="Look for a comma too many")
    first, *rest = words
    if first.token is Token.WORD and (first.is_word("CONSTRAINT") or _is_table_level(first, rest)):
        return _Clauses("the table", definition, words).of_table()
    if first.token not in (Token.WORD, Token.QUOTED):
        raise SchemaError(
            f"{definition.strip()!r} does not begin with the name of a column",
            remedy='Write name TYPE, and odd names in "double quotes"',
        )
    name = first.value
    end = next((i for i, word in enumerate(rest) if word.is_word(*_CLAUSES, *_UNSUPPORTED)), len(rest))
    column_type = ColumnType.parse(" ".join(word.text for word in rest[:end]), name)
    clauses = _Clauses(f"column {name}", definition, rest[end:])
    return Definition(Column(name, column_type, **clauses.of_column()), tuple(clauses.checks))


def _is_table_level(first: Lexeme, rest: list[Lexeme]) -> bool:
    following = _TABLE_LEVEL.get(first.value.upper())
    return following is not None and bool(rest) and rest[0].value.upper() == following


class _Clauses:
    """The words behind a column's type, or those of a table's constraints, taken one by one."""

    def __init__(self, place: str, definition: str, words: list[Lexeme]) -> None:
        self.place = place
        self.definition = definition
        self.words = list(words)
        self.checks: list[Check] = []

    def of_column(self) -> dict[str, Any]:
        """What the column has, by field; CHECKs go to ``checks``.

        Names of other constraints are of no use to anybody.
        """
        settings: dict[str, Any] = {}
        name: str | None = None
        while self.words:
            word = self.words.pop(0)
            if word.is_word("CONSTRAINT"):
                name = self.name()
                continue
            if word.is_word("CHECK"):
                self.checks.append(Check(self.expression(), name))
            else:
                key, value = self.setting(word)
                if key in settings:
                    raise self.refusal(f"{key.upper().replace('_', ' ')} is told twice")
                settings[key] = value
            name = None
        if name is not None:
            raise self.refusal(f"nothing follows CONSTRAINT {name}")
        return settings

    def setting(self, word: Lexeme) -> tuple[str, bool | str]:
        """The field of a column, and its value, that the clause beginning with ``word`` sets."""
        if word.is_word("PRIMARY"):
            return "primary_key", self.primary_key()
        if word.is_word("NOT"):
            self.expect("NULL")
            return "not_null", True
        if word.is_word("NULL"):
            return "not_null", False
        if word.is_word("UNIQUE", "SEMANTIC", "INDEXED"):
            return word.value.lower(), True
        if word.is_word("DEFAULT"):
            return "default", self.default()
        if word.is_word("COLLATE"):
            if not self.words or self.words[0].token not in (Token.WORD, Token.QUOTED):
                raise self.refusal("COLLATE needs the name of a collation")
            return "collation", self.words.pop(0).value.upper()
        if word.is_word(*_UNSUPPORTED):
            raise self.refusal(f"{word.value.upper()} is not supported", "Leave the clause out")
        raise self.refusal(
            f"{word.text} cannot be understood here",
            "Behind the type come PRIMARY KEY, NOT NULL, UNIQUE, DEFAULT, CHECK, COLLATE, SEMANTIC, INDEXED",
        )

    def primary_key(self) -> bool:
        """The rest of PRIMARY KEY, which may say ASC."""
        self.expect("KEY")
        if self.words and self.words[0].is_word("ASC"):
            self.words.pop(0)
        if self.words and self.words[0].is_word("DESC", "AUTOINCREMENT"):
            raise self.refusal(
                f"PRIMARY KEY {self.words[0].text} is not supported", "Write PRIMARY KEY alone"
            )
        return True

    def of_table(self) -> Definition:
        """Constraints, which need no comma between them."""
        keys: list[Key] = []
        name: str | None = None
        while self.words:
            word = self.words.pop(0)
            if word.is_word("CONSTRAINT"):
                name = self.name()
                continue
            if word.is_word("CHECK"):
                self.checks.append(Check(self.expression(), name))
            elif word.is_word("UNIQUE"):
                keys.append(Key(self.columns(), False, name))
            elif word.is_word("PRIMARY"):
                self.expect("KEY")
                keys.append(Key(self.columns(), True, name))
            elif word.is_word("FOREIGN", *_UNSUPPORTED):
                what = "FOREIGN KEY" if word.is_word("FOREIGN") else word.value.upper()
                raise self.refusal(f"{what} is not supported", "Leave the constraint out")
            else:
                raise self.refusal(
                    f"{word.text} cannot be understood here",
                    "Constraints of the table are CHECK, UNIQUE and PRIMARY KEY, each with (…)",
                )
            name = None
        if name is not None:
            raise self.refusal(f"nothing follows CONSTRAINT {name}")
        return Definition(None, tuple(self.checks), tuple(keys))

    def refusal(self, what: str, remedy: str | None = None) -> SchemaError:
        return SchemaError(what, place=self.place, remedy=remedy)

    def expect(self, *expected: str) -> None:
        """Take a word or mark, one of ``expected``."""
        if not self.words or not (self.words[0].is_word(*expected) or self.words[0].text in expected):
            text = self.words[0].text if self.words else "the end"
            raise self.refusal(f"{expected[0]} is expected, not {text}")
        self.words.pop(0)

    def name(self) -> str:
        """The name behind CONSTRAINT."""
        if not self.words or self.words[0].token not in (Token.WORD, Token.QUOTED, Token.STRING):
            raise self.refusal("a name is expected behind CONSTRAINT")
        return self.words.pop(0).value

    def default(self) -> str:
        """The text of the value behind DEFAULT."""
        length = default_length(self.words)
        if not length:
            text = self.words[0].text if self.words else "the end"
            raise self.refusal(f"a value is expected behind DEFAULT, not {text}", DEFAULT_REMEDY)
        taken, self.words = self.words[:length], self.words[length:]
        return source(self.definition, taken)

    def expression(self) -> str:
        """The text in the parentheses behind CHECK."""
        length = enclosed_length(self.words)
        if length < 3:
            raise self.refusal("an expression in parentheses is expected behind CHECK")
        taken, self.words = self.words[1 : length - 1], self.words[length:]
        return source(self.definition, taken)

    def columns(self) -> tuple[str, ...]:
        """The names in the parentheses behind UNIQUE or PRIMARY KEY."""
        names: list[str] = []
        self.expect("(")
        while True:
            if not self.words or self.words[0].token not in (Token.WORD, Token.QUOTED):
                raise self.refusal("a key is made of columns: (a, b)")
            names.append(self.words.pop(0).value)
            if self.words and self.words[0].is_word("ASC"):
                self.words.pop(0)
            elif self.words and self.words[0].is_word("DESC", "COLLATE", "AUTOINCREMENT"):
                raise self.refusal(
                    f"{self.words[0].text} in a key is not supported",
                    "A key has the collations of its columns",
                )
            if self.words and self.words[0].text == ",":
                self.words.pop(0)
                continue
            self.expect(")")
            return tuple(names)
