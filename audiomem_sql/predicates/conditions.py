"""Conditions joined by AND, OR and NOT, in three-valued logic: for arrays, values and zone maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from audiomem_sql.arrays import BoolArray
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.predicates.bounds import Bound
from audiomem_sql.predicates.predicate import And, Condition, Not, Or, Predicate, predicates_of

if TYPE_CHECKING:
    import pyarrow as pa

#: Gives for a predicate the rows where it is true and the rows where it is NULL, bool (n,) each.
Masks: TypeAlias = Callable[[Predicate], tuple[BoolArray, BoolArray]]


def evaluate(condition: Condition, masks: Masks) -> BoolArray:
    """The rows for which the condition is true, bool (n,).

    ``masks`` is asked for cheap predicates first, and not at all for those that cannot change the result.
    """
    return true_and_false(condition, masks)[0]


def true_and_false(condition: Condition, masks: Masks) -> tuple[BoolArray, BoolArray]:
    """The rows for which the condition is true and those for which it is false, bool (n,) each.

    For others it is NULL.
    """
    if isinstance(condition, Predicate):
        true, null = masks(condition)
        return true, ~(true | null)
    if isinstance(condition, Not):
        true, false = true_and_false(condition.child, masks)
        return false, true
    conjunction = isinstance(condition, And)
    first, *others = sorted(condition.children, key=_cost)
    true, false = true_and_false(first, masks)
    for child in others:
        if (false if conjunction else true).all():
            break
        child_true, child_false = true_and_false(child, masks)
        if conjunction:
            true, false = true & child_true, false | child_false
        else:
            true, false = true | child_true, false & child_false
    return true, false


def _cost(condition: Condition) -> int:
    return condition.cost if isinstance(condition, Predicate) else 2


def combine(condition: And | Or | Not, bind_predicate: Callable[[Predicate], Bound]) -> Combined:
    """A condition of several predicates on one column, each of which ``bind_predicate`` binds to its type."""
    bounds = {id(predicate): bind_predicate(predicate) for predicate in predicates_of(condition)}
    return Combined(
        condition=condition, parts=bounds, keys=_keys(condition, bounds), bounds=_bounds(condition, bounds)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Combined(Bound):
    """A condition of several predicates on one column.

    ``parts`` are the bound ones, by the identity of the predicate: in another process that is another one.
    """

    condition: And | Or | Not
    parts: Mapping[int, Bound]
    cost: ClassVar[int] = 7

    def __getstate__(self) -> dict[str, Any]:
        parts = [self.parts[id(predicate)] for predicate in predicates_of(self.condition)]
        return {**self.__dict__, "parts": parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        predicates = predicates_of(state["condition"])
        parts = {id(predicate): part for predicate, part in zip(predicates, state["parts"], strict=True)}
        self.__dict__.update(state, parts=parts)

    @property
    def lookup(self) -> tuple[str, Sequence[Any]] | None:
        """None: a row with one of ``keys`` need not match."""
        return None

    def _decided(self, array: pa.Array[Any]) -> tuple[BoolArray, BoolArray]:
        def masks(predicate: Predicate) -> tuple[BoolArray, BoolArray]:
            part = self.parts[id(predicate)]
            return part.mask(array), part.nulls(array)

        return true_and_false(self.condition, masks)

    def mask(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the condition is true, bool (n,)."""
        return self._decided(array)[0]

    def nulls(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the condition is NULL, bool (n,)."""
        true, false = self._decided(array)
        return ~(true | false)

    def truth(self, value: Any) -> bool | None:
        """The same for one SQL value: True, False, or None for NULL."""
        return self._truth(self.condition, value)

    def test(self, value: Any) -> bool:
        """Whether the condition is true for one SQL value."""
        return self.truth(value) is True

    def _truth(self, condition: Condition, value: Any) -> bool | None:
        if isinstance(condition, Predicate):
            return self.parts[id(condition)].truth(value)
        if isinstance(condition, Not):
            truth = self._truth(condition.child, value)
            return None if truth is None else not truth
        deciding = isinstance(condition, Or)
        truths = [self._truth(child, value) for child in condition.children]
        if deciding in truths:
            return deciding
        return None if None in truths else not deciding

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the condition is true, bool (n,)."""
        return self._pruned(self.condition, zones)

    def _pruned(self, condition: Condition, zones: Zones) -> BoolArray:
        if isinstance(condition, Predicate):
            return self.parts[id(condition)].prune(zones)
        if isinstance(condition, Not):
            return np.ones(len(zones), np.bool_)
        kept = (self._pruned(child, zones) for child in condition.children)
        return reduce(np.logical_and if isinstance(condition, And) else np.logical_or, kept)

    def covers(self, zones: Zones) -> BoolArray:
        """The blocks of which it is known that the condition is true for all rows, bool (n,)."""
        return self._covered(self.condition, zones)

    def _covered(self, condition: Condition, zones: Zones) -> BoolArray:
        if isinstance(condition, Predicate):
            return self.parts[id(condition)].covers(zones)
        if isinstance(condition, Not):
            return np.zeros(len(zones), np.bool_)
        covered = (self._covered(child, zones) for child in condition.children)
        return reduce(np.logical_and if isinstance(condition, And) else np.logical_or, covered)

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return self.mask(array)


def _keys(condition: Condition, parts: Mapping[int, Bound]) -> tuple[Any, ...] | None:
    """Every stored value that can match; None if these are not a few."""
    if isinstance(condition, Predicate):
        return parts[id(condition)].keys
    if isinstance(condition, Not):
        return None
    known = [_keys(child, parts) for child in condition.children]
    few = [keys for keys in known if keys is not None]
    if isinstance(condition, And):
        return min(few, key=len, default=None)
    return None if len(few) < len(known) else tuple(dict.fromkeys(key for keys in few for key in keys))


def _bounds(condition: Condition, parts: Mapping[int, Bound]) -> tuple[int, int] | None:
    """The least and the greatest integer that can match; None if any can."""
    if isinstance(condition, Predicate):
        return parts[id(condition)].bounds
    if isinstance(condition, Not):
        return None
    known = [_bounds(child, parts) for child in condition.children]
    some = [bounds for bounds in known if bounds is not None]
    if isinstance(condition, And):
        return (max(low for low, _ in some), min(high for _, high in some)) if some else None
    if len(some) < len(known):
        return None
    some = [bounds for bounds in some if bounds[0] <= bounds[1]] or some
    return min(low for low, _ in some), max(high for _, high in some)
