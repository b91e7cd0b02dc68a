"""A condition as what a scan takes: bound filters of one column each, and a row filter for the rest.

A condition is bound once, here. Its outermost AND is taken apart, so that each part prunes and decides by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.observe import hooks
from audiomem_sql.predicates import ROWID, TIME, And, Bound, Condition, Not, Or, Predicate, bind
from audiomem_sql.predicates.conditions import combine, evaluate
from audiomem_sql.predicates.predicate import NO_COLUMN, SqlPredicate, conjuncts, predicates_of
from audiomem_sql.scan.condition_text import condition_of, whole_condition
from audiomem_sql.scan.sql_rows import SqlRows

_INTEGER = ColumnType(Kind.INTEGER)


@dataclass(frozen=True, slots=True)
class Filter:
    """A bound predicate on a column: its number in the schema, or ROWID."""

    column: int
    bound: Bound

    def passes(self, load: Callable[[int], pa.Array[Any]]) -> BoolArray:
        """The rows of loaded columns for which the predicate is true, bool (n,)."""
        return self.bound.mask(load(self.column))


#: A filter that needs several columns at once: given a loader of columns, True for the rows that pass, bool
#: (n,).
RowFilter = Callable[[Callable[[int], pa.Array]], BoolArray]


def filters_of(
    condition: Condition,
    schema: Schema,
    *,
    collated: bool = True,
    nan_is_null: bool = True,
    whole: str = "",
) -> tuple[list[Filter], RowFilter | None]:
    """(filters, row filter): every row that passes both satisfies ``condition``, and no other does.

    collated: texts are compared by the collations of their columns, and times with any spelling of a time;
    otherwise texts and times are compared by their bytes. DataTypeError, naming the column, for a value that
    is no time. nan_is_null: see ``bind``. whole: the text of the condition, for errors of the parts that
    SQLite decides.
    """

    def bind_predicate(predicate: Predicate) -> Bound:
        if predicate.column == ROWID:
            return bind(predicate, _INTEGER, literal=True)
        column = schema.columns[predicate.column]
        collation = TIME if column.type.kind is Kind.TIMESTAMP else column.collation
        try:
            named = collation if collated else "BINARY"
            return bind(predicate, column.type, named, literal=True, nan_is_null=nan_is_null)
        except DataTypeError as error:
            error.at(place=f"column {column.name}")
            raise

    filters: list[Filter] = []
    mixed: list[tuple[Condition, list[tuple[Predicate, Filter | SqlRows]]]] = []
    for part in conjuncts(condition):
        predicates = predicates_of(part)
        if isinstance(part, Predicate) and not isinstance(part, SqlPredicate):
            filters.append(Filter(part.column, bind_predicate(part)))
        elif isinstance(part, And | Or | Not) and _on_one_column(predicates):
            filters.append(Filter(predicates[0].column, combine(part, bind_predicate)))
        else:
            bound: list[Filter | SqlRows] = [
                SqlRows(predicate, schema, whole)
                if isinstance(predicate, SqlPredicate)
                else Filter(predicate.column, bind_predicate(predicate))
                for predicate in predicates
            ]
            mixed.append((part, list(zip(predicates, bound, strict=True))))
    return filters, _MixedFilter(mixed) if mixed else None


def _on_one_column(predicates: Sequence[Predicate]) -> bool:
    columns = {predicate.column for predicate in predicates}
    return len(columns) == 1 and NO_COLUMN not in columns


@hooks.staged("plan")
def filters_of_text(
    where: str | None, parameters: Sequence[Any], schema: Schema
) -> tuple[list[Filter], RowFilter | None]:
    """The filters of ``where``, see :mod:`audiomem_sql.scan.condition_text`; without it, none.

    Raises QueryError.
    """
    if where is None:
        return [], None
    if not isinstance(where, str):
        raise QueryError(f"a filter is text, not {where!r:.60}", remedy="Write where='year > 2020'.")
    condition = condition_of(where, schema.names, parameters)
    try:
        return filters_of(condition, schema, whole=where)
    except QueryError:
        if isinstance(condition, Predicate):
            raise
        try:  # where a word that joins conditions elsewhere is a name
            return filters_of(whole_condition(where, schema.names, parameters), schema, whole=where)
        except QueryError:
            pass
        raise


class _MixedFilter:
    """A RowFilter of conditions on several columns, each with what its predicates are bound to.

    It can be pickled: other processes search with it, too.
    """

    def __init__(
        self, conditions: Sequence[tuple[Condition, Sequence[tuple[Predicate, Filter | SqlRows]]]]
    ) -> None:
        self._conditions = conditions

    def __call__(self, load: Callable[[int], pa.Array[Any]]) -> BoolArray:
        """The rows for which all conditions are true, bool (n,)."""
        masks = [
            _mask(condition, {id(predicate): item for predicate, item in bound}, load)
            for condition, bound in self._conditions
        ]
        mask = masks[0]
        for other in masks[1:]:
            mask = mask & other
        return mask


def _mask(
    condition: Condition, filters: Mapping[int, Filter | SqlRows], load: Callable[[int], pa.Array[Any]]
) -> BoolArray:
    def decide(predicate: Predicate) -> tuple[BoolArray, BoolArray]:
        item = filters[id(predicate)]
        if isinstance(item, SqlRows):
            return item.decide(load)
        array = load(item.column)
        return item.bound.mask(array), item.bound.nulls(array)

    return evaluate(condition, decide)
