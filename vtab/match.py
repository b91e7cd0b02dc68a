"""MATCH in SQLite: which constraints of a query are a search, and how its answer is ordered.

``t MATCH :words`` searches the table by meaning and by words, ``body MATCH :words`` one of its columns, and
``vec MATCH :vector`` a column of vectors. Rows come best first, lazily: whatever else SQLite checks by
itself, LIMIT stops the search when enough have passed.
"""

from __future__ import annotations

from audiomem_sql import search
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import QueryError
from audiomem_sql.scan.plan import Plan
from audiomem_sql.vtab.hidden_columns import HiddenColumns
from audiomem_sql.vtab.index_query import EQ, IS, MATCH, IndexConstraint, IndexPlan, IndexQuery

#: SQLite compares conditions and arguments behind these again, whatever it is told.
_MOST_OMITTED = 16


class Search:
    """The search in one query. ``match``: the column that is searched; None without a search.

    hidden: the hidden columns that SQLite knows. schema: that of the file, with the columns of vectors.
    """

    def __init__(self, path: str, hidden: HiddenColumns, schema: Schema) -> None:
        self._path = path
        self._hidden = hidden
        self._schema = schema
        self.match: int | None = None
        self.k: int | None = None
        #: The constraint that says how rows are ranked.
        self.options: int | None = None
        self._query: int | None = None
        #: Whether a value that the search needs is not known in this order of SQLite's loops.
        self.blocked = False
        self._only_meaning = True
        #: Whether it is written ``t = 'words'``.
        self.by_equality = False
        self._in_list = False
        #: What FTS5 would take for the choice of a function that ranks.
        self._ranking: IndexConstraint | None = None

    def takes(self, number: int, constraint: IndexConstraint) -> bool:
        """Whether constraint ``number`` belongs to the search, or is checked by SQLite alone."""
        role = self._hidden.role(constraint.column)
        if constraint.op == MATCH or (role is Hidden.TABLE and constraint.op in (EQ, IS)):
            if constraint.op == IS:
                raise self._equals_nothing()
            if self._query is not None and (constraint.in_list or self._in_list):
                self.blocked = True  # SQLite makes an IN of `t = 'a' OR t = 'b'`, and asks for both
                return True
            self._take_match(number, constraint)
            self.by_equality, self._in_list = constraint.op == EQ, constraint.in_list
            return True
        if role is Hidden.K and constraint.op in (EQ, IS) and (self.k is None or not constraint.usable):
            self.k = self._usable(number, constraint, self.k)
            return True
        taken = self.options is not None and constraint.usable
        if role is Hidden.RANKING and constraint.op in (EQ, IS) and not taken:
            self.options = self._usable(number, constraint, self.options)
            return True
        if role is Hidden.RANK and constraint.op == EQ:
            self._ranking = constraint
        return False

    def _usable(self, number: int, constraint: IndexConstraint, before: int | None) -> int | None:
        """``number`` of a constraint whose value is known in this order of loops; otherwise ``before``."""
        if constraint.usable:
            return number
        self.blocked = True
        return before

    def _equals_nothing(self) -> QueryError:
        """For an equality that SQLite would compare itself, and find the table equal to no text."""
        return QueryError(
            "the column that is called like the table equals nothing",
            file=self._path,
            remedy="Write MATCH to search the table.",
        )

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
        role = self._hidden.role(column)
        if role not in (None, Hidden.TABLE):
            raise QueryError("a hidden column has nothing to MATCH", file=self._path)
        chosen = column if role is None else search.WHOLE
        self._only_meaning = not search.search_target(self._schema, chosen, self._path).text_columns
        return chosen

    def check(self, query: IndexQuery) -> None:
        """QueryError if ``k`` says how many rows of a search are wanted, and there is no search."""
        ranking = self._ranking
        if (
            self.match is not None
            and ranking is not None
            and (self.by_equality or isinstance(ranking.value, str))
        ):
            raise QueryError(
                "how rows are ranked cannot be chosen by rank, and t('words', …) takes the words alone",
                file=self._path,
                remedy="Write k = 10 for a number of rows; semantic:, keyword: or hybrid: in front of the "
                "words says what counts, and ranking = 'fusion=rrf' how both are ranked, or "
                "ranking = 'column_weights={\"title\": 10}' how much each column counts.",
            )
        if self.match is None and self.k is not None and query.constraints[self.k].in_list:
            self.k = None  # it is NULL without a search, and so in no list
        if self.match is None and self.options is not None and query.constraints[self.options].in_list:
            self.options = None
        if self.match is None and self.options is not None:
            raise QueryError(
                "the hidden column ranking says how a MATCH ranks rows, and there is no MATCH",
                file=self._path,
                remedy="Add one, or use ORDER BY.",
            )
        if self.match is None and (self.k is not None or self.blocked):
            raise QueryError(
                "the hidden column k says how many rows a MATCH gives, and there is no MATCH",
                file=self._path,
                remedy="Add one, or use LIMIT. Of a CROSS JOIN the table that is searched comes second.",
            )

    def orders(self, query: IndexQuery) -> bool:
        """Whether ORDER BY asks for the order in which rows come anyway: the best first.

        By distance only if words play no part.
        """
        wanted = (Hidden.RANK, Hidden.DISTANCE) if self._only_meaning else (Hidden.RANK,)
        if len(query.order) != 1:
            return False
        column, descending = query.order[0]
        return self._hidden.role(column) in wanted and not descending

    def is_left_out(self, query: IndexQuery) -> bool:
        """Whether SQLite would ask for MATCH row by row, compare the table's own column, or show it.

        It does so with one side of an OR. Compared with a text, the column equals nothing.
        """
        if self.match is not None:
            return False
        return any(query.used >> place & 1 for place in self._hidden.places(Hidden.TABLE))

    def use(self, answer: IndexPlan, plan: Plan) -> None:
        """Make constraints of the search arguments of the plan."""
        if plan.match is not None:
            assert self._query is not None
            if self.by_equality and max(self._query + 1, plan.match[1]) > _MOST_OMITTED:
                raise self._equals_nothing()
            answer.use(self._query, plan.match[1])
        if plan.k is not None:
            assert self.k is not None
            answer.use(self.k, plan.k)
        if plan.ranking is not None:
            assert self.options is not None
            answer.use(self.options, plan.ranking)
