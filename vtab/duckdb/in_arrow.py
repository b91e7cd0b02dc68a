"""Logical types in Arrow for DuckDB's Python package, which knows Arrow's own types, and some of its own.

HUGEINT, UHUGEINT, TIMETZ and BIT go as what DuckDB itself writes for them with ``SET
arrow_lossless_conversion = true``, and reads whatever that setting says. What is finer than a microsecond in
an INTERVAL, a duration or a time with a zone, which DuckDB would cut, raises DataTypeError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.logical.arrow_forms import common_of
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.shown import common_array
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.table.arrow_form import Form
from audiomem_sql.vtab.duckdb.native_types import logical_of_field
from audiomem_sql.vtab.duckdb.native_values import native, stored_of

_OPAQUE = {
    "HUGEINT": pa.opaque(pa.binary(16), "hugeint", "DuckDB"),
    "UHUGEINT": pa.opaque(pa.binary(16), "uhugeint", "DuckDB"),
    "TIMETZ": pa.opaque(pa.binary(8), "time_tz", "DuckDB"),
    "BIT": pa.opaque(pa.binary(), "bit", "DuckDB"),
}
_FINE = ("INTERVAL", "DURATION_NS", "TIMESTAMPTZ_NS")


def _type(column_type: ColumnType) -> Any:
    node = column_type.logical
    assert node is not None
    return _OPAQUE[node.name] if node.name in _OPAQUE else common_of(node)


def _array(array: Any, column_type: ColumnType) -> Any:
    node = column_type.logical
    if node is None:
        return array
    if node.name in _OPAQUE:
        made, opaque = native(node, array), _OPAQUE[node.name]
        if made.type != opaque.storage_type:
            made = made.view(opaque.storage_type)
        return pa.ExtensionArray.from_storage(opaque, made)
    if node.name in _FINE or node.is_nested:
        check_micros(node, array)
    return common_array(array, column_type)


def check_micros(node: Node, array: Any) -> None:
    """DataTypeError for a stored value that has parts which DuckDB would cut."""
    if _is_fine(node):
        native(node, array)


def _is_fine(node: Node) -> bool:
    return node.name in _FINE or any(map(_is_fine, node.children))


def shown_schema(schema: pa.Schema) -> pa.Schema:
    """A schema with DuckDB's types of logical columns."""
    for place, field in enumerate(schema):
        node = logical_of_field(field)
        if node is not None:
            schema = schema.set(place, field.with_type(_type(ColumnType.of(node))).remove_metadata())
    return schema


def shown_batch(batch: pa.RecordBatch, nodes: Sequence[Node | None], schema: pa.Schema) -> pa.RecordBatch:
    """A batch of a source as DuckDB gets it."""
    if not any(nodes):
        return batch
    arrays = [
        array if node is None else _array(stored_of(node, array), ColumnType.of(node))
        for node, array in zip(nodes, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


#: How the datasets that are made for DuckDB give logical columns.
DUCKDB_FORM = Form(_type, _array)
