"""Logical types and the Arrow types in which their values come and go."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.logical.node import MAX_PRECISION, Node
from audiomem_sql.columns.logical.spelling import check_zone
from audiomem_sql.errors import SchemaError

_PLAIN: dict[str, pa.DataType] = {
    "UBIGINT": pa.uint64(),
    "DATE": pa.date32(),
    "TIME_S": pa.time32("s"),
    "TIME_MS": pa.time32("ms"),
    "TIME": pa.time64("us"),
    "TIME_NS": pa.time64("ns"),
    "TIMESTAMP_S": pa.timestamp("s"),
    "TIMESTAMP_MS": pa.timestamp("ms"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_NS": pa.timestamp("ns"),
    "DURATION_S": pa.duration("s"),
    "DURATION_MS": pa.duration("ms"),
    "DURATION_US": pa.duration("us"),
    "DURATION_NS": pa.duration("ns"),
    "HUGEINT": pa.decimal256(39, 0),
    "UHUGEINT": pa.decimal256(39, 0),
    "BIGNUM": pa.string(),
    "TIMETZ": pa.string(),
    "BIT": pa.string(),
    "INTERVAL": pa.month_day_nano_interval(),
    "UUID": pa.uuid(),
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INT32": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "HALF": pa.float16(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "JSON": pa.json_(pa.string()),
    "NULL": pa.null(),
}
_NAMES = {
    str(kind): name
    for name, kind in _PLAIN.items()
    if name not in ("HUGEINT", "UHUGEINT", "BIGNUM", "TIMETZ", "BIT", "UUID", "JSON", "INTERVAL")
}
_NAMES |= {
    "date64[ms]": "DATE",
    "large_string": "VARCHAR",
    "string_view": "VARCHAR",
    "large_binary": "BLOB",
    "binary_view": "BLOB",
    "month_day_nano_interval": "INTERVAL",
}
#: Arrow's names for what DuckDB hands over as it is, with ``SET arrow_lossless_conversion = true``.
OPAQUE = {"hugeint": "HUGEINT", "uhugeint": "UHUGEINT", "time_tz": "TIMETZ", "bit": "BIT", "bignum": "BIGNUM"}
#: The same by older names of DuckDB's.
OPAQUE |= {"varint": "BIGNUM"}


def arrow_of(node: Node) -> pa.DataType:
    """The Arrow type of the values of ``node``."""
    if plain := _PLAIN.get(node.name):
        return plain
    if node.name == "DECIMAL":
        precision, scale = node.numbers
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    if node.name.startswith("TIMESTAMPTZ"):
        return pa.timestamp(node.unit, node.words[0])
    if node.name == "ENUM":
        return pa.dictionary(pa.int32(), pa.string(), ordered=True)
    if node.name == "LIST":
        return pa.list_(arrow_of(node.children[0]))
    if node.name == "ARRAY":
        return pa.list_(arrow_of(node.children[0]), node.numbers[0])
    if node.name == "MAP":
        return pa.map_(arrow_of(node.children[0]), arrow_of(node.children[1]))
    fields = zip(node.words, node.children, strict=True)
    return pa.struct([pa.field(name, arrow_of(child)) for name, child in fields])


def common_of(node: Node) -> pa.DataType:
    """The Arrow type of the values where not all of Arrow is known, as in DuckDB and polars.

    Decimals of more than 38 digits are texts, as is an ENUM inside of another type, where DuckDB takes its
    codes for the values; float16 is float32.
    """
    if node.name in ("HUGEINT", "UHUGEINT") or (node.name == "DECIMAL" and node.bytes == 32):
        return pa.string()
    if node.name == "HALF":
        return pa.float32()
    if not node.is_nested:
        return arrow_of(node)
    children = [pa.string() if child.name == "ENUM" else common_of(child) for child in node.children]
    if node.name == "LIST":
        return pa.list_(children[0])
    if node.name == "ARRAY":
        return pa.list_(children[0], node.numbers[0])
    if node.name == "MAP":
        return pa.map_(children[0], children[1])
    return pa.struct([pa.field(name, child) for name, child in zip(node.words, children, strict=True)])


def node_of(kind: Any) -> Node | None:
    """The type whose values have the Arrow type ``kind``; None if there is none, as for a union.

    Those of ``ITEMS``, such as BIGINT, are told as well. SchemaError for a zone that nobody knows.
    """
    extension = getattr(kind, "extension_name", None)
    if isinstance(extension, str):
        return _of_extension(kind, extension)
    if types.is_decimal(kind):
        return _decimal(kind.precision, kind.scale)
    if types.is_timestamp(kind) and kind.tz is not None:
        suffix = "" if kind.unit == "us" else f"_{kind.unit.upper()}"
        return Node(f"TIMESTAMPTZ{suffix}", words=(check_zone(kind.tz),))
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return node_of(kind.value_type)
    if types.is_fixed_size_binary(kind):
        return Node("BLOB")
    if types.is_map(kind):
        return _made("MAP", (kind.key_type, kind.item_type))
    if types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        if not fields:  # a value would take no bytes, and any number of them would fit a row
            return None
        return _made("STRUCT", [field.type for field in fields], words=tuple(field.name for field in fields))
    if types.is_fixed_size_list(kind):
        return None if not kind.list_size else _made("ARRAY", (kind.value_type,), (kind.list_size,))
    if _is_list(kind):
        return _made("LIST", (kind.value_type,))
    name = _NAMES.get(str(kind))
    return None if name is None else Node(name)


def _is_list(kind: Any) -> bool:
    return str(kind).startswith(("list<", "large_list<", "list_view<", "large_list_view<"))


def _made(name: str, kinds: Any, numbers: tuple[int, ...] = (), words: tuple[str, ...] = ()) -> Node | None:
    children = [node_of(kind) for kind in kinds]
    known = tuple(child for child in children if child is not None)
    return Node(name, numbers, words, known) if len(known) == len(children) else None


def _decimal(precision: int, scale: int) -> Node | None:
    """A DECIMAL with at least one digit of each side that holds all that Arrow's may."""
    if scale < 0:
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    return Node("DECIMAL", (precision, scale)) if precision <= MAX_PRECISION else None


def _of_extension(kind: Any, extension: str) -> Node | None:
    if extension == "arrow.uuid":
        return Node("UUID")
    if extension == "arrow.json":
        return Node("JSON")
    if extension == "arrow.bool8":
        return Node("BOOLEAN")
    if extension == "arrow.opaque" and str(kind.vendor_name).lower() == "duckdb":
        name = OPAQUE.get(str(kind.type_name).lower())
        return None if name is None else Node(name)
    if extension.startswith("pandas."):
        return None
    return node_of(kind.storage_type)


def checked_node_of(name: str, kind: Any) -> Node | None:
    """As :func:`node_of`; the SchemaError names the column."""
    try:
        return node_of(kind)
    except SchemaError as error:
        raise error.at(place=f"column {name}") from None
    except RecursionError:
        raise SchemaError("the type is nested too deeply", place=f"column {name}") from None
