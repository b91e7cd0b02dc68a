"""Haystack's filters as conditions, as ``DocumentStore.filter_documents`` specifies them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haystack.errors import FilterError

from audiomem_sql.document_store import Condition, Field, Layout, all_of, any_of, compare, negated
from audiomem_sql.errors import AudioMemError

_OPERATORS = ("==", "!=", ">", ">=", "<", "<=", "in", "not in")


def condition_of(filters: Mapping[str, Any] | None, layout: Layout) -> Condition | None:
    """Filters as a condition; None for none. FilterError for what is no filter."""
    if not filters:
        return None
    try:
        return _condition(filters, layout)
    except AudioMemError as error:
        raise FilterError(str(error)) from error


def _condition(given: Any, layout: Layout) -> Condition:
    if not isinstance(given, Mapping):
        raise FilterError(f"{given!r:.60} is no filter; write a dict")
    if "operator" not in given:
        raise FilterError(f"'operator' key missing in {given}")
    operator = given["operator"]
    if "field" in given:
        if "value" not in given:
            raise FilterError(f"'value' key missing in {given}")
        if operator not in _OPERATORS:
            raise FilterError(f"Unknown comparison operator {operator!r}; use one of {', '.join(_OPERATORS)}")
        value = given["value"]
        if operator in ("in", "not in") and not isinstance(value, list):
            raise FilterError(f"{operator} takes a list, not {value!r:.60}")
        return compare(_field(given["field"], layout), operator, value, times_as_text=False)
    if "conditions" not in given:
        raise FilterError(f"'conditions' key missing in {given}")
    conditions = [_condition(each, layout) for each in given["conditions"]]
    if operator == "OR":
        return any_of(conditions)
    if operator == "AND":
        return all_of(conditions)
    if operator == "NOT":
        return negated(all_of(conditions))
    raise FilterError(f"Unknown logical operator {operator!r}; use AND, OR or NOT")


def _field(name: str, layout: Layout) -> Field:
    """``meta.a.b`` is a value inside a value; ``id``, ``content`` and ``embedding`` are columns."""
    first, _, rest = name.partition(".")
    if first == "meta" and rest:
        return layout.field(rest.split("."))
    columns = {"id": layout.id, "content": layout.text, "embedding": layout.vector}
    if name in columns:
        column = columns[name]
        return Field("NULL", "NULL") if column is None else Field.of_column(column)
    return layout.field([name])
