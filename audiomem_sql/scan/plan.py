"""The planner: from what a query asks of one table to what is read.

Every door hands its constraints to :func:`choose` and gets a :class:`Plan`. A plan travels as text (SQLite keeps it as
idxStr and shows it in EXPLAIN QUERY PLAN); its grammar is

    plan   := "SCAN" | "WHERE" term ("AND" term)*   [ "READ" column ("," column)* ] [ "ORDER rowid" ["DESC"] ] [ "OFFSET" ?n ]
              [ "VERSION" ?n | "AS OF" ?n ]  [ "MATCH" (column | "*") "?n" [ "K" ?n ] ]
    term   := column operator ["?n"]
    column := a name, in double quotes unless it is a plain identifier

where ?n is the n-th argument, and the operator is one of = <> < <= > >= IN IS IS NOT IS NULL IS NOT NULL LIKE GLOB.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.predicates import Op
from audiomem_sql.storage.segment import ROWID

NUMERIC_KINDS = (Kind.INTEGER, Kind.REAL, Kind.BOOLEAN)
UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a door knows of ``column op value``; ``value`` is UNKNOWN unless it is a constant of the query."""

    column: int
    op: Op
    usable: bool = True
    collation: str = "BINARY"
    value: Any = UNKNOWN


@dataclass(frozen=True, slots=True)
class Term:
    """A constraint that the plan applies; its value arrives as argument number ``argument``, counted from 1."""

    column: int
    op: Op
    argument: int | None
    collation: str = "BINARY"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read. ``columns``: places in the schema, ascending. ``order``: 1 ascending, -1 descending, 0 any.

    match: the column that is searched (-1: the table), and the argument that it is searched for; the rows then come nearest first, and
    no more of them than argument ``k`` says.
    """

    terms: tuple[Term, ...] = ()
    columns: tuple[int, ...] = ()
    order: int = 0
    offset: int | None = None
    version: int | None = None
    as_of: int | None = None
    match: tuple[int, int] | None = None
    k: int | None = None

    def text(self, schema: Schema) -> str:
        """The plan in the grammar above."""
        words = []
        if self.terms:
            terms = (_term_text(term, schema) for term in self.terms)
            words.append("WHERE " + " AND ".join(terms))
        else:
            words.append("SCAN")
        if self.columns:
            words.append("READ " + ", ".join(_name(column, schema) for column in self.columns))
        if self.order:
            words.append("ORDER rowid" + (" DESC" if self.order < 0 else ""))
        if self.offset is not None:
            words.append(f"OFFSET ?{self.offset}")
        if self.version is not None:
            words.append(f"VERSION ?{self.version}")
        if self.as_of is not None:
            words.append(f"AS OF ?{self.as_of}")
        if self.match is not None:
            searched = "*" if self.match[0] < 0 else _name(self.match[0], schema)
            words.append(f"MATCH {searched} ?{self.match[1]}")
        if self.k is not None:
            words.append(f"K ?{self.k}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan and what a door has to tell its database about it.

    arguments: for each constraint, its argument number or None. exact: for each constraint, whether the plan alone
    decides it. cost, rows: estimates. unique: at most one row comes back.
    """

    plan: Plan
    arguments: tuple[int | None, ...]
    exact: tuple[bool, ...]
    cost: float
    rows: int
    unique: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the planner knows of a table: its rows, and whether they are stored in rowid order."""

    rows: int
    ordered: bool


_NO_VALUE = (Op.IS_NULL, Op.NOT_NULL)
#: SQLite converts the values of an IN before it hands them over, and where it checks one by one, it compares a text
#: with a number in another way than IN does: so IN is decided here.
_ALWAYS_EXACT = (*_NO_VALUE, Op.IN)
_PATTERNS = (Op.LIKE, Op.GLOB)


def choose(
    schema: Schema,
    statistics: Statistics,
    constraints: Sequence[Constraint],
    columns: Sequence[int],
    *,
    order: int = 0,
    offset: bool = False,
    moment: str | None = None,
    match: int | None = None,
    k: bool = False,
) -> Choice:
    """The plan for a query that needs ``columns`` of the rows that satisfy ``constraints``.

    order: the rowid order that is wanted (1, -1, 0 for any). offset: the query has an OFFSET, which the plan takes
    over when it decides every constraint alone. moment: "version" or "as_of" if the query asks for one. match: the column
    that is searched; then what it is searched for, and ``k`` if the query gives one, are the last arguments, behind the
    moment.
    """
    terms: list[Term] = []
    arguments: list[int | None] = []
    exact: list[bool] = []
    rows, cost = float(max(statistics.rows, 1)), 0.0
    few = unique = False
    scanned = float(max(statistics.rows, 1))
    for constraint in constraints:
        if not constraint.usable:
            arguments.append(None)
            exact.append(False)
            continue
        # IS NULL has an argument as well: SQLite takes a constraint without one for a constraint that is not used,
        # and would not see that the plan depends on it (as on a condition in the ON of a LEFT JOIN)
        number = sum(a is not None for a in arguments) + 1
        needed = None if constraint.op in _NO_VALUE else number
        terms.append(Term(constraint.column, constraint.op, needed, constraint.collation))
        arguments.append(number)
        exact.append(_is_exact(schema, constraint))
        share, read, one = _selectivity(schema, constraint, rows)
        rows = max(1.0, rows * share)
        scanned = min(scanned, read)
        few = few or one
        # a plan that is no more than a superset can give several rows, and IS NULL as well
        unique = unique or (one and exact[-1] and (constraint.op is Op.EQ or constraint.column == ROWID))
    if few:
        rows, cost = 1.0, 1.0
    else:
        cost = 20.0 + scanned * 0.2 + rows * (1.0 + 0.25 * len(columns))
    if match is not None:
        cost, few, unique = 50.0 + scanned * 0.3 + rows, False, unique
    takes_order = order if order and statistics.ordered and match is None else 0
    takes_offset = offset and match is None and all(exact) and (not order or bool(takes_order))
    last = sum(a is not None for a in arguments)
    behind = last + takes_offset + (moment is not None)
    plan = Plan(
        tuple(terms),
        tuple(sorted(columns)),
        takes_order,
        last + 1 if takes_offset else None,
        last + takes_offset + 1 if moment == "version" else None,
        last + takes_offset + 1 if moment == "as_of" else None,
        None if match is None else (match, behind + 1),
        behind + 2 if match is not None and k else None,
    )
    return Choice(plan, tuple(arguments), tuple(exact), cost, int(rows), unique)


def _is_exact(schema: Schema, constraint: Constraint) -> bool:
    """Whether the predicate decides the constraint as SQLite would, whatever the value turns out to be."""
    if constraint.op in _ALWAYS_EXACT:
        return True
    if constraint.op in _PATTERNS:
        return False
    kind = Kind.INTEGER if constraint.column == ROWID else schema.columns[constraint.column].type.kind
    if kind in NUMERIC_KINDS:
        # A collation says nothing of numbers. But SQLite makes a range with NOCASE of `number LIKE 'a%' ESCAPE '!'`, and if it
        # need not check that, it checks the LIKE so late that a RIGHT JOIN loses rows (seen in 3.54.1).
        return constraint.collation == "BINARY"
    return (
        kind is not Kind.FLOAT
        and constraint.collation == "BINARY"
        and isinstance(constraint.value, (str, bytes))
    )


def _selectivity(schema: Schema, constraint: Constraint, rows: float) -> tuple[float, float, bool]:
    """(share of rows that remain, rows that are looked at, at most one row remains): rough, but in the right order."""
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


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*\Z")
_RESERVED = frozenset(
    ["AND", "IN", "IS", "LIKE", "GLOB", "NOT", "NULL", "READ", "ORDER", "OFFSET", "DESC", "SCAN", "WHERE"]
)
_NAME = r'(?:[A-Za-z_][A-Za-z_0-9]*|"(?:[^"]|"")*")'
_TERM = re.compile(
    rf"({_NAME}) (IS NOT NULL|IS NULL|=|<>|<=|>=|<|>|IN|LIKE|GLOB|IS NOT|IS)(?: \?(\d+))?(?: COLLATE ({_NAME}))?"
)
_COLUMN = re.compile(_NAME)
_MATCH = re.compile(rf" MATCH ({_NAME}|\*) \?(\d+)")
_K = re.compile(r" K \?(\d+)")


def _name(column: int, schema: Schema) -> str:
    if column == ROWID:
        return "rowid"
    name = schema.columns[column].name
    if _IDENTIFIER.match(name) and name.upper() not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def _term_text(term: Term, schema: Schema) -> str:
    text = f"{_name(term.column, schema)} {term.op.value}"
    if term.argument is not None:
        text += f" ?{term.argument}"
    return text if term.collation == "BINARY" else f"{text} COLLATE {term.collation}"


def _column(text: str, schema: Schema) -> int:
    if text.startswith('"'):
        text = text[1:-1].replace('""', '"')
    elif text == "rowid":
        return ROWID
    return schema.index(text)


def parse_plan(text: str, schema: Schema) -> Plan:
    """The inverse of :meth:`Plan.text`; QueryError for anything else."""
    at, terms, columns, order = 0, [], [], 0
    if text.startswith("WHERE "):
        at = 6
        while match := _TERM.match(text, at):
            name, op, argument, collation = match.groups()
            terms.append(
                Term(
                    _column(name, schema), Op(op), int(argument) if argument else None, collation or "BINARY"
                )
            )
            at = match.end()
            if not text.startswith(" AND ", at):
                break
            at += 5
    elif text.startswith("SCAN"):
        at = 4
    if text.startswith(" READ ", at):
        at += 6
        while match := _COLUMN.match(text, at):
            columns.append(_column(match.group(), schema))
            at = match.end()
            if not text.startswith(", ", at):
                break
            at += 2
    if text.startswith(" ORDER rowid", at):
        at += 12
        order = 1
        if text.startswith(" DESC", at):
            at, order = at + 5, -1
    numbers: dict[str, int] = {}
    for name in ("OFFSET", "VERSION", "AS OF"):
        if match := re.compile(rf" {name} \?(\d+)").match(text, at):
            at, numbers[name] = match.end(), int(match.group(1))
    match_at: tuple[int, int] | None = None
    if match := _MATCH.match(text, at):
        searched = -1 if match.group(1) == "*" else _column(match.group(1), schema)
        at, match_at = match.end(), (searched, int(match.group(2)))
    if match := _K.match(text, at):
        at, numbers["K"] = match.end(), int(match.group(1))
    if at != len(text) or at == 0:
        raise QueryError(f"this is no plan: {text!r}")
    return Plan(
        tuple(terms),
        tuple(columns),
        order,
        numbers.get("OFFSET"),
        numbers.get("VERSION"),
        numbers.get("AS OF"),
        match_at,
        numbers.get("K"),
    )
