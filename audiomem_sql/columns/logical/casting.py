"""Arrow data of any type, and Python's values, as the stored form of a logical type.

Nothing is rounded or cut: a value that the type cannot hold is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.logical.arrow_forms import arrow_of, node_of
from audiomem_sql.columns.logical.exact_numbers import whole_number
from audiomem_sql.columns.logical.fixed import stored_type
from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.logical.json_leaves import checked_json, read_json, written_json
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.parsing import PARSERS, PER_SECOND, clock_text
from audiomem_sql.columns.logical.plain_arrays import plain
from audiomem_sql.columns.logical.texts import interval_text, moment_text

#: From a value that is no list, struct or map to what is gathered of it.
_Leaf: TypeAlias = Callable[[Node, Any], Any]
_NULLS = ("NAType", "NaTType")  # pandas.NA, pandas.NaT
_FAULTS = (pa.ArrowException, ValueError, OverflowError, TypeError, RecursionError, KeyError)


class UnfitError(ValueError):
    """The value at ``row`` cannot be stored; the message says why."""

    def __init__(self, why: str, row: int) -> None:
        super().__init__(why)
        self.row = row


def stored_of_arrow(node: Node, array: Any) -> Any:
    """The stored form of Arrow data without dictionaries and extensions on top.

    UnfitError for what does not fit.
    """
    array = plain(array)
    if array.null_count == len(array):
        return pa.nulls(len(array), stored_type(node) if not node.is_nested else pa.binary())
    try:
        cast = _cast(node, array)
        if cast is not None:
            if node.is_nested:
                cast.validate(full=True)
            return stored_form(node, cast)
    except _FAULTS:
        pass  # which row it was is found value by value
    return stored_of_values(node, _values(array))


def stored_of_values(node: Node, values: Sequence[Any]) -> Any:
    """The stored form of Python's values. UnfitError for the first that does not fit."""
    made = []
    for row, value in enumerate(values):
        try:
            made.append(stored_of_value(node, value))
        except _FAULTS as error:
            raise UnfitError(str(error) or type(error).__name__, row) from None
    return pa.array(made, pa.binary() if node.is_nested else stored_type(node))


def stored_of_value(node: Node, value: Any) -> Any:
    """One value as it is stored. ValueError, an Arrow error and their like for what does not fit."""
    if _is_null(value):
        return None
    if not node.is_nested:
        if isinstance(value, float | np.floating) and value != value:
            if node.is_number:
                raise ValueError("NaN is no number that the type has")
            return None  # as pandas writes what is missing
        return PARSERS[node.name](node, value)
    if isinstance(value, bytes):
        raise ValueError("bytes are no list, struct or map")
    leaf = _leaf
    if isinstance(value, str):
        value, leaf = read_json(value), _leaf_of_json
        if value is None:
            return None
    array = pa.array([_shaped(node, value, leaf)], _buildable(node))
    return stored_form(node, _finished(node, array))[0].as_py()


def _is_null(value: Any) -> bool:
    if value is None or type(value).__name__ in _NULLS:
        return True
    return isinstance(value, np.datetime64 | np.timedelta64) and bool(np.isnat(value))


def _values(array: Any) -> list[Any]:
    """Python's values; of dates and durations, which Python has in part, numpy's, and of times texts."""
    while isinstance(array, pa.ExtensionArray) or types.is_dictionary(array.type):
        array = array.storage if isinstance(array, pa.ExtensionArray) else array.dictionary_decode()
    kind = array.type
    if types.is_nested(kind):
        return _nested_values(array)
    if types.is_time(kind):
        per_second = PER_SECOND[kind.unit]
        counts = array.view(pa.int32() if types.is_time32(kind) else pa.int64())
        return [None if number is None else clock_text(number, per_second) for number in counts.to_pylist()]
    if types.is_timestamp(kind) or types.is_duration(kind) or types.is_date(kind):
        letter = "m" if types.is_duration(kind) else "M"
        unit = "D" if types.is_date32(kind) else "ms" if types.is_date64(kind) else kind.unit
        counts = array.view(pa.int32()) if types.is_date32(kind) else array.view(pa.int64())
        numbers = counts.cast(pa.int64()).to_pylist()
        dtype = f"{letter}8[{unit}]"
        return [None if number is None else _moment(number, dtype, kind) for number in numbers]
    return list(array.to_pylist())


