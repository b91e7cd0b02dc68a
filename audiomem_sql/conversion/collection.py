"""What is converted: a collection of a store, which has columns and gives its rows in batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.tokenizers import AUTO
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import OptionError, did_you_mean

#: Bytes of vectors that are read at a time, and the rows that go with them.
BATCH_BYTES = 8 << 20
MOST_ROWS = 8192
#: Columns that hold texts wherever they come from, and are searched by their words.
TEXT_NAMES = frozenset(("body", "chunk", "content", "document", "page_content", "passage", "text"))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says of a source.

    ``texts``: where the texts of the vectors are, a table of the same database or a file. ``indexed``: the
    columns that hold texts, None for those that are called as texts are (`TEXT_NAMES`). ``key``: the column
    that is the primary key.
    """

    texts: str | None = None
    indexed: tuple[str, ...] | None = None
    key: str | None = None


NO_WISHES = Wishes()


class Collection(Protocol):
    """One table of a store."""

    @property
    def name(self) -> str:
        """What the store calls it."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know of it."""

    def schema(self) -> Schema:
        """The columns of the table that it becomes."""

    def batches(self) -> Iterator[pa.Table]:
        """All rows, with the columns of the schema, some megabytes at a time."""


@dataclass(frozen=True, slots=True)
class Store:
    """A source that was opened. ``kind``: what it is, for people."""

    kind: str
    collections: Sequence[Collection]


class Opener(Protocol):
    """What opens one kind of store."""

    def __call__(self, path: str, wishes: Wishes) -> contextlib.AbstractContextManager[Store]:
        """The store at ``path``, open inside the ``with`` block. Errors of this package."""


def rows_at_once(width: int) -> int:
    """How many rows with ``width`` numbers in their vectors are read at a time."""
    return max(64, min(MOST_ROWS, BATCH_BYTES // (4 * max(1, width))))


def wished(schema: Schema, wishes: Wishes, source: str) -> Schema:
    """The schema with the key and the indexes of words that the user wants.

    OptionError for a column that is not there, or cannot be that.
    """
    for name in (*(wishes.indexed or ()), *((wishes.key,) if wishes.key else ())):
        if fold(name) not in {fold(column.name) for column in schema.columns}:
            raise OptionError(
                f"there is no column {name}",
                file=source,
                remedy=f"{did_you_mean(name, schema.names)}The columns are {', '.join(schema.names)}.",
            )
    texts = {fold(name) for name in (TEXT_NAMES if wishes.indexed is None else wishes.indexed)}
    columns = [_wished(column, texts, wishes, source) for column in schema.columns]
    if wishes.key is not None:  # it comes first, as keys do
        columns.sort(key=lambda column: not column.primary_key)
    return Schema(tuple(replace(column, id=-1) for column in columns))


def _wished(column: Column, texts: Iterable[str], wishes: Wishes, source: str) -> Column:
    is_text = column.type.kind is Kind.TEXT
    if fold(column.name) in texts:
        if is_text and not column.primary_key:
            column = replace(column, indexed=True, tokenize=AUTO)
        elif wishes.indexed is not None:
            raise OptionError(f"the column {column.name} holds no texts to search", file=source)
    if wishes.key is not None:
        chosen = fold(column.name) == fold(wishes.key)
        if chosen and column.type.kind not in (Kind.TEXT, Kind.INTEGER):
            raise OptionError(f"the column {column.name} can be no key", file=source)
        column = replace(column, primary_key=chosen, indexed=column.indexed and not chosen)
    return column
