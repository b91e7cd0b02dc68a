"""The planner: from what a query asks of one table to what is read.

It depends on nothing but its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import TIME_COLLATION, Kind
from audiomem_sql.observe import hooks
from audiomem_sql.predicates import TIME, Op
from audiomem_sql.scan.plan import Plan, Term
from audiomem_sql.storage.segment import ROWID

NUMERIC_KINDS = (Kind.INTEGER, Kind.REAL, Kind.BOOLEAN)
UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a door knows of ``column op value``; ``value`` is UNKNOWN unless it is a constant of the query.

    collation: as SQLite names it, or TIME; also of a constraint that cannot be used.
    """

    column: int
    op: Op
    usable: bool = True
    collation: str = "BINARY"
    value: Any = UNKNOWN


@dataclass(frozen=True, slots=True)
class TableQuery:
    """What a query asks of one table: ``columns`` of the rows that satisfy ``constraints``.

    order: the rowid order that is wanted (1, -1, 0 for any). offset: the query has an OFFSET, which the plan
    takes over when it decides every constraint alone. moment: "version" or "as_of" if the query asks for one;
    null_moment: it asks by IS, so that the time NULL is that of the newest version.
    match: the column that is searched (-1: the table), None without a search. k: the query says how many rows
    a search gives. filter: the query has a condition as text. ranking: it says how rows are ranked.
    """

    constraints: Sequence[Constraint]
    columns: Sequence[int]
    order: int = 0
    offset: bool = False
    moment: str | None = None
    null_moment: bool = False
    match: int | None = None
    k: bool = False
    filter: bool = False
    ranking: bool = False


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the planner knows of a table: its rows, and whether they are stored in rowid order."""

    rows: int
    ordered: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan and what a door has to tell its database about it.

    arguments: for each constraint, its argument number or None. exact: for each constraint, whether the plan
    alone decides it. cost, rows: estimates. unique: at most one row comes back.
    """

    plan: Plan
    arguments: tuple[int | None, ...]
    exact: tuple[bool, ...]
    cost: float
    rows: int
    unique: bool


#: The operators of which SQLite says the collation; of <> and IS NOT it says BINARY, whatever it is.
COMPARING = (Op.EQ, Op.LT, Op.LE, Op.GT, Op.GE, Op.IS)
_NO_VALUE = (Op.IS_NULL, Op.NOT_NULL)
#: SQLite converts the values of an IN before it hands them over, and where it checks one by one, it compares
#: a text with a number in another way than IN does: so IN is decided here.
_ALWAYS_EXACT = (*_NO_VALUE, Op.IN)
_PATTERNS = (Op.LIKE, Op.GLOB)
_TEXTS = (Kind.TEXT, Kind.JSON, Kind.TIMESTAMP)
#: SQLite names BINARY for these, whatever collation it compares with. Texts of the same bytes are equal by
#: any of them, so that a filter by BINARY drops no row that SQLite keeps. But SQLite has to check the others.
_COLLATION_UNKNOWN = (Op.NE, Op.IS_NOT)
#: What makes SQLite choose any other order of its loops, if there is one.
_LAST_CHOICE = 1e12


@dataclass(frozen=True, slots=True)
class _Estimate:
    rows: float
    cost: float
    unique: bool


@hooks.staged("plan")
def choose(schema: Schema, statistics: Statistics, query: TableQuery) -> Choice:
    """The plan of a query.

    Its arguments are the values of the usable constraints, then those of OFFSET, of the moment, of the
    search, of k, of the filter, and of the ranking.
    """
    terms: list[Term] = []
    arguments: list[int | None] = []
    for constraint in query.constraints:
        if not constraint.usable:
            arguments.append(None)
            continue
        # IS NULL has an argument as well: SQLite takes a constraint without one for a constraint that is not
        # used, and would not see that the plan depends on it (as on a condition in the ON of a LEFT JOIN)
        number = len(terms) + 1
        needed = None if constraint.op in _NO_VALUE else number
        terms.append(Term(constraint.column, constraint.op, needed, constraint.collation))
        arguments.append(number)
    exact = tuple(constraint.usable and _is_exact(schema, constraint) for constraint in query.constraints)
    estimate = _estimated(schema, statistics, query, exact)
    plan = _plan(terms, statistics, query, all(exact))
    return Choice(plan, tuple(arguments), exact, estimate.cost, int(estimate.rows), estimate.unique)


