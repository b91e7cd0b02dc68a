"""Filters on metadata as LangChain's stores have them: ``{"year": {"$gt": 2020}, "kind": "note"}``.

``$eq $ne $gt $gte $lt $lte $in $nin $between $exists $like $ilike $contains``, joined by ``$and $or $not``.
A key is one key of the metadata; a tuple of keys is a value inside a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from audiomem_sql.document_store import (
    Condition,
    Field,
    Layout,
    all_of,
    any_of,
    compare,
    contains,
    is_missing,
    negated,
)
from audiomem_sql.errors import QueryError, did_you_mean

_COMPARED = {
    "$eq": "==",
    "$ne": "!=",
    "$gt": ">",
    "$gte": ">=",
    "$lt": "<",
    "$lte": "<=",
    "$in": "in",
    "$nin": "not in",
}


def condition_of(given: Mapping[Any, Any] | str | Condition | None, layout: Layout) -> Condition | None:
    """A filter as a condition; a text is SQL on the row, as in ``where``. QueryError for what is none."""
    if given is None or isinstance(given, Condition):
        return given
    if isinstance(given, str):
        return Condition(given)
    return _all(given, layout) if given else None


def _all(given: Any, layout: Layout) -> Condition:
    if not isinstance(given, Mapping):
        raise QueryError(f"{given!r:.60} is no filter", remedy='Write {"key": value, …}.')
    return all_of(_one(key, value, layout) for key, value in given.items())


def _one(key: Any, value: Any, layout: Layout) -> Condition:
    if key in ("$and", "$or"):
        if not isinstance(value, list | tuple):
            raise QueryError(f"{key} takes a list of filters", remedy=f'Write {{"{key}": [{{…}}, {{…}}]}}.')
        return (all_of if key == "$and" else any_of)(_all(each, layout) for each in value)
    if key == "$not":
        return negated(_all(value, layout))
    if isinstance(key, str) and key.startswith("$"):
        raise QueryError(f"{key} joins no filters", remedy="Use $and, $or or $not.")
    field = layout.field(list(key) if isinstance(key, tuple) else [key])
    if isinstance(value, Mapping) and value and all(str(name).startswith("$") for name in value):
        return all_of(_operator(field, str(name), operand) for name, operand in value.items())
    return compare(field, "==", value)


def _operator(field: Field, name: str, operand: Any) -> Condition:
    if name in _COMPARED:
        return compare(field, _COMPARED[name], operand)
    if name not in _OTHERS:
        known = (*_COMPARED, *_OTHERS)
        raise QueryError(
            f"{name} compares nothing", remedy=f"{did_you_mean(name, known)}Use one of {', '.join(known)}."
        )
    return _OTHERS[name](field, operand)


def _between(field: Field, operand: Sequence[Any]) -> Condition:
    if not isinstance(operand, list | tuple) or len(operand) != 2:
        raise QueryError("$between takes two values", remedy="Write [least, greatest].")
    return all_of((compare(field, ">=", operand[0]), compare(field, "<=", operand[1])))


def _like(field: Field, operand: Any) -> Condition:
    """LIKE with case: GLOB, whose wildcards are others."""
    marks = {"%": "*", "_": "?"}
    pattern = "".join(marks.get(each) or (f"[{each}]" if each in "*?[" else each) for each in str(operand))
    return Condition(f"coalesce({field.kind} = 'text' AND {field.value} GLOB ?, 0)", (pattern,))


def _ilike(field: Field, operand: Any) -> Condition:
    return Condition(f"coalesce({field.kind} = 'text' AND {field.value} LIKE ?, 0)", (str(operand),))


def _not(make: Callable[[Field], Condition], field: Field, wanted: Any) -> Condition:
    return negated(make(field)) if wanted else make(field)


_OTHERS: dict[str, Callable[[Field, Any], Condition]] = {
    "$between": _between,
    "$exists": lambda field, wanted: _not(is_missing, field, wanted),
    "$like": _like,
    "$ilike": _ilike,
    "$contains": contains,
}
