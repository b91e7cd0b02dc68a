"""MATCH in SQLite: which constraints of a query are a search, and how its answer is ordered.

``t MATCH :words`` searches the table by meaning and by words, ``body MATCH :words`` one of its columns, and
``vec MATCH :vector`` a column of vectors. Rows come best first, lazily: whatever else SQLite checks by
itself, LIMIT stops the search when enough have passed.
"""

from __future__ import annotations

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import QueryError
from audiomem_sql.scan.plan import Plan
from audiomem_sql.search import WHOLE, search_target
from audiomem_sql.vtab.index_query import EQ, MATCH, IndexConstraint, IndexPlan, IndexQuery

#: Places of the hidden columns behind the visible ones.
OWN, RANK, DISTANCE, K = 0, 1, 2, 3


class Search:
    """The search in one query. ``match``: the column that is searched; None without a search.

    width: the number of visible columns that SQLite knows. schema: that of the file, with the columns of
    vectors.
    """

    def __init__(self, path: str, width: int, schema: Schema) -> None:
        self._path = path
        self._width = width
        self._schema = schema
        self.match: int | None = None
        self.k: int | None = None
        self._query: int | None = None
        #: Whether a value that the search needs is not known in this order of SQLite's loops.
        self.blocked = False
        self._only_meaning = True

    def takes(self, number: int, constraint: IndexConstraint) -> bool:
        """Whether constraint ``number`` belongs to the search, or is checked by SQLite alone."""
        hidden = constraint.column - self._width
        if constraint.op == MATCH:
            self._take_match(number, constraint)
            return True
        if hidden == K and constraint.op == EQ:
            if constraint.usable:
                self.k = number
            else:
                self.blocked = True
            return True
        return hidden in (OWN, RANK, DISTANCE)

    def _take_match(self, number: int, constraint: IndexConstraint) -> None:
        if self._query is not None:
            raise QueryError(
                "a query has two MATCH on the same table", file=self._path, remedy="Use one of them."
            )
        self.match = self._searched(constraint.column)
        if not constraint.usable:
            self.blocked = True
        self._query = number

    def _searched(self, column: int) -> int:
        """The column that MATCH searches; WHOLE for the table.

        QueryError where there is nothing to search.
        """
        if column > self._width:
            raise QueryError("a hidden column has nothing to MATCH", file=self._path)
        chosen = WHOLE if column == self._width else column
        self._only_meaning = not search_target(self._schema, chosen, self._path).text_columns
        return chosen

    def check(self) -> None:
        """QueryError if ``k`` says how many rows of a search are wanted, and there is no search."""
        if self.match is None and (self.k is not None or self.blocked):
            raise QueryError(
                "the hidden column k says how many rows a MATCH gives, and there is no MATCH",
                file=self._path,
                remedy="Add one, or use LIMIT.",
            )

    def orders(self, query: IndexQuery) -> bool:
        """Whether ORDER BY asks for the order in which rows come anyway: the best first.

        By distance only if words play no part.
        """
        wanted = (RANK, DISTANCE) if self._only_meaning else (RANK,)
        if len(query.order) != 1:
            return False
        column, descending = query.order[0]
        return column - self._width in wanted and not descending

    def use(self, answer: IndexPlan, plan: Plan) -> None:
        """Make constraints of the search arguments of the plan."""
        if plan.match is not None:
            assert self._query is not None
            answer.use(self._query, plan.match[1])
        if plan.k is not None:
            assert self.k is not None
            answer.use(self.k, plan.k)
