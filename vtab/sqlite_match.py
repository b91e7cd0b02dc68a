"""MATCH in SQLite: what of a query is a search, and how its answer is ordered.

``t MATCH :words`` searches the table by meaning, ``body MATCH :words`` one of its columns, and ``vec MATCH :vector`` a column of
vectors. Rows come nearest first, lazily: whatever else SQLite checks by itself, LIMIT stops the search when enough have passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.planner import Plan
from audiomem_sql.search import searched_column

if TYPE_CHECKING:
    from audiomem_sql.vtab.sqlite import VirtualTable

#: Places of the hidden columns behind the visible ones.
OWN, RANK, DISTANCE, K = 0, 1, 2, 3


class Search:
    """The search in one question of SQLite's. ``match``: the column that is searched; None without a search."""

    def __init__(self, owner: VirtualTable) -> None:
        self._owner = owner
        self.match: int | None = None
        self.k: int | None = None
        self._query: int | None = None
        self.blocked = False

    def takes(self, index: apsw.IndexInfo, number: int, op: int, column: int) -> bool:
        """Whether constraint ``number`` belongs to the search, or is checked by SQLite alone on what it gives."""
        hidden = column - self._owner.width
        if op == apsw.SQLITE_INDEX_CONSTRAINT_MATCH:
            self._take_match(index, number, column)
            return True
        if hidden == K and op == apsw.SQLITE_INDEX_CONSTRAINT_EQ:
            if index.get_aConstraint_usable(number):
                self.k = number
            else:
                self.blocked = True
            return True
        return hidden in (OWN, RANK, DISTANCE)

    def _take_match(self, index: apsw.IndexInfo, number: int, column: int) -> None:
        if self._query is not None:
            raise QueryError(
                "a query has two MATCH on the same table",
                file=self._owner.table.path,
                remedy="Use one of them.",
            )
        self.match = self._searched(column)
        if not index.get_aConstraint_usable(number):
            self.blocked = True
        self._query = number

    def _searched(self, column: int) -> int:
        """The place of the column that MATCH on ``column``, or on the whole table, searches."""
        schema, path = self._owner.table.snapshot.schema, self._owner.table.path
        vectors = schema.vectors
        if column == self._owner.width:
            return searched_column(schema.names, vectors, path)
        if column > self._owner.width:
            raise QueryError("a hidden column has nothing to MATCH", file=path)
        declared = schema.columns[column]
        if declared.type.kind is Kind.FLOAT:
            return column
        if column not in vectors:
            raise QueryError(
                f"column {declared.name} is not searched by meaning",
                file=path,
                remedy="MATCH needs a column that was declared SEMANTIC, or one of type FLOAT[n]; LIKE and GLOB need neither.",
            )
        return column

    def orders(self, index: apsw.IndexInfo) -> bool:
        """Whether ORDER BY asks for what comes anyway: the nearest first."""
        return (
            index.nOrderBy == 1
            and index.get_aOrderBy_iColumn(0) - self._owner.width in (RANK, DISTANCE)
            and not index.get_aOrderBy_desc(0)
        )

    def answer(self, index: apsw.IndexInfo, plan: Plan) -> None:
        """Tell SQLite which arguments the plan wants."""
        if plan.match is not None:
            assert self._query is not None
            index.set_aConstraintUsage_argvIndex(self._query, plan.match[1])
            index.set_aConstraintUsage_omit(self._query, True)
        if plan.k is not None:
            assert self.k is not None
            index.set_aConstraintUsage_argvIndex(self.k, plan.k)
            index.set_aConstraintUsage_omit(self.k, True)
