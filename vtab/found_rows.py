"""The row that a cursor is at, for functions that SQLite calls with it: highlight, snippet, bm25, and MATCH.

A plan answers MATCH. Where SQLite chooses one that does not, as for ``t MATCH 'word' OR year + 1 = 2020``, it
asks for MATCH row by row: ``match(query, row)``. The rows that match are then searched for once, for a cursor
and a query.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from audiomem_sql import search
from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.errors import QueryError
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.versions import Snapshot
from audiomem_sql.vtab.not_utf8 import is_not_utf8, refused_text
from audiomem_sql.writing.transaction import Transaction

if TYPE_CHECKING:
    from audiomem_sql.search import FoundPassages, Passage


class CursorRow:
    """The row that a cursor is at. matching: gives the rowids that match a query, ascending."""

    __slots__ = ("_matching", "readable", "rowid")

    def __init__(
        self, readable: Transaction | Snapshot, rowid: int, matching: Callable[[Any], I64Array]
    ) -> None:
        self.readable = readable
        self.rowid = rowid
        self._matching = matching

    def value(self, column: int) -> Any:
        """What a column holds, as SQL has it."""
        if column == self.readable.schema.rowid_column:
            return self.rowid
        row = self.readable.stored_row(self.rowid)
        return None if row is None else as_sql(row[column], self.readable.schema.columns[column].type)

    def passage(self, found: FoundPassages) -> Passage | None:
        """The passage that a search found; None where the text is not cut."""
        return search.passage_of(found, self.readable, self.rowid)

    def matches(self, query: Any) -> bool:
        """Whether the row is among those that ``query`` finds."""
        rowids = self._matching(query)
        place = int(np.searchsorted(rowids, self.rowid))
        return place < len(rowids) and int(rowids[place]) == self.rowid


def matching_rows(
    readable: Transaction | Snapshot, schema: Schema, query: Any, options: TableOptions, path: str
) -> I64Array:
    """The rowids of the rows that a search of the whole table finds, ascending int64 (n,)."""
    parts = [found.rowids for found in search.results(readable, schema, search.WHOLE, query, options, path)]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def match(query: Any, row: Any, path: str) -> int | None:
    """``row MATCH query``, as SQLite asks it row by row: 1, 0 or NULL.

    row: the column that is called like the table. QueryError for another column, whose row is not known.
    """
    if is_not_utf8(query):
        raise refused_text("MATCH was given text that is not UTF-8", [query]).at(file=path)
    if query is None or row is None:  # an outer join adds rows of NULLs
        return None
    if not isinstance(row, search.FoundRow) or not isinstance(row.row, CursorRow):
        raise QueryError(
            "MATCH of one column cannot be asked row by row, as it is beside an OR",
            file=path,
            remedy="Write MATCH of the table; 'keyword: title: words' names a column.",
        )
    return int(row.row.matches(query))
