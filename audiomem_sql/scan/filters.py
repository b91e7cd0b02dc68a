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
from audiomem_sql.predicates import ROWID, Bound, Condition, Predicate, bind
from audiomem_sql.predicates.conditions import combine, evaluate
from audiomem_sql.predicates.predicate import conjuncts, predicates_of
from audiomem_sql.predicates.where import parse_where

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
    condition: Condition, schema: Schema, *, collated: bool = True
) -> tuple[list[Filter], RowFilter | None]:
    """(filters, row filter): every row that passes both satisfies ``condition``, and no other does.

    collated: texts are compared by the collations of their columns, and otherwise by their bytes.
    """

    def bind_predicate(predicate: Predicate) -> Bound:
        if predicate.column == ROWID:
            return bind(predicate, _INTEGER, literal=True)
        column = schema.columns[predicate.column]
        return bind(predicate, column.type, column.collation if collated else "BINARY", literal=True)

    filters: list[Filter] = []
    mixed: list[tuple[Condition, dict[int, Filter]]] = []
    for part in conjuncts(condition):
        if isinstance(part, Predicate):
            filters.append(Filter(part.column, bind_predicate(part)))
            continue
        predicates = predicates_of(part)
        if len({predicate.column for predicate in predicates}) == 1:
            filters.append(Filter(predicates[0].column, combine(part, bind_predicate)))
        else:
            bound = {
                id(predicate): Filter(predicate.column, bind_predicate(predicate)) for predicate in predicates
            }
            mixed.append((part, bound))
    return filters, _row_filter(mixed) if mixed else None


def filters_of_text(
    where: str | None, parameters: Sequence[Any], schema: Schema
) -> tuple[list[Filter], RowFilter | None]:
    """The filters of ``where``, see :mod:`audiomem_sql.predicates.where`; without it, none.

    Raises QueryError.
    """
    return ([], None) if where is None else filters_of(parse_where(where, schema.names, parameters), schema)


def _row_filter(conditions: Sequence[tuple[Condition, Mapping[int, Filter]]]) -> RowFilter:
    def passes(load: Callable[[int], pa.Array[Any]]) -> BoolArray:
        masks = [_mask(condition, filters, load) for condition, filters in conditions]
        mask = masks[0]
        for other in masks[1:]:
            mask = mask & other
        return mask

    return passes


def _mask(
    condition: Condition, filters: Mapping[int, Filter], load: Callable[[int], pa.Array[Any]]
) -> BoolArray:
    def decide(predicate: Predicate) -> tuple[BoolArray, BoolArray]:
        item = filters[id(predicate)]
        array = load(item.column)
        return item.bound.mask(array), item.bound.nulls(array)

    return evaluate(condition, decide)