def _moment(number: int, dtype: str, kind: Any) -> Any:
    """A value of numpy's; of the number that numpy takes for NULL the text."""
    if number != -(1 << 63):
        return np.array(number, "i8").view(dtype)[()]
    per_second = PER_SECOND["ms" if types.is_date(kind) else kind.unit]
    if types.is_duration(kind):
        return interval_text(0, 0, number * (10**9 // per_second))
    return moment_text(number, per_second)


def _nested_values(array: Any) -> list[Any]:
    kind = array.type
    present = array.is_valid().to_pylist()
    if types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        rows = zip(*map(_values, array.flatten()), strict=True)
        return [
            dict(zip(names, row, strict=True)) if here else None
            for here, row in zip(present, rows, strict=True)
        ]
    if types.is_map(kind):
        items: list[Any] = list(zip(_values(array.keys), _values(array.items), strict=True))
    elif str(kind).startswith(("list<", "fixed_size_list<", "large_list<")):
        array = array.cast(pa.list_(kind.value_type))
        array.validate(full=True)
        items = _values(array.values)
    else:  # a union
        return list(array.to_pylist())
    offsets = array.offsets.to_pylist()
    return [items[offsets[row] : offsets[row + 1]] if here else None for row, here in enumerate(present)]


def _cast(node: Node, array: Any) -> Any:
    """The array as one of ``arrow_of(node)``; None where that would lose something, or has to be parsed."""
    source, target = array.type, arrow_of(node)
    if node.name == "ENUM":
        known = types.is_string(source) or types.is_large_string(source)
        texts = array.cast(pa.string()) if known else None
        return texts if texts is not None and _are_in(texts, node) else None
    if isinstance(target, pa.BaseExtensionType):
        if target.storage_type == source:
            return pa.ExtensionArray.from_storage(target, array)
        return None
    if source == target:
        return None if node.name in ("BIGNUM", "TIMETZ", "BIT") else array
    if node.is_nested:
        return array.cast(target) if _is_lossless(node_of(source), node) else None
    if types.is_decimal(source) and types.is_decimal(target):
        return array.cast(target)
    if types.is_integer(source) and types.is_decimal(target):
        digits = {8: 3, 16: 5, 32: 10, 64: 20}[source.bit_width]
        wide = array.cast(pa.decimal128(digits, 0))
        scale = target.scale
        return (
            wide.cast(pa.decimal256(max(digits + scale, target.precision), scale)).cast(target)
            if digits + scale <= 76
            else None
        )
    if types.is_integer(source) and node.name == "UBIGINT":
        return array.cast(target)
    if types.is_temporal(source) and types.is_temporal(target):
        if types.is_timestamp(source) and types.is_timestamp(target) and source.tz != target.tz:
            array = array.view(pa.timestamp(source.unit, target.tz))
        made = array.cast(target)
        return made if made.cast(array.type).equals(array) else None
    return None


def _are_in(texts: Any, node: Node) -> bool:
    known = set(node.words)
    return all(text is None or text in known for text in texts.unique().to_pylist())


def _is_lossless(source: Node | None, target: Node) -> bool:
    """Whether Arrow's cast of nested data keeps all values: the leaves are the same, or wider."""
    if source is None:
        return False
    if source.name == target.name:
        if source.name in ("STRUCT",) and source.words != target.words:
            return False
        return (
            source.numbers == target.numbers
            and len(source.children) == len(target.children)
            and all(map(_is_lossless, source.children, target.children))
        )
    if source.name == "NULL":
        return True
    both = (source.name, target.name)
    if both in (("ARRAY", "LIST"), ("FLOAT", "DOUBLE"), ("HALF", "DOUBLE"), ("HALF", "FLOAT")):
        return len(source.children) == 0 or _is_lossless(source.children[0], target.children[0])
    return target.name == "BIGINT" and source.name in (
        "TINYINT",
        "SMALLINT",
        "INT32",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
    )


# -- nested values of Python's -------------------------------------------------------------------------------


def _buildable(node: Node) -> Any:
    """The Arrow type in which Python's values are gathered: leaves that are parsed are gathered as stored."""
    if node.name in ("LIST", "ARRAY"):
        return pa.list_(_buildable(node.children[0]))
    if node.name == "STRUCT":
        fields = enumerate(node.children)
        return pa.struct([pa.field(str(number), _buildable(child)) for number, child in fields])
    if node.name == "MAP":
        pair = [pa.field("0", _buildable(node.children[0])), pa.field("1", _buildable(node.children[1]))]
        return pa.list_(pa.struct(pair))
    if node.name == "TIMESTAMP":
        return pa.int64()
    if node.name == "JSON":
        return pa.string()
    return stored_type(node) if node.name in PARSERS else arrow_of(node)


def _shaped(node: Node, value: Any, leaf: _Leaf) -> Any:
    """A value with its fields by their places, and its leaves as stored."""
    if _is_null(value):
        return None
    if node.name in ("LIST", "ARRAY"):
        if isinstance(value, str | bytes | dict) or not hasattr(value, "__iter__"):
            raise ValueError(f"a {type(value).__name__} is no list")
        items = [_shaped(node.children[0], item, leaf) for item in value]
        if node.name == "ARRAY" and len(items) != node.numbers[0]:
            raise ValueError(f"it has {len(items)} items, and {node.numbers[0]} are needed")
        return items
    if node.name == "STRUCT":
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__} is no struct")
        if unknown := [key for key in value if key not in node.words]:
            raise ValueError(f"the struct has no field {unknown[0]!r}")
        fields = enumerate(zip(node.words, node.children, strict=True))
        return {str(number): _shaped(child, value.get(word), leaf) for number, (word, child) in fields}
    if node.name == "MAP":
        pairs = list(value.items()) if isinstance(value, dict) else [tuple(pair) for pair in value]
        made = []
        for pair in pairs:
            if len(pair) != 2 or pair[0] is None:
                raise ValueError("a map is made of pairs whose keys are not NULL")
            key, item = node.children
            made.append({"0": _shaped(key, pair[0], leaf), "1": _shaped(item, pair[1], leaf)})
        return made
    return leaf(node, value)


def _leaf_of_json(node: Node, value: Any) -> Any:
    """A value that stood in JSON, where bytes are texts and JSON is no text."""
    if node.name == "JSON":
        return written_json(value)
    if node.name == "BLOB":
        if not isinstance(value, str):
            raise ValueError("bytes in JSON are a text of hexadecimal digits")
        return bytes.fromhex(value)
    return _leaf(node, value)


def _leaf(node: Node, value: Any) -> Any:
    if node.name in PARSERS:
        return PARSERS[node.name](node, value)
    if node.name == "TIMESTAMP":
        return PARSERS["TIMESTAMP_MS"](Node("TIMESTAMP"), value)
    if node.name == "JSON":
        return checked_json(value) if isinstance(value, str) else written_json(value)
    if node.name == "BLOB" and not isinstance(value, bytes | bytearray | memoryview):
        raise ValueError(f"a {type(value).__name__} is no bytes")
    if node.name in ("HALF", "FLOAT", "DOUBLE"):
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal | np.number):
            raise ValueError(f"a {type(value).__name__} is no number")
        return _real(node, float(value))
    if node.name == "VARCHAR" and not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is no text")
    if node.name == "BOOLEAN" and not isinstance(value, bool | np.bool_):
        raise ValueError(f"a {type(value).__name__} is no truth value")
    if node.name not in ("VARCHAR", "BLOB", "BOOLEAN", "NULL"):
        return whole_number(value)
    return value


