"""Draws from the strategies of the property tests with a seed, without Hypothesis's engine.

The engine keeps what it drew so that it can shrink it, which takes ten times as long as the statement that was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st
from model import ModelColumn
from vtab.grammar import Grammar
from vtab.grammar_terms import Source, Terms
from vtab.schema_objects import Objects

_MOST = 5
_TEXTS = ("TEXT", "JSON", "TIMESTAMP")


class Seeded:
    """What Hypothesis calls ``draw``: gives a value of a strategy."""

    def __init__(self, seed: int | str) -> None:
        self.random = Random(seed)

    def __call__(self, strategy: st.SearchStrategy[Any]) -> Any:
        kind = type(strategy).__name__
        while kind == "LazyStrategy":
            strategy = strategy.wrapped_strategy  # type: ignore[attr-defined]
            kind = type(strategy).__name__
        return _DRAWN[kind](self, strategy)

    def chance(self, of: int) -> bool:
        """True once in ``of`` times."""
        return self.random.randrange(of) == 0


def _sampled(draw: Seeded, strategy: Any) -> Any:
    value = draw.random.choice(strategy.elements)
    for kind, function in strategy._transformations:
        if kind != "map":
            raise TypeError(f"{strategy} has a filter, which is not drawn here")
        value = function(value)
    return value


def _list(draw: Seeded, strategy: Any) -> list[Any]:
    most = min(strategy.max_size, strategy.min_size + _MOST)
    return [draw(strategy.element_strategy) for _ in range(draw.random.randint(strategy.min_size, int(most)))]


def _unique(draw: Seeded, strategy: Any) -> list[Any]:
    elements = strategy.element_strategy
    while type(elements).__name__ == "LazyStrategy":
        elements = elements.wrapped_strategy
    pool = list(dict.fromkeys(elements.elements))
    most = min(strategy.max_size, strategy.min_size + _MOST, len(pool))
    return draw.random.sample(pool, draw.random.randint(strategy.min_size, int(most)))


def _composite(draw: Seeded, strategy: Any) -> Any:
    return strategy.definition(draw, *strategy.args, **strategy.kwargs)


#: By the name of the strategy's class: Hypothesis exports none of them.
_DRAWN: dict[str, Callable[[Seeded, Any], Any]] = {
    "IntegersStrategy": lambda draw, some: draw.random.randint(some.start, some.end),
    "BooleansStrategy": lambda draw, some: draw.random.random() < 0.5,
    "SampledFromStrategy": _sampled,
    "JustStrategy": _sampled,
    "OneOfStrategy": lambda draw, some: draw(draw.random.choice(some.original_strategies)),
    "MappedStrategy": lambda draw, some: some.pack(draw(some.mapped_strategy)),
    "FlatMapStrategy": lambda draw, some: draw(some.expand(draw(some.base))),
    "FlatMappedStrategy": lambda draw, some: draw(some.expand(draw(some.base))),
    "PermutationStrategy": lambda draw, some: draw.random.sample(list(some.values), len(some.values)),
    "TupleStrategy": lambda draw, some: tuple(draw(each) for each in some.element_strategies),
    "ListStrategy": _list,
    "UniqueListStrategy": _unique,
    "UniqueSampledListStrategy": _unique,
    "CompositeStrategy": _composite,
}


class Picks:
    """The grammars' choices, made at once."""

    draw: Any

    def pick(self, choices: Sequence[Any]) -> Any:
        return self.draw.random.choice(choices)

    def chance(self, of: int) -> bool:
        return bool(self.draw.random.randrange(of) == 0)


class Conditions(Picks, Terms):
    """What is common to queries and views."""

    def _subquery(
        self, scope: Sequence[Source], source: Source, column: ModelColumn, depth: int, kind: int
    ) -> str:
        """EXISTS, or IN a SELECT; of two columns where none is a text that is compared with numbers.

        SQLite checks a row of a virtual table once more, and does not convert such a text then
        (``test_a_text_among_numbers_in_a_pair``).
        """
        if kind < 19:
            return super()._subquery(scope, source, column, depth, kind)
        inner, (other, another) = self.source(), self.column(scope)
        lefts = (source.ref(column), column), (other.ref(another), another)
        rights = [self.column([inner], left.type)[1] for _, left in lefts]
        if any(
            left.type in _TEXTS and right.type not in _TEXTS
            for (_, left), right in zip(lefts, rights, strict=True)
        ):
            return super()._subquery(scope, source, column, depth, 18)
        seen = [inner, *scope] if self.chance(2) else [inner]
        where = f" WHERE {self.condition(seen, depth - 1)}" if self.chance(2) else ""
        items = ", ".join(map(inner.ref, rights))
        return (
            f"({lefts[0][0]}, {lefts[1][0]}) {self.pick(('', 'NOT '))}IN "
            f"(SELECT {items} FROM {self.from_table(inner)}{where})"
        )


class Asked(Conditions, Grammar):
    """The grammar of queries."""

    def _compared(self, scope: Sequence[Source], source: Source, column: ModelColumn, kind: int) -> str:
        """A comparison; but no LIKE of what may be a rowid in an outer join (``test_like_on_key``)."""
        if kind == 6 and column.type == "INTEGER" and not (self.keys_like and source.table):
            kind = 5
        if kind == 6 and column.type == "REAL" and column.collation == "NOCASE":
            kind = 5  # in an index of those SQLite does not find Inf (test_in_select)
        return super()._compared(scope, source, column, kind)

    def with_cte(self) -> tuple[str, bool]:
        self.keys_like = False  # until ON is done
        return super().with_cte()

    def derived(self, source: Source) -> tuple[Source, str]:
        before, self.keys_like = self.keys_like, False  # SQLite may make its WHERE a part of ON
        found = super().derived(source)
        self.keys_like = before
        return found


class Made(Conditions, Objects):
    """The grammar of views, triggers and statements that set them off."""

    def _compared(self, scope: Sequence[Source], source: Source, column: ModelColumn, kind: int) -> str:
        """A comparison; but no LIKE of what may be a rowid, as the view may stand in an outer join."""
        return super()._compared(scope, source, column, 5 if kind == 6 and column.type == "INTEGER" else kind)
