"""Which column type holds an Arrow type, and what Arrow metadata say about columns and constraints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from audiomem_sql.columns.column import FLAGS, TEXTS, fold, refusal
from audiomem_sql.columns.constraints import Check, Key
from audiomem_sql.columns.logical.node import ITEMS
from audiomem_sql.columns.types import BIT, FLOAT32, INT8, ColumnType, Kind, arrow_type, is_stored, shown_type
from audiomem_sql.errors import SchemaError

#: pyarrow's own annotations come and go with its version, and with them whether an array has a parameter.
ArrowArray: TypeAlias = Any
ArrowField: TypeAlias = Any
ArrowType: TypeAlias = Any

_CONSTRAINTS = b"audiomem:constraints"


def told_by(item: ArrowField) -> dict[str, Any]:
    """What the metadata of a field says, if it is ours and still fits the field's type."""
    metadata = item.metadata or {}
    if b"audiomem:type" not in metadata:
        return {}
    try:
        declared: dict[str, Any] = {"type": ColumnType.parse(metadata[b"audiomem:type"].decode())}
        for key, absent in TEXTS.items():
            text = metadata.get(f"audiomem:{key}".encode())
            declared[key] = absent if text is None else text.decode()
    except (SchemaError, UnicodeDecodeError):
        return {}
    kind = declared["type"].kind
    as_declared = declared["type"].element == BIT or declared["type"].logical is not None
    of_type = arrow_type if is_stored(metadata) else shown_type
    if as_declared and item.type == of_type(declared["type"]):
        return declared | {flag: metadata.get(f"audiomem:{flag}".encode()) == b"1" for flag in FLAGS}
    try:
        now = infer(item.name, item.type, declared["type"].width)
    except SchemaError:
        return {}
    if now != declared["type"] and not (kind is Kind.JSON and now.kind is Kind.TEXT):
        return {}
    return declared | {flag: metadata.get(f"audiomem:{flag}".encode()) == b"1" for flag in FLAGS}


def told_of(checks: Sequence[Check], keys: Sequence[Key]) -> dict[bytes, bytes] | None:
    """What the metadata of a whole Arrow schema says of a table's constraints; None if it has none."""
    if not checks and not keys:
        return None
    declared = {
        "checks": [check.to_catalog() for check in checks],
        "keys": [key.to_catalog() for key in keys],
    }
    return {_CONSTRAINTS: json.dumps(declared, ensure_ascii=False).encode()}


def told_together(
    metadata: Mapping[bytes, bytes] | None, names: Sequence[str]
) -> tuple[tuple[Check, ...], tuple[Key, ...]]:
    """The inverse: what is ours; keys only if their columns are still there."""
    try:
        declared = json.loads((metadata or {}).get(_CONSTRAINTS, b"{}"))
        checks = [Check.from_catalog(check) for check in declared.get("checks", ())]
        keys = [Key.from_catalog(key) for key in declared.get("keys", ())]
    except (SchemaError, ValueError, TypeError, AttributeError, RecursionError):
        return (), ()
    there = {fold(name) for name in names}
    return tuple(checks), tuple(key for key in keys if {fold(name) for name in key.columns} <= there)


def infer(name: str, data_type: ArrowType, width: int = 0) -> ColumnType:
    """The column type that holds an Arrow type. ``width`` is used for lists of variable length."""
    from pyarrow import types

    from audiomem_sql.columns.logical.arrow_forms import checked_node_of

    node = None if _is_vector(data_type, width) else checked_node_of(name, data_type)
    if node is not None and node.name not in ITEMS:
        try:
            return ColumnType.of(node)
        except SchemaError as error:
            raise error.at(place=f"column {name}") from None
    if isinstance(getattr(data_type, "extension_name", None), str):
        if data_type.extension_name == "arrow.json":
            return ColumnType(Kind.JSON)
        if data_type.extension_name == "arrow.bool8":
            return ColumnType(Kind.BOOLEAN)
        if data_type.extension_name.startswith("pandas."):  # a period is no number, an interval no pair
            raise refusal(
                name, f"no column type holds the Arrow type {data_type}", "Cast the column, or leave it out"
            )
        return infer(name, data_type.storage_type, width)
    if types.is_dictionary(data_type) or types.is_run_end_encoded(data_type):
        return infer(name, data_type.value_type, width)
    kind = _kind_of(data_type)
    if kind is None:
        raise refusal(
            name, f"no column type holds the Arrow type {data_type}", "Cast the column, or leave it out"
        )
    return _vector_type(name, data_type, width) if kind is Kind.FLOAT else ColumnType(kind)


def _is_vector(data_type: ArrowType, width: int) -> bool:
    """Whether a list is a vector: of one width, of float32 or int8, or what ``width`` says is one."""
    from pyarrow import types

    if not is_list(data_type):
        return False
    item = data_type.value_type
    if types.is_fixed_size_list(data_type):
        return bool(types.is_float32(item) or types.is_float16(item) or types.is_int8(item) or width)
    return bool(width and types.is_floating(item))


def _kind_of(data_type: ArrowType) -> Kind | None:
    from pyarrow import types

    if types.is_boolean(data_type):
        return Kind.BOOLEAN
    if types.is_integer(data_type):
        return Kind.INTEGER
    if types.is_floating(data_type):
        return Kind.REAL
    if types.is_timestamp(data_type) or types.is_date(data_type):
        return Kind.TIMESTAMP
    if str(data_type) in ("string", "large_string", "string_view", "null"):
        return Kind.TEXT
    if str(data_type) in ("binary", "large_binary", "binary_view") or types.is_fixed_size_binary(data_type):
        return Kind.BLOB
    if types.is_fixed_size_list(data_type) and types.is_int8(data_type.value_type):
        return Kind.FLOAT
    return Kind.FLOAT if is_list(data_type) and types.is_floating(data_type.value_type) else None


def _vector_type(name: str, data_type: ArrowType, width: int) -> ColumnType:
    """The type of a column of vectors. ``width`` is used for lists of variable length."""
    from pyarrow import types

    if types.is_fixed_size_list(data_type):
        width = data_type.list_size
    if not width:
        raise refusal(
            name,
            f"the Arrow type {data_type} does not tell the width of the vectors",
            "Pass a list_(float32, n)",
        )
    try:
        return ColumnType(Kind.FLOAT, width, INT8 if types.is_int8(data_type.value_type) else FLOAT32)
    except SchemaError as error:
        raise refusal(name, error.what, error.remedy) from None


def is_list(data_type: ArrowType) -> bool:
    """Whether an Arrow type is a list of any layout."""
    return str(data_type).startswith(
        ("list<", "large_list<", "fixed_size_list<", "list_view<", "large_list_view<")
    )
