"""xBestIndex as one pure function: from what SQLite asks of a table to a plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import TIME_COLLATION, Kind, collation_of
from audiomem_sql.errors import QueryError, UnsupportedError
from audiomem_sql.predicates import TIME, Op
from audiomem_sql.predicates.texts import Collation
from audiomem_sql.scan.planner import (
    COMPARING,
    UNKNOWN,
    Choice,
    Constraint,
    Statistics,
    TableQuery,
    choose,
)
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.vtab.hidden_columns import OF_MOMENT, HiddenColumns
from audiomem_sql.vtab.index_query import (
    ALL_COLUMNS,
    EQ,
    IS,
    LIMIT,
    OFFSET,
    OPERATORS,
    IndexConstraint,
    IndexPlan,
    IndexQuery,
)
from audiomem_sql.vtab.match import Search

#: So much dearer is a plan that leaves MATCH out: SQLite then takes the one that answers it, or asks for each
#: side of an OR by itself, and dearer still if it has no condition at all. (An UPDATE uses every column, and
#: may have no MATCH.)
_LEFT_OUT, _AND_SCANS = 1e9, 1e3
_RANGES = (Op.LT, Op.LE, Op.GT, Op.GE)
#: The operators of COMPARING, as SQLite numbers them.
_COMPARED = frozenset(number for number, op in OPERATORS.items() if op in COMPARING)


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """A table as the planner knows it.

    schema: the columns that SQLite knows. hidden: those behind them. current: the columns of the file,
    vectors included.
    """

    path: str
    schema: Schema
    hidden: HiddenColumns
    current: Schema
    statistics: Statistics


class _Constraints:
    """The constraints of a query by what they are for, each with its number in the query."""

    def __init__(self, table: PlannedTable, query: IndexQuery) -> None:
        self._table = table
        self.search = Search(table.path, table.hidden, table.current)
        #: Those that say something of the rows.
        self.rows: dict[int, Constraint] = {}
        #: Those that say which version is read.
        self.moments: dict[int, Hidden] = {}
        self.offset: int | None = None
        #: The one that is a condition as text, and whether its text is not known in this order of loops.
        self.filter: int | None = None
        self.filter_text: Any = None
        self.filter_unknown = False
        for number, constraint in enumerate(query.constraints):
            self._take(number, constraint)
        self._check(query)
        #: The one that says which version is read, a constant if there is one; SQLite compares the others.
        self.moment = min(
            (number for number in self.moments if query.constraints[number].usable),
            key=lambda number: query.constraints[number].value is None,
            default=None,
        )

    def _take(self, number: int, constraint: IndexConstraint) -> None:
        if constraint.op == OFFSET:
            self.offset = number
        elif constraint.op == LIMIT or self.search.takes(number, constraint):
            pass
        elif (role := self._table.hidden.role(constraint.column)) is None:
            self.rows[number] = _row_constraint(self._table.schema, constraint)
        elif role in OF_MOMENT and constraint.op in (EQ, IS):
            self.moments[number] = role
        elif role is Hidden.FILTER and constraint.op in (EQ, IS):
            self._take_filter(number, constraint)
        # any other, such as `version > 2`, SQLite checks: it compares what the column shows

    def _take_filter(self, number: int, constraint: IndexConstraint) -> None:
        if not constraint.usable:
            self.filter_unknown = self.filter is None
        elif self.filter is None:
            self.filter, self.filter_unknown, self.filter_text = number, False, constraint.value
        elif constraint.value is not None and constraint.value != self.filter_text is not None:
            raise QueryError(
                "a query has two filters", file=self._table.path, remedy="Join them by AND in one text."
            )
        # any other is compared by SQLite with the text of this one

    def _check(self, query: IndexQuery) -> None:
        if len(set(self.moments.values())) > 1:
            raise UnsupportedError(
                "version and as_of exclude each other", file=self._table.path, remedy="Ask for one of them."
            )
        self.search.check(query)

    @property
    def blocked(self) -> bool:
        """Whether a value that decides which rows there are is not known in this order of SQLite's loops."""
        no_moment = bool(self.moments) and self.moment is None
        return self.search.blocked or no_moment or self.filter_unknown


def plan_index(table: PlannedTable, query: IndexQuery) -> IndexPlan | None:
    """The answer to a query of SQLite's; None: not in this order of its loops.

    UnsupportedError and QueryError for conditions on hidden columns that make no sense.
    """
    constraints = _Constraints(table, query)
    if constraints.blocked:
        return None
    search = constraints.search
    by_distance = search.match is not None and search.orders(query)
    asked = _table_query(table, query, constraints)
    choice = choose(table.schema, table.statistics, asked)
    answer = IndexPlan.empty(len(query.constraints))
    _use(answer, constraints, choice)
    answer.text = choice.plan.text(table.schema)
    answer.number = len(choice.plan.terms)
    answer.cost, answer.rows = choice.cost, choice.rows
    if search.is_left_out(query):
        answer.cost *= _LEFT_OUT
        if not any(answer.arguments) and query.used != ALL_COLUMNS:
            answer.cost *= _AND_SCANS
    if search.by_equality:  # SQLite compares the column once more where it takes the sides of an OR apart
        answer.cost = max(
            answer.cost, choose(table.schema, table.statistics, replace(asked, constraints=[])).cost
        )
    answer.ordered = bool(choice.plan.order) or by_distance
    answer.unique = choice.unique
    return answer


