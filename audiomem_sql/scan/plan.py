"""A plan: what a query reads of one table, and the text as which it travels.

SQLite keeps the text as idxStr, shows it in EXPLAIN QUERY PLAN, and hands it back with the values of the
arguments whenever the statement runs. Its grammar is a contract between :meth:`Plan.text` and
:func:`parse_plan`:

    plan   := ("SCAN" | "WHERE" term ("AND" term)*) ["READ" column ("," column)*] ["ORDER rowid" ["DESC"]]
              ["OFFSET" ?n] ["VERSION" ?n] ["AS OF" ["IS"] ?n] ["FILTER" ?n]
              ["MATCH" (column | "*") ?n] ["RANKING" ?n] ["K" ?n "BEFORE OTHER CONDITIONS"]
    term   := column operator [?n] ["COLLATE" name]
    column := a name, in double quotes unless it is a plain identifier that the grammar does not use; rowid

where ?n is the n-th argument, counted from 1, the operator is one of = <> < <= > >= IN LIKE GLOB IS, IS NOT,
IS NULL, IS NOT NULL, and one space stands between two words. Without COLLATE a TIMESTAMP is compared as a
time (``predicates.TIME``), and any other column by its bytes (BINARY).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.predicates import TIME, Op
from audiomem_sql.storage.segment import ROWID


@dataclass(frozen=True, slots=True)
class Term:
    """A constraint that the plan applies; its value is argument ``argument``, counted from 1."""

    column: int
    op: Op
    argument: int | None
    collation: str = "BINARY"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read.

    ``columns``: places in the schema, ascending. ``order``: 1 ascending, -1 descending, 0 any.

    match: the column that is searched (-1: the table), and the argument that it is searched for; the rows
    then come nearest first, and no more of them than argument ``k`` says, before the database checks any
    condition that is not a term. filter: the argument that is a condition as text. ranking: the one that says
    how rows are ranked. null_moment: the time NULL is that of the newest version; otherwise no row has it.
    """

    terms: tuple[Term, ...] = ()
    columns: tuple[int, ...] = ()
    order: int = 0
    offset: int | None = None
    version: int | None = None
    as_of: int | None = None
    null_moment: bool = False
    match: tuple[int, int] | None = None
    k: int | None = None
    filter: int | None = None
    ranking: int | None = None

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
            words.append(f"AS OF {'IS ' if self.null_moment else ''}?{self.as_of}")
        if self.filter is not None:
            words.append(f"FILTER ?{self.filter}")
        if self.match is not None:
            searched = "*" if self.match[0] < 0 else _name(self.match[0], schema)
            words.append(f"MATCH {searched} ?{self.match[1]}")
        if self.ranking is not None:
            words.append(f"RANKING ?{self.ranking}")
        if self.k is not None:
            words.append(f"K ?{self.k} BEFORE OTHER CONDITIONS")
        return " ".join(words)


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*\Z")
_RESERVED = frozenset(
    ["AND", "IN", "IS", "LIKE", "GLOB", "NOT", "NULL", "READ", "ORDER", "OFFSET", "DESC", "SCAN", "WHERE",
     "ROWID"]
)  # fmt: skip
_NAME = r'(?:[A-Za-z_][A-Za-z_0-9]*|"(?:[^"]|"")*")'
_OPERATOR = "IS NOT NULL|IS NULL|=|<>|<=|>=|<|>|IN|LIKE|GLOB|IS NOT|IS"
_TERM = rf"{_NAME} (?:{_OPERATOR})(?: \?\d+)?(?: COLLATE {_NAME})?"
_PLAN = re.compile(
    rf"(?:SCAN|WHERE (?P<terms>{_TERM}(?: AND {_TERM})*))"
    rf"(?: READ (?P<columns>{_NAME}(?:, {_NAME})*))?"
    r"(?P<order> ORDER rowid(?P<descending> DESC)?)?"
    r"(?: OFFSET \?(?P<offset>\d+))?(?: VERSION \?(?P<version>\d+))?"
    r"(?: AS OF(?P<null> IS)? \?(?P<as_of>\d+))?"
    r"(?: FILTER \?(?P<filter>\d+))?"
    rf"(?: MATCH (?P<match>{_NAME}|\*) \?(?P<query>\d+))?(?: RANKING \?(?P<ranking>\d+))?"
    r"(?: K \?(?P<k>\d+) BEFORE OTHER CONDITIONS)?"
)
_ONE_TERM = re.compile(rf"(?:\A| AND )({_NAME}) ({_OPERATOR})(?: \?(\d+))?(?: COLLATE ({_NAME}))?")
_ONE_COLUMN = re.compile(_NAME)


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
    usual = usual_collation(term.column, schema)
    return text if term.collation == usual else f"{text} COLLATE {term.collation}"


def usual_collation(column: int, schema: Schema) -> str:
    """The collation of a term that names none."""
    timed = column != ROWID and schema.columns[column].type.kind is Kind.TIMESTAMP
    return TIME if timed else "BINARY"


def _column(text: str, schema: Schema) -> int:
    if text.startswith('"'):
        text = text[1:-1].replace('""', '"')
    elif text == "rowid":
        return ROWID
    return schema.index(text)


def parse_plan(text: str, schema: Schema) -> Plan:
    """The inverse of :meth:`Plan.text`; QueryError for anything else."""
    parts = _PLAN.fullmatch(text)
    if parts is None:
        raise QueryError(f"this is no plan: {text!r}")
    numbers = {name: None if parts[name] is None else int(parts[name]) for name in _NUMBERS}
    match = parts["match"]
    return Plan(
        terms=tuple(_parsed_term(term, schema) for term in _ONE_TERM.finditer(parts["terms"] or "")),
        columns=tuple(_column(name, schema) for name in _ONE_COLUMN.findall(parts["columns"] or "")),
        order=0 if parts["order"] is None else 1 if parts["descending"] is None else -1,
        match=None
        if match is None
        else (-1 if match == "*" else _column(match, schema), int(parts["query"])),
        null_moment=parts["null"] is not None,
        **numbers,
    )


_NUMBERS = ("offset", "version", "as_of", "k", "filter", "ranking")


def _parsed_term(term: re.Match[str], schema: Schema) -> Term:
    name, operator, argument, collation = term.groups()
    column = _column(name, schema)
    number = None if argument is None else int(argument)
    return Term(column, Op(operator), number, collation or usual_collation(column, schema))