def _plan(terms: Sequence[Term], statistics: Statistics, query: TableQuery, exact: bool) -> Plan:
    """The plan with these terms. exact: they decide every constraint."""
    numbers = count(len(terms) + 1)
    order = query.order if statistics.ordered and query.match is None else 0
    takes_offset = (
        query.offset
        and query.match is None
        and not query.filter
        and exact
        and (not query.order or bool(order))
    )
    return Plan(
        terms=tuple(terms),
        columns=tuple(sorted(query.columns)),
        order=order,
        offset=next(numbers) if takes_offset else None,
        version=next(numbers) if query.moment == "version" else None,
        as_of=next(numbers) if query.moment == "as_of" else None,
        null_moment=query.null_moment,
        match=None if query.match is None else (query.match, next(numbers)),
        k=next(numbers) if query.match is not None and query.k else None,
        filter=next(numbers) if query.filter else None,
        ranking=next(numbers) if query.match is not None and query.ranking else None,
    )


def _estimated(schema: Schema, statistics: Statistics, query: TableQuery, exact: Sequence[bool]) -> _Estimate:
    """How many rows come back, what that costs, and whether there is one at most: a rough estimate."""
    rows = scanned = float(max(statistics.rows, 1))
    few = unique = False
    outside = 0.0
    for constraint, is_exact in zip(query.constraints, exact, strict=True):
        if not constraint.usable:
            outside = max(outside, _cost_outside(schema, constraint))
            continue
        share, read, one = _selectivity(schema, constraint, rows)
        rows = max(1.0, rows * share)
        scanned = min(scanned, read)
        few = few or one
        # a plan that is no more than a superset can give several rows, and IS NULL as well
        unique = unique or (one and is_exact and (constraint.op is Op.EQ or constraint.column == ROWID))
    if few:
        rows, cost = 1.0, 1.0
    else:
        cost = 20.0 + scanned * 0.2 + rows * (1.0 + 0.25 * len(query.columns))
    if query.match is not None:
        cost = 50.0 + scanned * 0.3 + rows
    return _Estimate(rows, cost + outside, unique)


def _cost_outside(schema: Schema, constraint: Constraint) -> float:
    """What it costs that SQLite compares, because the value comes from a loop inside ours.

    Of ``other.seen = ours.seen`` SQLite takes the collation of the left column: it would compare a time with
    a column of texts byte by byte, and miss those in another spelling. We compare times, if we are inside.
    """
    if constraint.collation != "BINARY" or constraint.op not in COMPARING or constraint.column == ROWID:
        return 0.0
    return _LAST_CHOICE if schema.columns[constraint.column].type.kind is Kind.TIMESTAMP else 0.0


def _is_exact(schema: Schema, constraint: Constraint) -> bool:
    """Whether the predicate decides the constraint as SQLite would, whatever the value turns out to be."""
    if constraint.op in _ALWAYS_EXACT:
        return True
    if constraint.op in _PATTERNS:
        return False
    kind = Kind.INTEGER if constraint.column == ROWID else schema.columns[constraint.column].type.kind
    if constraint.column != ROWID and schema.columns[constraint.column].type.logical is not None:
        return False
    if kind in _TEXTS and constraint.op in _COLLATION_UNKNOWN:
        return False
    if constraint.collation in (TIME, TIME_COLLATION):
        return True
    if kind in NUMERIC_KINDS:
        # A collation says nothing of numbers. But SQLite makes a range with NOCASE of `number LIKE 'a%'
        # ESCAPE '!'`, and if it need not check that, it checks the LIKE so late that a RIGHT JOIN loses rows
        # (seen in 3.54.1).
        return constraint.collation == "BINARY"
    return (
        kind is not Kind.FLOAT
        and constraint.collation == "BINARY"
        and isinstance(constraint.value, (str, bytes))
    )


def _selectivity(schema: Schema, constraint: Constraint, rows: float) -> tuple[float, float, bool]:
    """(share of rows that remain, rows that are read, at most one row remains): a rough estimate."""
    column, op = constraint.column, constraint.op
    is_rowid = column == ROWID or column == schema.rowid_column
    if op in (Op.EQ, Op.IS):
        if is_rowid or schema.columns[column].unique or schema.columns[column].primary_key:
            return 1 / rows, 1.0, True
        return 1 / min(rows, 50.0), rows / 20, False
    if op is Op.IN:
        if is_rowid or schema.columns[column].unique or schema.columns[column].primary_key:
            return min(1.0, 8 / rows), 8.0, False
        return 1 / min(max(rows / 4, 1.0), 12.0), rows / 4, False
    if op in (Op.LT, Op.LE, Op.GT, Op.GE):
        return 0.25, rows * (0.25 if is_rowid else 0.5), False
    if op is Op.IS_NULL:
        return 0.1, rows / 2, False
    if op in _PATTERNS:
        return 0.2, rows, False
    return 0.9, rows, False
