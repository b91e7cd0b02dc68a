"""What there is in the metadata of documents: fields, their types, their values, least and greatest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audiomem_sql.document_store import Condition, DocumentStore

_TYPES = {bool: "boolean", int: "long", float: "float", str: "keyword", list: "array", dict: "object"}


class MetadataFields:
    """The questions about metadata, for a store that keeps its documents in ``_store``.

    metadata_field: with ``meta.`` before it or without; dots lead to values inside values.
    """

    _store: DocumentStore

    def _condition(self, filters: dict[str, Any] | None) -> Condition | None:
        raise NotImplementedError

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """How many documents pass."""
        return self._store.count(self._condition(filters))

    def count_unique_metadata_by_filter(
        self, filters: dict[str, Any], metadata_fields: list[str]
    ) -> dict[str, int]:
        """How many values each field has in the documents that pass."""
        found = [each.metadata for each in self._store.find(self._condition(filters))]
        return {
            _plain(name): len({_key(value) for value in _values(found, name)}) for name in metadata_fields
        }

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """The fields, each with the type of its first value."""
        fields: dict[str, dict[str, str]] = {}
        for found in self._store.find():
            for name, value in found.metadata.items():
                if value is not None and not name.startswith("_document"):
                    fields.setdefault(name, {"type": _TYPES.get(type(value), "keyword")})
        return fields

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """The least and the greatest value of a field, None without one. Numbers, or texts, or times."""
        values = list(_values([each.metadata for each in self._store.find()], metadata_field))
        return {"min": min(values, default=None), "max": max(values, default=None)}

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int | None = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """(``size`` of the values of a field, in order, from number ``from_`` on, and how many there are).

        search_term: a part of the value as text, capitals aside.
        """
        found = [each.metadata for each in self._store.find(self._condition(filters))]
        values = {_key(value): value for value in _values(found, metadata_field)}
        if search_term is not None:
            part = search_term.casefold()
            values = {key: value for key, value in values.items() if part in str(value).casefold()}
        ordered = [values[key] for key in sorted(values, key=_order)]
        return ordered[from_ : None if size is None else from_ + size], len(ordered)


def _plain(name: str) -> str:
    return name.removeprefix("meta.")


def _values(metadata: list[dict[str, Any]], name: str) -> Iterator[Any]:
    """The values of a field that are not None."""
    for each in metadata:
        value: Any = each
        for part in _plain(name).split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            yield value


def _key(value: Any) -> tuple[str, str]:
    """What tells values apart that are equal for Python, such as 1, 1.0 and True."""
    return type(value).__name__, repr(value)


def _order(key: tuple[str, str]) -> tuple[str, float, str]:
    name, shown = key
    return (name, float(shown), "") if name in ("int", "float") else (name, 0.0, shown)
