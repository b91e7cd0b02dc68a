"""Answers to questions of xBestIndex that a table of apsw was asked before, as ``native/plans.c`` keeps them.

SQLite asks the same again for every order of a join's loops, 252 times for a chain of 64 tables, and so does
every statement like it. What an answer costs that is kept is mostly what apsw's calls cost. So no more of
them are made than the answer depends on.
"""

from __future__ import annotations

from typing import Any

import apsw

from audiomem_sql.vtab.apsw.in_lists import lists_may_be_empty
from audiomem_sql.vtab.index_query import LIMIT, OFFSET, IndexPlan, Question

#: All that an answer depends on.
Signature = tuple[Any, ...]
#: (uses, text, number, cost, rows, ordered, unique); a use is (constraint, argument, omitted, list).
Told = tuple[tuple[tuple[int, int, bool, bool], ...], str, int, float, int, bool, bool]
_ABOUT_NO_ROWS = (LIMIT, OFFSET)


def signature_of(index: apsw.IndexInfo) -> Signature:
    """The signature of SQLite's question; of a constraint that cannot be used its value plays no part."""
    column, op, usable = index.get_aConstraint_iColumn, index.get_aConstraint_op, index.get_aConstraint_usable
    parts: list[Any] = [*index.colUsed, None]
    for number in range(index.nConstraint):
        kind = op(number)
        if not usable(number):
            parts += (column(number), kind, None)
        elif kind in _ABOUT_NO_ROWS:
            parts += (column(number), kind, "", index.get_aConstraint_rhs(number), False)
        else:
            parts += (
                column(number),
                kind,
                index.get_aConstraint_collation(number),
                index.get_aConstraint_rhs(number),
                index.get_aConstraintUsage_in(number),
            )
    for number in range(index.nOrderBy):
        parts += (index.get_aOrderBy_iColumn(number), index.get_aOrderBy_desc(number))
    parts.append(index.nConstraint)
    return tuple(parts)


def question_of(index: apsw.IndexInfo) -> Question:
    """SQLite's question."""
    constraints = []
    for number in range(index.nConstraint):
        op, usable = index.get_aConstraint_op(number), index.get_aConstraint_usable(number)
        about_rows = op not in _ABOUT_NO_ROWS
        constraints.append(
            (
                index.get_aConstraint_iColumn(number),
                op,
                usable,
                index.get_aConstraint_collation(number) if about_rows else "BINARY",
                index.get_aConstraint_rhs(number) if usable else None,
                usable and about_rows and index.get_aConstraintUsage_in(number),
            )
        )
    order = [
        (index.get_aOrderBy_iColumn(number), index.get_aOrderBy_desc(number))
        for number in range(index.nOrderBy)
    ]
    return tuple(constraints), tuple(order), sum(1 << column for column in index.colUsed)


def told_of(answer: IndexPlan | None) -> Told | None:
    """What SQLite is told of a plan."""
    if answer is None:
        return None
    lists = any(answer.lists) and lists_may_be_empty()
    uses = tuple(
        (constraint, argument, answer.omitted[constraint], lists and answer.lists[constraint])
        for constraint, argument in enumerate(answer.arguments)
        if argument
    )
    rest = (answer.text, answer.number, answer.cost, answer.rows, answer.ordered, answer.unique)
    return uses, *rest


def tell(index: apsw.IndexInfo, told: Told) -> None:
    """Answer SQLite's question."""
    uses, index.idxStr, index.idxNum, index.estimatedCost, index.estimatedRows, ordered, unique = told
    for constraint, argument, omitted, in_list in uses:
        index.set_aConstraintUsage_argvIndex(constraint, argument)
        if omitted:
            index.set_aConstraintUsage_omit(constraint, True)
        if in_list:
            index.set_aConstraintUsage_in(constraint, True)
    if ordered:
        index.orderByConsumed = True
    if unique:
        index.idxFlags = apsw.SQLITE_INDEX_SCAN_UNIQUE
