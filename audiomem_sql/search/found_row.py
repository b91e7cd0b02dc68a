"""A row that a search found, as functions of SQL are given it in place of the table, and its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from audiomem_sql.errors import DataTypeError, QueryError

if TYPE_CHECKING:
    from audiomem_sql.arrays import F64Array, I64Array
    from audiomem_sql.indexes.words import Expression, Words
    from audiomem_sql.scan import Readable
    from audiomem_sql.search.embedding.found_passages import FoundPassages, Passage


@dataclass(frozen=True, slots=True)
class SearchedWords:
    """The words that a search looks for.

    expression: None for one by meaning alone. text_columns: the indices of the columns, by name; words: how
    their texts become words. passages: tells which passages of long texts are found; None where none is
    cut, or words alone count. scores: what ``bm25`` found, by the weights of columns.
    """

    expression: Expression | None = None
    text_columns: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, Words] = field(default_factory=dict)
    passages: FoundPassages | None = None
    scores: dict[tuple[float, ...], tuple[I64Array, F64Array]] = field(default_factory=dict)


class Row(Protocol):
    """The row that a cursor is at."""

    @property
    def readable(self) -> Readable:
        """What is searched."""

    @property
    def rowid(self) -> int:
        """Its rowid."""

    def value(self, column: int) -> Any:
        """What a column holds, as SQL has it."""

    def passage(self, found: FoundPassages) -> Passage | None:
        """The passage that a search found; None where the text is not cut."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row of a search.

    names: of all columns. searched: the words that the search looks for.
    """

    row: Row
    names: Sequence[str]
    searched: SearchedWords

    @property
    def expression(self) -> Expression | None:
        """The words, None for a search by meaning alone."""
        return self.searched.expression

    @property
    def text_columns(self) -> Mapping[str, int]:
        """The indices, by name, of the columns that the words are looked for in."""
        return self.searched.text_columns

    def passage(self) -> Passage | None:
        """The passage that the search found; None where the text is not cut."""
        found = self.searched.passages
        return None if found is None else self.row.passage(found)

    def texts(self) -> dict[str, str | None]:
        """What the columns hold that are searched by their words."""
        values = ((name, self.row.value(column)) for name, column in self.text_columns.items())
        return {name: value if isinstance(value, str) else None for name, value in values}

    def text(self, column: object) -> tuple[str, str | None]:
        """Name and text of column number ``column``. QueryError if there is none."""
        if not isinstance(column, int) or not 0 <= column < len(self.names):
            raise QueryError(
                f"the table has no column {column!r}",
                remedy=f"Columns are counted from 0 to {len(self.names) - 1}.",
            )
        value = self.row.value(column)
        if isinstance(value, bytes):
            raise DataTypeError(f"column {self.names[column]} holds bytes, no text")
        return self.names[column], None if value is None else str(value)