def _table_query(table: PlannedTable, query: IndexQuery, constraints: _Constraints) -> TableQuery:
    """What the planner is asked."""
    schema, offset, moment = table.schema, constraints.offset, constraints.moment
    order = 0
    if query.order and query.order[0][0] in (ROWID, schema.rowid_column):
        order = -1 if query.order[0][1] else 1
    other_order = bool(query.order) and not order
    return TableQuery(
        constraints=list(constraints.rows.values()),
        columns=[column for column in range(len(schema)) if query.uses(column)],
        order=order,
        offset=offset is not None and query.constraints[offset].usable and not other_order,
        moment=None if moment is None else constraints.moments[moment].value,
        null_moment=moment is not None and query.constraints[moment].op == IS,
        match=constraints.search.match,
        k=constraints.search.k is not None,
        filter=constraints.filter is not None,
        ranking=constraints.search.options is not None,
    )


def _use(answer: IndexPlan, constraints: _Constraints, choice: Choice) -> None:
    """Say which constraint is which argument of the plan."""
    plan = choice.plan
    constraints.search.use(answer, plan)
    if constraints.moment is not None:
        argument = plan.version or plan.as_of
        assert argument is not None
        answer.use(constraints.moment, argument)
    if constraints.filter is not None:
        assert plan.filter is not None
        answer.use(constraints.filter, plan.filter)
    arguments = zip(constraints.rows.items(), choice.arguments, choice.exact, strict=True)
    for (number, constraint), row_argument, exact in arguments:
        if row_argument is not None:
            answer.use(number, row_argument, omit=exact)
            answer.lists[number] = constraint.op is Op.IN
    if plan.offset is not None and constraints.offset is not None:
        answer.use(constraints.offset, plan.offset)


def _row_constraint(schema: Schema, constraint: IndexConstraint) -> Constraint:
    """A constraint on a visible column, as the planner has it."""
    operator = OPERATORS.get(constraint.op)
    collation = _collation(schema, constraint)
    if operator is Op.EQ and constraint.usable and constraint.in_list:
        operator = Op.IN
    return Constraint(
        column=ROWID if constraint.column == schema.rowid_column else constraint.column,
        op=operator or Op.EQ,
        usable=operator is not None
        and collation is not None
        and constraint.usable
        and not _may_be_pattern(schema, constraint),
        collation=collation or "",
        value=UNKNOWN if constraint.value is None else constraint.value,
    )


def _may_be_pattern(schema: Schema, constraint: IndexConstraint) -> bool:
    """Whether it may be a bound that SQLite makes of ``number LIKE 'i%'``: it forgets what is called Inf."""
    is_real = constraint.column >= 0 and schema.columns[constraint.column].type.kind is Kind.REAL
    return is_real and isinstance(constraint.value, str) and OPERATORS.get(constraint.op) in _RANGES


def _may_be_part(constraint: IndexConstraint) -> bool:
    """Whether it may be a part of a row that IN looks for."""
    is_equal = OPERATORS.get(constraint.op) is Op.EQ and not constraint.in_list
    return is_equal and constraint.usable and constraint.value is None


def _collation(schema: Schema, constraint: IndexConstraint) -> str | None:
    """The collation of a constraint as the planner has it; None for one that only SQLite knows.

    A TIMESTAMP is declared with TIME_COLLATION, which SQLite hands over unless the condition names another
    one, or unless the column on the left is of another table. BINARY of a value that is not known yet is the
    second, and means times all the same. Of a text it may be a part of ``(a, b) IN (SELECT …)``, of which
    SQLite names no collation: the column's own finds those rows as well, and SQLite checks them again.
    """
    collation = constraint.collation.upper()
    column = None if constraint.column < 0 else schema.columns[constraint.column]
    if column is not None and column.type.logical is not None:
        if constraint.op not in _COMPARED:
            return "BINARY"
        return "BINARY" if collation == collation_of(column.type.logical).upper() else None
    if column is None or column.type.kind is not Kind.TIMESTAMP:
        is_text = column is not None and column.type.kind is Kind.TEXT
        if column is not None and is_text and collation == "BINARY" and _may_be_part(constraint):
            return column.collation
        return collation if collation in Collation.__members__ else None
    if collation == TIME_COLLATION.upper() or constraint.op not in _COMPARED:
        return TIME
    if collation == "BINARY" and constraint.usable and constraint.value is None:
        return TIME_COLLATION
    return collation if collation in Collation.__members__ else None
