"""DuckDB's own types in Arrow, which it hands over with ``SET arrow_lossless_conversion = true``.

Arrow calls them opaque: their bytes are DuckDB's. Those that hold text already are somebody else's. A BOOLEAN
is a byte then, ``arrow.bool8``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.logical.arrow_forms import OPAQUE, arrow_of
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.parsing import clock_text, offset_text
from audiomem_sql.columns.views import valid

#: What DuckDB takes the seconds of an offset from.
_OFFSET_BIAS = 57_599


def has_opaque(kind: Any) -> bool:
    """Whether an Arrow type is one of DuckDB's own, or ``arrow.bool8``, or has one in it."""
    if getattr(kind, "extension_name", None) == "arrow.bool8":
        return True
    if getattr(kind, "extension_name", None) == "arrow.opaque":
        return str(kind.vendor_name).lower() == "duckdb" and not types.is_string(kind.storage_type)
    if isinstance(kind, pa.BaseExtensionType) or not types.is_nested(kind):
        return False
    return any(has_opaque(kind.field(number).type) for number in range(kind.num_fields))


def without_opaque(array: Any) -> Any:
    """An array, whose type :func:`has_opaque`, with values as ``arrow_of`` has them. ValueError for none."""
    kind = array.type
    if getattr(kind, "extension_name", None) == "arrow.bool8":
        return array.storage.cast(pa.bool_())
    if isinstance(array, pa.ExtensionArray):
        return _values(OPAQUE[str(kind.type_name).lower()], array.storage)
    if not has_opaque(kind):
        return array
    mask = pa.array(~valid(array))
    if types.is_struct(kind):
        children = [without_opaque(child) for child in array.flatten()]
        return pa.StructArray.from_arrays(children, [field.name for field in kind], mask=mask)
    if types.is_fixed_size_list(kind):
        items = array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size)
        return pa.FixedSizeListArray.from_arrays(without_opaque(items), kind.list_size, mask=mask)
    offsets = pa.array(array.offsets.to_numpy())  # of a slice they begin in the middle of a buffer
    if types.is_map(kind):
        pairs = pa.MapArray.from_arrays(offsets, without_opaque(array.keys), without_opaque(array.items))
        bits = None if not array.null_count else pa.array(valid(array)).buffers()[1]
        buffers = [bits, pairs.buffers()[1]]
        return pa.Array.from_buffers(pairs.type, len(array), buffers, children=[pairs.values])
    make = pa.LargeListArray if types.is_large_list(kind) else pa.ListArray
    return make.from_arrays(offsets, without_opaque(array.values), mask=mask)


def _values(name: str, storage: Any) -> Any:
    show = _TEXTS[name]
    texts = [None if raw is None else show(raw) for raw in storage.to_pylist()]
    made = pa.array(texts, pa.string())
    target = arrow_of(Node(name))
    return made if target == pa.string() else made.cast(target)


def _time(raw: bytes) -> str:
    bits = int.from_bytes(raw, "little")
    return clock_text(bits >> 24, 10**6) + offset_text(_OFFSET_BIAS - (bits & (1 << 24) - 1))


def bit_of_duckdb(raw: bytes) -> str:
    """The digits of a BIT of DuckDB's: a byte says how many bits in front are unused. ValueError for none."""
    if len(raw) < 2 or raw[0] > 7:
        raise ValueError("the bytes are no BIT of DuckDB's")
    digits = f"{int.from_bytes(raw[1:], 'big'):0{8 * (len(raw) - 1)}b}"
    return digits[raw[0] :]


def bignum_of_duckdb(raw: bytes) -> int:
    """The number that a BIGNUM of DuckDB's is: three bytes of sign and length, then it; inverted below 0.

    ValueError for bytes that are none.
    """
    if len(raw) < 4:
        raise ValueError("the bytes are no BIGNUM of DuckDB's")
    negative = raw[0] < 128
    plain = bytes(255 - byte for byte in raw) if negative else raw
    number = int.from_bytes(plain[3:], "big")
    return -number if negative else number


_TEXTS: dict[str, Callable[[bytes], str]] = {
    "HUGEINT": lambda raw: str(int.from_bytes(raw, "little", signed=True)),
    "UHUGEINT": lambda raw: str(int.from_bytes(raw, "little")),
    "TIMETZ": _time,
    "BIT": bit_of_duckdb,
    "BIGNUM": lambda raw: str(bignum_of_duckdb(raw)),
}


def wide_integers(texts: Sequence[str | None], *, signed: bool) -> Any:
    """Integers of 128 bits, written as texts, in the form in which DuckDB hands over HUGEINT and UHUGEINT."""
    values = [None if text is None else int(text).to_bytes(16, "little", signed=signed) for text in texts]
    kind = pa.opaque(pa.binary(16), "hugeint" if signed else "uhugeint", "DuckDB")
    return pa.ExtensionArray.from_storage(kind, pa.array(values, pa.binary(16)))
