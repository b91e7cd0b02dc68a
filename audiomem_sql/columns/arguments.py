"""The arguments of ``CREATE VIRTUAL TABLE … USING audiomem(…)``, each the text between two commas.

An argument is a column definition, ``name TYPE clauses``, a constraint of the table, or an option,
``name=value``. Which options exist is decided by who reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from audiomem_sql.columns.column import CONFLICT_CLAUSES, CONFLICT_REMEDY, Column
from audiomem_sql.columns.constraints import Check, Key
from audiomem_sql.columns.lexemes import SPACE, WORD, Lexeme, Token, end_of_space, lexemes, source
from audiomem_sql.columns.syntax import DEFAULT_REMEDY, default_length, enclosed_length
from audiomem_sql.columns.tokenizers import parse_tokenizer
from audiomem_sql.columns.types import ColumnType, Kind, words_of
from audiomem_sql.columns.vector_index import VectorIndexOptions
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
_GENERATED = ("GENERATED", "AS")
_UNSUPPORTED = ("REFERENCES", *_GENERATED)
_TABLE_LEVEL = {"PRIMARY": "KEY", "UNIQUE": "(", "FOREIGN": "KEY", "CHECK": "("}


@dataclass(frozen=True, slots=True)
class Definition:
    """What one argument defines: a column with its CHECKs, or constraints of the table.

    A key may have one column, or name one twice. no_alias: a PRIMARY KEY of this column would not be the
    rowid. autoincrement: the column that AUTOINCREMENT is said of.
    """

    column: Column | None = None
    checks: tuple[Check, ...] = ()
    keys: tuple[Key, ...] = ()
    no_alias: bool = False
    autoincrement: str | None = None


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
    end = _end_of_type(rest)
    column_type = ColumnType.parse(" ".join(word.text for word in rest[:end]), name)
    type_words = words_of(source(definition, rest[:end]), column_type)
    clauses = _Clauses(f"column {name}", definition, rest[end:])
    settings = clauses.of_column()
    if "vector_index" in settings:
        settings |= _index_of(column_type, clauses, settings["vector_index"])
    autoincrement = name if settings.pop("autoincrement", False) else None
    # in SQLite, too, a column is the rowid only if its type is this very word
    no_alias = [word.value.upper() for word in rest[:end]] != ["INTEGER"]
    column = Column(name, column_type, **({"no_alias": no_alias} | settings), type_words=type_words)
    return Definition(column, tuple(clauses.checks), (), no_alias, autoincrement)


def _end_of_type(words: list[Lexeme]) -> int:
    """Where the clauses begin: not within parentheses, nor at a NULL that is a type, as in NULL[]."""
    depth = 0
    for place, word in enumerate(words):
        depth += {"(": 1, ")": -1}.get(word.text, 0)
        is_type = word.is_word("NULL") and place == 0 and len(words) > 1 and words[1].text.startswith("[")
        if not depth and not is_type and word.is_word(*_CLAUSES, *_UNSUPPORTED):
            return place
    return len(words)


def _index_of(column_type: ColumnType, clauses: _Clauses, text: str) -> dict[str, Any]:
    """What INDEXED(…) says of a column of vectors."""
    if column_type.kind is not Kind.FLOAT:
        raise clauses.refusal(
            f"INDEXED of {column_type} has no options of vectors",
            "INDEXED(metric=…) belongs to FLOAT[n] and INT8[n], INDEXED(tokenize='…') to TEXT",
        )
    try:
        return {"vector_index": str(VectorIndexOptions.parse(text)), "indexed": False}
    except SchemaError as error:
        raise clauses.refusal(error.what, error.remedy) from None


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
        self.autoincrement: str | None = None

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
                self.set(settings, word)
            name = None
        if name is not None:
            raise self.refusal(f"nothing follows CONSTRAINT {name}")
        return settings

    def set(self, settings: dict[str, Any], word: Lexeme) -> None:
        """Put what the clause that begins with ``word`` says into the fields of a column.

        Of what is said twice the later holds, as in SQLite.
        """
        if word.is_word("PRIMARY"):
            if settings.get("primary_key"):
                raise self.refusal("PRIMARY KEY is told twice")
            settings["primary_key"] = True
            self.primary_key(settings)
        elif word.is_word("NOT"):
            self.expect("NULL")
            settings |= {"not_null": True, "null_conflict": self.conflict()}
        elif word.is_word("NULL"):
            self.passes_conflict()
        elif word.is_word("UNIQUE"):
            settings["unique"] = True
            self.key_conflict(settings)
        elif word.is_word("SEMANTIC", "INDEXED"):
            settings[word.value.lower()] = True
            if word.is_word("INDEXED") and self.words and self.words[0].text == "(":
                self.how_indexed(settings)
        elif word.is_word("DEFAULT"):
            settings["default"] = self.default()
        elif word.is_word("COLLATE"):
            if not self.words or self.words[0].token not in (Token.WORD, Token.QUOTED):
                raise self.refusal("COLLATE needs the name of a collation")
            settings["collation"] = self.words.pop(0).value.upper()
        elif word.is_word(*_UNSUPPORTED):
            raise self.unsupported(word)
        else:
            raise self.refusal(
                f"{word.text} cannot be understood here",
                "Behind the type come PRIMARY KEY, NOT NULL, UNIQUE, DEFAULT, CHECK, COLLATE, SEMANTIC, "
                "INDEXED",
            )

    def how_indexed(self, settings: dict[str, Any]) -> None:
        """The parentheses behind INDEXED, of a text or of a column of vectors."""
        if any(each.is_word("TOKENIZE", "TOKENISE") for each in self.words[1:2]):
            settings["tokenize"] = self.tokenizer()
        else:
            settings["vector_index"] = self.options()

    def unsupported(self, word: Lexeme) -> SchemaError:
        """The error for what is no part of a table here."""
        if word.is_word(*_GENERATED):
            return self.refusal(
                "a virtual table cannot have generated columns: SQLite refuses them",
                "Compute the column in a view over the table, or where it is inserted",
            )
        what = "FOREIGN KEY" if word.is_word("FOREIGN") else word.value.upper()
        return self.refusal(f"{what} is not supported", "Leave the clause out")

    def primary_key(self, settings: dict[str, Any]) -> None:
        """The rest of PRIMARY KEY: ASC or DESC, ON CONFLICT, AUTOINCREMENT."""
        self.expect("KEY")
        if self.takes("DESC"):
            settings["no_alias"] = True
        else:
            self.takes("ASC")
        self.key_conflict(settings)
        if self.takes("AUTOINCREMENT"):
            settings["autoincrement"] = True

    def takes(self, *words: str) -> bool:
        """Take one of these words, if it comes next."""
        found = bool(self.words) and self.words[0].is_word(*words)
        if found:
            self.words.pop(0)
        return found

    def passes_conflict(self) -> None:
        """Take ON CONFLICT where SQLite reads it, and does nothing about it."""
        if self.takes("ON"):
            self.expect("CONFLICT")
            self.expect(*CONFLICT_CLAUSES, "FAIL", "ROLLBACK")

    def conflict(self) -> str:
        """What ON CONFLICT says, if it comes next; ABORT without it."""
        if not self.takes("ON"):
            return "ABORT"
        self.expect("CONFLICT")
        word = self.words.pop(0) if self.words else None
        if word is None or not word.is_word(*CONFLICT_CLAUSES):
            text = "the end" if word is None else word.text.upper()
            raise self.refusal(f"ON CONFLICT {text} is not supported", CONFLICT_REMEDY)
        return word.value.upper()

    def key_conflict(self, settings: dict[str, Any]) -> None:
        """ON CONFLICT behind PRIMARY KEY or UNIQUE of a column, which are one key."""
        before, conflict = settings.get("key_conflict", "ABORT"), self.conflict()
        if "ABORT" not in (before, conflict) and before != conflict:
            raise self.refusal("its keys have different ON CONFLICT clauses", "Write one of them")
        settings["key_conflict"] = before if conflict == "ABORT" else conflict

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
                self.passes_conflict()
            elif word.is_word("UNIQUE"):
                keys.append(Key(self.columns(), False, name, self.conflict()))
            elif word.is_word("PRIMARY"):
                self.expect("KEY")
                columns = self.columns()
                keys.append(Key(columns, True, name, self.conflict()))
            elif word.is_word("FOREIGN", *_UNSUPPORTED):
                raise self.unsupported(word)
            else:
                raise self.refusal(
                    f"{word.text} cannot be understood here",
                    "Constraints of the table are CHECK, UNIQUE and PRIMARY KEY, each with (…)",
                )
            name = None
        if name is not None:
            raise self.refusal(f"nothing follows CONSTRAINT {name}")
        return Definition(None, tuple(self.checks), tuple(keys), autoincrement=self.autoincrement)

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

    def tokenizer(self) -> str:
        """The value in ``(tokenize='…')`` behind INDEXED."""
        self.expect("(")
        self.expect("TOKENIZE")
        self.expect("=")
        word = self.words.pop(0) if self.words else None
        if word is None or word.token not in (Token.WORD, Token.QUOTED, Token.STRING):
            raise self.refusal("tokenize names no tokenizer", "Write INDEXED(tokenize='snowball english')")
        self.expect(")")
        try:
            return str(parse_tokenizer(word.value))
        except SchemaError as error:
            raise error.at(place=self.place) from None

    def default(self) -> str:
        """The text of the value behind DEFAULT."""
        length = default_length(self.words)
        if not length:
            text = self.words[0].text if self.words else "the end"
            raise self.refusal(f"a value is expected behind DEFAULT, not {text}", DEFAULT_REMEDY)
        taken, self.words = self.words[:length], self.words[length:]
        return source(self.definition, taken)

    def options(self) -> str:
        """The text in the parentheses behind INDEXED."""
        length = enclosed_length(self.words)
        if not length:
            raise self.refusal(
                "there are no options in the parentheses behind INDEXED", "Write INDEXED(metric=cosine)"
            )
        taken, self.words = self.words[1 : length - 1], self.words[length:]
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
            if self.words and self.words[0].is_word("COLLATE"):
                raise self.refusal(
                    "COLLATE in a key is not supported", "A key has the collations of its columns"
                )
            self.takes("ASC", "DESC")  # a key has no order
            if self.takes("AUTOINCREMENT"):
                self.autoincrement = names[-1]
            if self.words and self.words[0].text == ",":
                self.words.pop(0)
                continue
            self.expect(")")
            return tuple(names)
