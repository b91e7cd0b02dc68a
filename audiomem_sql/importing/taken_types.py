"""What becomes of Arrow types that no column has yet: the one place, which goes when every type has one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import infer
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import SchemaError

JSON_FIELD = {b"audiomem:type": b"JSON"}


def takes(data_type: pa.DataType) -> bool:
    """Whether a column holds values of an Arrow type as they are."""
    try:
        kind = infer("column", data_type, 1).kind
    except SchemaError:
        return False
    if getattr(data_type, "extension_name", "") in ("arrow.uuid", "arrow.opaque", "arrow.bool8"):
        return kind not in (Kind.BLOB, Kind.INTEGER)  # what they are stored as is not what they say
    return not types.is_list(data_type) or kind is not Kind.FLOAT


def taken(item: pa.Field) -> pa.Field:
    """The field that is stored in place of one that no column takes.

    A DATE is a TIMESTAMP at midnight by the engine's own rule. DECIMAL, TIME, UUID, INTERVAL and whatever
    else has no type are TEXT; lists, structures and maps are JSON; an ENUM is the type of its values.
    """
    if types.is_dictionary(item.type):
        return item.with_type(item.type.value_type)
    if takes(item.type):
        return item
    if getattr(item.type, "extension_name", "") == "arrow.bool8":
        return item.with_type(pa.bool_())
    if types.is_nested(item.type):
        return item.with_type(pa.string()).with_metadata(JSON_FIELD)
    return item.with_type(pa.string()).remove_metadata()


def cast(array: pa.Array, item: pa.Field) -> pa.Array:
    """An array as the field that :func:`taken` gives."""
    if array.type == item.type:
        return array
    if item.type == pa.bool_():
        return array.storage.cast(pa.bool_())
    if types.is_dictionary(array.type):
        return array.dictionary_decode().cast(item.type)
    if item.metadata == JSON_FIELD:
        return pa.array([None if v is None else json.dumps(_plain(v)) for v in array.to_pylist()], item.type)
    text: Callable[[Any], str] = str
    if types.is_decimal(array.type):
        text = "{:f}".format
    return pa.array([None if value is None else text(value) for value in array.to_pylist()], item.type)


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
