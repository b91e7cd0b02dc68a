"""LlamaIndex's filters on metadata as conditions: AND, OR and NOT, filters inside filters, every operator."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from audiomem_sql.document_store import (
    Condition,
    Field,
    Layout,
    all_of,
    any_of,
    compare,
    contains,
    is_empty,
    matches_text,
    negated,
)
from audiomem_sql.errors import QueryError
from audiomem_sql.llamaindex.nodes import NODE, REF_DOC_ID

#: What LlamaIndex calls the document that a node comes from.
_REF_DOC_IDS = ("ref_doc_id", "doc_id", "document_id")
_COMPARED = {
    FilterOperator.EQ: "==",
    FilterOperator.NE: "!=",
    FilterOperator.GT: ">",
    FilterOperator.GTE: ">=",
    FilterOperator.LT: "<",
    FilterOperator.LTE: "<=",
    FilterOperator.IN: "in",
    FilterOperator.NIN: "not in",
}


def condition_of(filters: MetadataFilters | None, layout: Layout) -> Condition | None:
    """Filters as a condition; None for none. QueryError for what cannot be compared.

    NOT passes what none of its filters passes.
    """
    if filters is None or not filters.filters:
        return None
    conditions: list[Condition] = []
    for each in filters.filters:
        if isinstance(each, MetadataFilters):
            inner = condition_of(each, layout)
            if inner is not None:
                conditions.append(inner)
        else:
            conditions.append(_one(each, layout))
    if not conditions:
        return None
    if filters.condition == FilterCondition.NOT:
        return negated(any_of(conditions))
    return any_of(conditions) if filters.condition == FilterCondition.OR else all_of(conditions)


def of_documents(ids: Sequence[str], layout: Layout) -> Condition:
    """The nodes of these documents."""
    return compare(_field("ref_doc_id", layout), "in", list(ids))


def _field(key: str, layout: Layout) -> Field:
    field = layout.field([key])
    if key not in _REF_DOC_IDS or layout.metadata is None or key in layout.more:
        return field
    ours = Field.of_json(layout.metadata, [NODE, REF_DOC_ID])
    return Field(f"coalesce({field.value}, {ours.value})", f"coalesce({field.kind}, {ours.kind})")


def _one(given: MetadataFilter, layout: Layout) -> Condition:
    field, operator, value = _field(given.key, layout), given.operator, given.value
    if operator in _COMPARED:
        return compare(field, _COMPARED[operator], value)
    if operator == FilterOperator.IS_EMPTY:
        return is_empty(field)
    if operator == FilterOperator.CONTAINS:
        return contains(field, value)
    if operator in (FilterOperator.ANY, FilterOperator.ALL):
        if not isinstance(value, list):
            raise QueryError(f"{operator.value} takes a list, not {value!r:.60}", remedy="Write [value, …].")
        found = [contains(field, each) for each in value]
        return any_of(found) if operator == FilterOperator.ANY else all_of(found)
    if not isinstance(value, str):
        raise QueryError(f"{operator.value} takes a text, not {value!r:.60}", remedy="Pass a text.")
    return matches_text(field, value, ignore_case=operator == FilterOperator.TEXT_MATCH_INSENSITIVE)
