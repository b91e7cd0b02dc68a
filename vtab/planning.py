"""xBestIndex as one pure function: from what SQLite asks of a table to a plan."""

from __future__ import annotations

from dataclasses import dataclass

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.predicates import Op
from audiomem_sql.predicates.texts import Collation
from audiomem_sql.scan.planner import UNKNOWN, Choice, Constraint, Statistics, TableQuery, choose
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.vtab.arguments import hidden_names
from audiomem_sql.vtab.index_query import EQ, LIMIT, OFFSET, OPERATORS, IndexConstraint, IndexPlan, IndexQuery
from audiomem_sql.vtab.match import Search

#: The remedies for a condition on a hidden column that is an argument.
_REMEDIES = {
    "k": "Write k = 10, beside a MATCH.",
    "version": "Write version = 3, version = 'tag' or as_of = '2026-01-31 12:00:00'.",
}


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """A table as the planner knows it.

    schema: the columns that SQLite knows. current: those of the file, vectors included.
    """

    name: str
    path: str
    schema: Schema
    current: Schema
    statistics: Statistics


class _Constraints:
    """The constraints of a query by what they are for, each with its number in the query."""

    def __init__(self, table: PlannedTable, query: IndexQuery) -> None:
        self._table = table
        self.search = Search(table.path, len(table.schema), table.current)
        #: Those that say something of the rows.
        self.rows: dict[int, Constraint] = {}
        #: Those that say which version is read: "version" or "as_of".
        self.moments: dict[int, str] = {}
        self.offset: int | None = None
        for number, constraint in enumerate(query.constraints):
            self._take(number, constraint)
        self._check()
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
        elif constraint.column >= len(self._table.schema):
            self.moments[number] = _moment(self._table, constraint)
        else:
            self.rows[number] = _row_constraint(self._table.schema, constraint)

    def _check(self) -> None:
        if len(set(self.moments.values())) > 1:
            raise UnsupportedError(
                "version and as_of exclude each other", file=self._table.path, remedy="Ask for one of them."
            )
        self.search.check()

    @property
    def blocked(self) -> bool:
        """Whether a value that decides which rows there are is not known in this order of SQLite's loops."""
        return self.search.blocked or (bool(self.moments) and self.moment is None)


def plan_index(table: PlannedTable, query: IndexQuery) -> IndexPlan | None:
    """The answer to a query of SQLite's; None: not in this order of its loops.

    UnsupportedError and QueryError for conditions on hidden columns that make no sense.
    """
    constraints = _Constraints(table, query)
    if constraints.blocked:
        return None
    search = constraints.search
    by_distance = search.match is not None and search.orders(query)
    choice = choose(table.schema, table.statistics, _table_query(table, query, constraints))
    answer = IndexPlan.empty(len(query.constraints))
    _use(answer, constraints, choice)
    answer.text = choice.plan.text(table.schema)
    answer.number = len(choice.plan.terms)
    answer.cost, answer.rows = choice.cost, choice.rows
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
        moment=None if moment is None else constraints.moments[moment],
        match=constraints.search.match,
        k=constraints.search.k is not None,
    )


def _use(answer: IndexPlan, constraints: _Constraints, choice: Choice) -> None:
    """Say which constraint is which argument of the plan."""
    plan = choice.plan
    constraints.search.use(answer, plan)
    if constraints.moment is not None:
        argument = plan.version or plan.as_of
        assert argument is not None
        answer.use(constraints.moment, argument)
    arguments = zip(constraints.rows.items(), choice.arguments, choice.exact, strict=True)
    for (number, constraint), row_argument, exact in arguments:
        if row_argument is not None:
            answer.use(number, row_argument, omit=exact)
            answer.lists[number] = constraint.op is Op.IN
    if plan.offset is not None and constraints.offset is not None:
        answer.use(constraints.offset, plan.offset)


def _moment(table: PlannedTable, constraint: IndexConstraint) -> str:
    """``version`` or ``as_of``, for an equality on one of the two."""
    name = hidden_names(table.name, table.schema)[constraint.column - len(table.schema)]
    if name in ("version", "as_of") and constraint.op == EQ:
        return name
    raise UnsupportedError(
        f"this condition on the hidden column {name} is not understood",
        file=table.path,
        remedy=_REMEDIES["k" if name == "k" else "version"],
    )


def _row_constraint(schema: Schema, constraint: IndexConstraint) -> Constraint:
    """A constraint on a visible column, as the planner has it."""
    known = OPERATORS.get(constraint.op)
    usable = known is not None and constraint.usable
    collation = constraint.collation.upper() if usable else "BINARY"
    if collation not in Collation.__members__:
        usable, collation = False, "BINARY"  # one of the application's own
    operator = known or Op.EQ
    if operator is Op.EQ and usable and constraint.in_list:
        operator = Op.IN
    return Constraint(
        column=ROWID if constraint.column == schema.rowid_column else constraint.column,
        op=operator,
        usable=usable,
        collation=collation,
        value=UNKNOWN if constraint.value is None else constraint.value,
    )
