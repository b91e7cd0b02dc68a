"""Changes of the columns, each from one schema to the next: what ALTER TABLE does to a native table.

No row is written: old ones have the DEFAULT in a new column, and a dropped one stays in the files for as long
as a version that shows it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, cast

from audiomem_sql.columns.checks import checks_of, with_renamed_column
from audiomem_sql.columns.column import Column, check, fold
from audiomem_sql.columns.defaults import constant, is_constant
from audiomem_sql.columns.hidden import check_new_name
from audiomem_sql.columns.lexemes import Lexeme, Token, lexemes, quote, text_literal
from audiomem_sql.columns.own_metadata import with_renamed
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.tokenizers import AUTO
from audiomem_sql.columns.types import Kind
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.errors import SchemaError

_REMEDY = (
    "Write add column NAME TYPE, drop column NAME, rename column NAME TO NEW, "
    "index column NAME (metric=…, or tokenize=…), unindex column NAME, "
    "or alter column NAME set semantic, or drop semantic."
)


class SchemaChange(Protocol):
    """One step. ``str`` gives what :func:`parse_change` reads; that is also what the file records."""

    def apply(self, schema: Schema, next_column: int) -> Schema:
        """The columns after the step; a new one gets the id ``next_column``.

        SchemaError for what cannot be done.
        """


@dataclass(frozen=True, slots=True)
class AddColumn:
    """Add a column at the end.

    ``definition``: as in CREATE TABLE, such as ``year INTEGER NOT NULL DEFAULT 2000``.
    """

    definition: str

    def __str__(self) -> str:
        return f"add column {self.definition.strip()}"

    def apply(self, schema: Schema, next_column: int) -> Schema:
        """The columns with the new one."""
        added = parse_columns([self.definition])
        (column,) = added.columns
        check_new_name(column.name)
        if column.name in schema:
            raise _refusal(column.name, "there is a column of that name already")
        if column.primary_key or column.unique:
            raise _refusal(column.name, "a column that is added cannot be PRIMARY KEY or UNIQUE")
        if column.default is not None and (column.default.startswith("(") or not is_constant(column)):
            raise _refusal(column.name, "the DEFAULT of a column that is added is a literal")
        initial = constant(column)
        if column.not_null and initial is None:
            raise _refusal(
                column.name,
                "a column that is added and NOT NULL needs a DEFAULT, for the rows that are there",
            )
        if column.semantic and initial is not None:
            raise _refusal(
                column.name,
                "a column that is added and SEMANTIC has no DEFAULT: "
                "the rows that are there would need vectors",
            )
        visible = len(schema.visible)
        columns = (*schema.columns[:visible], replace(column, id=next_column), *schema.columns[visible:])
        return replace(schema, columns=columns, checks=(*schema.checks, *added.checks))


@dataclass(frozen=True, slots=True)
class DropColumn:
    """Drop a column. Older versions still show it."""

    name: str

    def __str__(self) -> str:
        return f"drop column {quote(self.name)}"

    def apply(self, schema: Schema, next_column: int) -> Schema:
        """The columns without this one."""
        column = schema[self.name]
        if column.primary_key or column.unique:
            raise _refusal(column.name, "a column that is PRIMARY KEY or UNIQUE cannot be dropped")
        if len(schema.visible) == 1:
            raise _refusal(column.name, "the last column cannot be dropped")
        for key in schema.keys:
            if fold(column.name) in map(fold, key.columns):
                raise _refusal(column.name, f"it is part of {key.sql()}, so it cannot be dropped")
        after = schema.changed(
            [other for other in schema.columns if other is not column and other.vector_of != column.id]
        )
        try:
            checks_of(after)
        except SchemaError as error:
            raise _refusal(column.name, f"it cannot be dropped: {error}") from None
        return after


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """Give a column another name. Older versions show the one that it had."""

    name: str
    new: str

    def __str__(self) -> str:
        return f"rename column {quote(self.name)} to {quote(self.new)}"

    def apply(self, schema: Schema, next_column: int) -> Schema:
        """The columns with this one renamed."""
        column = schema[self.name]
        check_new_name(self.new)
        if fold(self.new) != fold(column.name) and self.new in schema:
            raise _refusal(self.new, "there is a column of that name already")
        columns = [replace(other, name=self.new) if other is column else other for other in schema.columns]
        keys = [
            replace(
                key,
                columns=tuple(self.new if fold(name) == fold(column.name) else name for name in key.columns),
            )
            for key in schema.keys
        ]
        checks = with_renamed_column(schema, column.name, self.new) if schema.checks else ()
        metadata = with_renamed(schema.metadata, column.name, self.new)
        return Schema(tuple(columns), checks, tuple(keys), metadata)


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """Give a column of texts an index of words, or one of vectors an index; or another one.

    Rows that are there are read one by one until a merge or a vacuum writes them again. ``options``: as in
    the parentheses behind INDEXED; without any, they are those of the type of the column.
    """

    name: str
    options: str = ""

    def __str__(self) -> str:
        tokenize = self._tokenize() if _names_tokenizer(self.options) else None
        if tokenize is not None:
            return f"index column {quote(self.name)} (tokenize={text_literal(tokenize)})"
        return f"index column {quote(self.name)} ({VectorIndexOptions.parse(self.options)})"

    def written_out(self, schema: Schema) -> IndexColumn:
        """The same with the options that it has for the column of ``schema``, as a table records it."""
        is_text = self.name in schema and schema[self.name].type.kind is Kind.TEXT
        return replace(self, options=f"tokenize='{AUTO}'") if is_text and not self.options.strip() else self

    def apply(self, schema: Schema, next_column: int) -> Schema:
        """The columns with this one INDEXED."""
        column = schema[self.name]
        if column.type.kind is Kind.TEXT:
            tokenize = self._tokenize()
            if self.is_done_in(column):
                raise _refusal(column.name, f"it is INDEXED(tokenize={text_literal(tokenize)}) already")
            return _with(schema, column, replace(column, indexed=True, tokenize=tokenize))
        if column.type.kind is not Kind.FLOAT or column.is_hidden:
            raise _refusal(column.name, f"{column.type} has no index; only FLOAT[n] and TEXT have")
        return _with_index(schema, column, str(VectorIndexOptions.parse(self.options)))

    def is_done_in(self, column: Column) -> bool:
        """Whether a column of texts has this index of words already."""
        return column.indexed and column.tokenize == self._tokenize()

    def _tokenize(self) -> str:
        """How texts become words. SchemaError for options of another kind."""
        options = f"({self.options})" if self.options.strip() else ""
        (column,) = parse_columns([f"{quote(self.name)} TEXT INDEXED{options}"]).columns
        return column.tokenize


@dataclass(frozen=True, slots=True)
class UnindexColumn:
    """Take the index of words, or of vectors, of a column away; its values stay as they are."""

    name: str

    def __str__(self) -> str:
        return f"unindex column {quote(self.name)}"

    def apply(self, schema: Schema, next_column: int) -> Schema:
        """The columns with this one as it is without INDEXED."""
        column = schema[self.name]
        if column.type.kind is Kind.TEXT:
            if not column.indexed:
                raise _refusal(column.name, "it has no index of words")
            return _with(schema, column, replace(column, indexed=False))
        return _with_index(schema, column, None)


@dataclass(frozen=True, slots=True)
class SetSemantic:
    """Search a column of texts by meaning, as SEMANTIC in its definition does.

    Rows that are there have no vectors until ``Table.reembed``, or ``Table.reindex``, makes them.
    """

    name: str

    def __str__(self) -> str:
        return f"alter column {quote(self.name)} set semantic"

    def apply(self, schema: Schema, next_column: int) -> Schema:
        """The columns with this one SEMANTIC."""
        column = schema[self.name]
        if column.semantic:
            raise _refusal(column.name, "it is SEMANTIC already")
        return _with(schema, column, replace(column, semantic=True))


@dataclass(frozen=True, slots=True)
class DropSemantic:
    """Search a column no longer by meaning; newer versions have no vectors of it."""

    name: str

    def __str__(self) -> str:
        return f"alter column {quote(self.name)} drop semantic"

    def apply(self, schema: Schema, next_column: int) -> Schema:
        """The columns with this one as it is without SEMANTIC."""
        column = schema[self.name]
        if not column.semantic:
            raise _refusal(column.name, "it is not SEMANTIC")
        kept = [other for other in schema.columns if other.vector_of != column.id]
        return schema.changed(
            [replace(other, semantic=False) if other is column else other for other in kept]
        )


def _names_tokenizer(options: str) -> bool:
    """Whether what stands behind INDEXED is about words."""
    return options.strip().lower().startswith("tokenize")


def _with(schema: Schema, column: Column, changed: Column) -> Schema:
    """``schema`` with ``changed`` in the place of ``column``."""
    check(changed)
    return schema.changed([changed if other is column else other for other in schema.columns])


def _with_index(schema: Schema, column: Column, options: str | None) -> Schema:
    """``schema`` with another index of vectors, or none, for ``column``."""
    if column.vector_index == options:
        said = "it has no index of vectors" if options is None else f"it is INDEXED({options}) already"
        raise _refusal(column.name, said)
    return _with(schema, column, replace(column, vector_index=options))


def checked_change(change: object) -> SchemaChange:
    """A change, or what a text describes as one. SchemaError for anything else."""
    if isinstance(change, str):
        return parse_change(change)
    if isinstance(change, type) or not callable(getattr(change, "apply", None)):
        raise SchemaError(f"{change!r:.60} is no change of the columns", remedy=_REMEDY)
    return cast("SchemaChange", change)


def parse_change(text: str) -> SchemaChange:
    """The change that a text describes; ``column`` may be left out, as in SQL.

    ``add column NAME TYPE …``, ``drop column NAME``, ``rename column NAME TO NEW``, ``index column NAME
    (metric=…)``, ``index column NAME (tokenize=…)``, ``unindex column NAME``, ``alter column NAME set
    semantic``, ``alter column NAME drop semantic``. SchemaError for anything else.
    """
    tokens = lexemes(text)
    verb, arguments = (tokens[0], tokens[1:]) if tokens else (None, [])
    optional = [arguments[0]] if len(arguments) > 1 and arguments[0].is_word("COLUMN") else []
    arguments = arguments[len(optional) :]
    if verb is not None and arguments:
        if verb.is_word("ADD"):
            return AddColumn(_behind(text, verb, *optional))
        if verb.is_word("DROP") and len(arguments) == 1 and _is_name(arguments[0]):
            return DropColumn(arguments[0].value)
        if (
            verb.is_word("RENAME")
            and len(arguments) == 3
            and arguments[1].is_word("TO")
            and _is_name(arguments[0])
            and _is_name(arguments[2])
        ):
            return RenameColumn(arguments[0].value, arguments[2].value)
        if (change := _index_change(text, verb, optional, arguments)) is not None:
            return change
    raise SchemaError(
        f"{text!r} is no change of the columns",
        remedy=_REMEDY,
    )


def _index_change(
    text: str, verb: Lexeme, optional: list[Lexeme], arguments: list[Lexeme]
) -> SchemaChange | None:
    """The change of an index, or of a search by meaning, that a text describes; None for any other."""
    name = arguments[0]
    if not _is_name(name):
        return None
    if verb.is_word("ALTER") and len(arguments) == 3 and arguments[2].is_word("SEMANTIC"):
        if arguments[1].is_word("SET"):
            return SetSemantic(name.value)
        return DropSemantic(name.value) if arguments[1].is_word("DROP") else None
    if verb.is_word("UNINDEX") and len(arguments) == 1:
        return UnindexColumn(name.value)
    if not verb.is_word("INDEX"):
        return None
    options = _behind(text, verb, *optional, name)
    if options and not (options.startswith("(") and options.endswith(")")):
        return None
    return IndexColumn(name.value, options[1:-1])


def _is_name(lexeme: Lexeme) -> bool:
    return lexeme.token in (Token.WORD, Token.QUOTED)


def _behind(text: str, *words: Lexeme) -> str:
    """``text`` without its first words."""
    for word in words:
        text = text[text.index(word.text) + len(word.text) :]
    return text.strip()


def _refusal(name: str, reason: str) -> SchemaError:
    return SchemaError(reason, place=f"column {name}")
