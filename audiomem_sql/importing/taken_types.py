"""What becomes of Arrow types that no column has yet: the one place, which goes when every type has one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import infer
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.types import STORED_MARK, ColumnType, Kind, arrow_type
from audiomem_sql.errors import SchemaError

#: In the metadata of a field: the type of its column.
TYPE = b"audiomem:type"
JSON_FIELD = {TYPE: b"JSON"}


def takes(data_type: pa.DataType) -> bool:
    """Whether a column holds values of an Arrow type as they are."""
    try:
        found = infer("column", data_type)
    except SchemaError:
        return False
    opaque = getattr(data_type, "extension_name", "") == "arrow.opaque"
    return found.logical is not None or not (opaque and found.kind is Kind.BLOB)


def taken(item: pa.Field) -> pa.Field:
    """The field that is stored in place of one that no column takes.

    An ENUM whose values nobody tells is the type of its values, a union is JSON, and what else has no type is
    TEXT.
    """
    if types.is_dictionary(item.type):
        return item.with_type(item.type.value_type)
    if takes(item.type):
        return item
    if types.is_nested(item.type):
        return item.with_type(pa.string()).with_metadata(JSON_FIELD)
    return item.with_type(pa.string()).remove_metadata()


def told(item: pa.Field, column_type: ColumnType) -> pa.Field:
    """The field of the stored values of a logical type that the source tells of a column."""
    own = {**STORED_MARK, TYPE: str(column_type).encode()}
    return item.with_type(arrow_type(column_type)).with_metadata({**(item.metadata or {}), **own})


def cast(array: pa.Array, item: pa.Field) -> pa.Array:
    """An array as the field that :func:`taken` gives."""
    if array.type == item.type:
        return array
    if types.is_dictionary(array.type):
        return array.dictionary_decode().cast(item.type)
    if item.metadata == JSON_FIELD:
        return pa.array([None if v is None else json.dumps(_plain(v)) for v in array.to_pylist()], item.type)
    text: Callable[[Any], str] = str
    if types.is_decimal(array.type):
        text = "{:f}".format
    return pa.array([None if value is None else text(value) for value in array.to_pylist()], item.type)


def combined(array: Any) -> Any:
    """An array of one that may be chunked."""
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def spelled_with(told: Node | None, node: Node) -> Node | None:
    """A type of Arrow data, with the values of ENUMs that ``told``, the type by its name, has inside of it.

    None if they are not of one shape.
    """
    if told is None or len(told.children) != len(node.children) or told.is_nested != node.is_nested:
        return None
    if told.name == "ENUM":
        return told
    children = [spelled_with(*pair) for pair in zip(told.children, node.children, strict=True)]
    found = tuple(child for child in children if child is not None)
    return replace(node, children=found) if len(found) == len(children) else None


def has_enum(node: Node) -> bool:
    """Whether a type is an ENUM, or has one inside, whose values Arrow does not tell."""
    return node.name == "ENUM" or any(map(has_enum, node.children))


def has_interval(node: Node) -> bool:
    """Whether a type is INTERVAL, or has it inside, which pyarrow does not write to Parquet."""
    return node.name == "INTERVAL" or any(map(has_interval, node.children))


def _plain(value: Any) -> Any:
    """A value of Python as JSON has it: pairs of a map as an object where its keys are texts."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        pairs = value and all(isinstance(each, tuple) and len(each) == 2 for each in value)
        if pairs and all(isinstance(key, str) for key, _ in value):
            return {key: _plain(each) for key, each in value}
        return [_plain(list(each) if isinstance(each, tuple) else each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
