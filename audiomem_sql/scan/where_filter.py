"""A parsed filter as what a scan takes: predicates that prune, and a mask for what they do not say."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.predicates import Predicate, bind
from audiomem_sql.predicates.where import And, Leaf, Node, conjuncts, evaluate
from audiomem_sql.scan.scan import Filter, RowFilter
from audiomem_sql.storage.segment import ROWID


def filters_of(node: Node, schema: Schema) -> tuple[list[Filter], RowFilter | None]:
    """(filters, row filter): every row that passes both passes ``node``, and no other."""
    filters = [_filter(predicate, schema) for predicate in conjuncts(node)]
    if _is_conjunction(node):
        return filters, None
    bound = {predicate: _filter(predicate, schema) for predicate in _predicates(node)}

    def passes(load: Callable[[int], pa.Array]) -> BoolArray:
        def masks(predicate: Predicate) -> tuple[BoolArray, BoolArray]:
            item = bound[predicate]
            array = load(item.column)
            return item.bound.mask(array), item.bound.nulls(array)

        return evaluate(node, masks)

    return filters, passes


def _filter(predicate: Predicate, schema: Schema) -> Filter:
    if predicate.column == "rowid":
        return Filter(ROWID, bind(predicate, ColumnType(Kind.INTEGER), literal=True))
    column = schema.columns[predicate.column]
    return Filter(predicate.column, bind(predicate, column.type, column.collation, literal=True))


def _is_conjunction(node: Node) -> bool:
    return isinstance(node, Leaf) or (
        isinstance(node, And) and all(_is_conjunction(child) for child in node.children)
    )


def _predicates(node: Node) -> list[Predicate]:
    if isinstance(node, Leaf):
        return [node.predicate]
    children = node.children if hasattr(node, "children") else (node.child,)
    return [predicate for child in children for predicate in _predicates(child)]