def _real(node: Node, value: float) -> Any:
    """A number of the width of the type; it is the nearest one, as in a REAL of that width."""
    if node.name == "DOUBLE":
        return value
    with np.errstate(over="ignore"):
        made = (np.float16 if node.name == "HALF" else np.float32)(value)
    if np.isinf(made) and not np.isinf(value):
        raise ValueError("a number is too large for the type")
    return made if node.name == "HALF" else float(made)


def _finished(node: Node, array: Any) -> Any:
    """What ``_buildable`` gathered, as ``arrow_of(node)``."""
    from audiomem_sql.columns.logical.fixed import from_stored

    if node.name == "JSON":
        return pa.ExtensionArray.from_storage(arrow_of(node), array)
    if node.name == "TIMESTAMP":
        return array.view(pa.timestamp("us"))
    if not node.is_nested:
        return from_stored(node, array) if node.name in PARSERS else array
    mask = array.is_null()
    if node.name == "STRUCT":
        fields = list(arrow_of(node))
        items = array.flatten()  # a field may be there where its struct is NULL
        children = [_finished(child, items[number]) for number, child in enumerate(node.children)]
        return pa.StructArray.from_arrays(children, fields=fields, mask=mask)
    if node.name == "ARRAY":
        size = node.numbers[0]
        places = np.repeat(array.offsets.to_numpy()[:-1], size).reshape(-1, size) + np.arange(size)
        missing = np.repeat(mask.to_numpy(zero_copy_only=False), size)
        items = array.values.take(pa.array(np.where(missing, 0, places.ravel()), mask=missing))
        return pa.FixedSizeListArray.from_arrays(_finished(node.children[0], items), size, mask=mask)
    if node.name == "LIST":
        return pa.ListArray.from_arrays(array.offsets, _finished(node.children[0], array.values), mask=mask)
    key, item = node.children
    pairs = array.values
    made = pa.MapArray.from_arrays(
        array.offsets, _finished(key, pairs.field(0)), _finished(item, pairs.field(1))
    )
    if not array.null_count:
        return made
    bits = pa.py_buffer(np.packbits(array.is_valid().to_numpy(zero_copy_only=False), bitorder="little"))
    return pa.Array.from_buffers(made.type, len(made), [bits, made.buffers()[1]], children=[made.values])
