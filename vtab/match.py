"""MATCH in SQLite: what of a query is a search, and how its answer is ordered.

``t MATCH :words`` searches the table by meaning and by words, ``body MATCH :words`` one of its columns, and ``vec MATCH :vector`` a column of
vectors. Rows come best first, lazily: whatever else SQLite checks by itself, LIMIT stops the search when enough have passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.errors import QueryError
from audiomem_sql.scan.plan import Plan
from audiomem_sql.search import WHOLE, search_target
from audiomem_sql.vtab.question import EQ, MATCH, Answer, Asked, Question

if TYPE_CHECKING:
    from audiomem_sql.vtab.virtual_table import VirtualTable

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
        self._only_meaning = True

    def takes(self, number: int, asked: Asked) -> bool:
        """Whether condition ``number`` belongs to the search, or is checked by SQLite alone on what it gives."""
        hidden = asked.column - self._owner.width
        if asked.op == MATCH:
            self._take_match(number, asked)
            return True
        if hidden == K and asked.op == EQ:
            if asked.usable:
                self.k = number
            else:
                self.blocked = True
            return True
        return hidden in (OWN, RANK, DISTANCE)

    def _take_match(self, number: int, asked: Asked) -> None:
        if self._query is not None:
            raise QueryError(
                "a query has two MATCH on the same table",
                file=self._owner.table.path,
                remedy="Use one of them.",
            )
        self.match = self._searched(asked.column)
        if not asked.usable:
            self.blocked = True
        self._query = number

    def _searched(self, column: int) -> int:
        """The place of the column that MATCH searches; WHOLE for the table. QueryError where there is nothing to search."""
        table = self._owner.table
        schema = table.snapshot.schema
        if column > self._owner.width:
            raise QueryError("a hidden column has nothing to MATCH", file=table.path)
        chosen = WHOLE if column == self._owner.width else column
        self._only_meaning = not search_target(schema, chosen, table.path).text_columns
        return chosen

    def check(self) -> None:
        """QueryError if ``k`` says how many rows of a search are wanted, and there is no search."""
        if self.match is None and (self.k is not None or self.blocked):
            raise QueryError(
                "the hidden column k says how many rows a MATCH gives, and there is no MATCH",
                file=self._owner.table.path,
                remedy="Add one, or use LIMIT.",
            )

    def orders(self, question: Question) -> bool:
        """Whether ORDER BY asks for what comes anyway: the best first. By distance only if words play no part."""
        wanted = (RANK, DISTANCE) if self._only_meaning else (RANK,)
        if len(question.order) != 1:
            return False
        column, descending = question.order[0]
        return column - self._owner.width in wanted and not descending

    def answer(self, answer: Answer, plan: Plan) -> None:
        """Tell SQLite which arguments the plan wants."""
        if plan.match is not None:
            assert self._query is not None
            answer.use(self._query, plan.match[1])
        if plan.k is not None:
            assert self.k is not None
            answer.use(self.k, plan.k)
