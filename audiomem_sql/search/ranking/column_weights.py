"""How much a word counts in each of the columns that are searched, by their names.

It is what FTS5 says by ``bm25(t, 10, 1)``: where a word stands in a column with a weight of 10, it counts as
if it stood there ten times. A column that is not named has 1; one with 0 finds rows, and adds nothing to
their scores.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from audiomem_sql.columns.column import fold
from audiomem_sql.errors import QueryError, did_you_mean

#: The greatest weight; beyond it there is no difference to be seen, and scores could overflow.
MOST = 1_000_000
_NAME = "column_weights"
_REMEDY = f'Write {_NAME} = {{"title": 10, "body": 1}}.'


def column_weights_of(value: Any) -> dict[str, float]:
    """The weights that a mapping says, or its JSON; QueryError for anything else."""
    said = _object(value) if isinstance(value, str) else value.items() if isinstance(value, Mapping) else None
    if said is None:
        raise QueryError(f"{_NAME} = {value!r:.80} has no names of columns", remedy=_REMEDY)
    weights: dict[str, float] = {}
    for name, weight in said:
        number = _number(weight)
        if not isinstance(name, str):
            raise QueryError(f"{_NAME}: {name!r:.60} is no name of a column", remedy=_REMEDY)
        if number is None:
            raise QueryError(
                f"{_NAME}: the weight {weight!r:.60} of {name:.60} is no number from 0 to {MOST:,}",
                remedy=_REMEDY,
            )
        if any(fold(name) == fold(other) for other in weights):
            raise QueryError(f"{_NAME}: {name:.60} is there twice", remedy="Write one of them.")
        weights[name] = number
    return weights


def searched_weights(weights: Mapping[str, float], columns: Iterable[str], path: str) -> dict[str, float]:
    """The weights by the names that the columns have.

    columns: those that are searched by their words. QueryError for the weight of another one, and where none
    of them counts.
    """
    names = {fold(name): name for name in columns}
    searched: dict[str, float] = {}
    for name, weight in weights.items():
        if fold(name) not in names:
            known = ", ".join(names.values())
            raise QueryError(
                f"{_NAME}: {name:.60} is not searched by its words",
                file=path,
                remedy=f"{did_you_mean(name, names.values())}"
                + (f"Weights are of {known}." if known else "Leave the weights out."),
            )
        searched[names[fold(name)]] = weight
    if searched and not any(searched.get(name, 1.0) for name in names.values()):
        raise QueryError(
            f"{_NAME}: no column that is searched counts", file=path, remedy="Give one of them more than 0."
        )
    return searched


def _object(text: str) -> list[tuple[str, Any]] | None:
    """The names and values of an object of JSON, in order; None for any other text."""
    try:
        said = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, _Pairs) else None


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON, with the names that are there twice."""


def _number(weight: Any) -> float | None:
    """A weight as float; None for what is none."""
    if isinstance(weight, (bool, str, bytes)):
        return None
    try:
        number = float(weight)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number <= MOST else None
