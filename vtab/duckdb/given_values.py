"""Vectors of DuckDB's as the columns of a new table: the field of each, and its values.

What a logical type holds comes in its stored form, with a field that says so; the rest as
:mod:`~audiomem_sql.vtab.duckdb.vectors` makes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.opaque import bignum_of_duckdb, bit_of_duckdb
from audiomem_sql.columns.logical.parsing import clock_text, offset_text
from audiomem_sql.columns.types import STORED_MARK, ColumnType, arrow_type
from audiomem_sql.errors import DataTypeError
from audiomem_sql.vtab.duckdb import vectors as v
from audiomem_sql.vtab.duckdb.native_types import JSON_TYPE, is_plain, node_of_described

_OFFSET_BIAS = 16 * 3600 - 1


def field_of(name: str, described: v.Type) -> pa.Field:
    """The column of a table that holds a type; DataTypeError where there is none."""
    if tuple(described) == JSON_TYPE:
        return pa.field(name, pa.json_(pa.string()))
    if is_plain(described):
        return pa.field(name, v.arrow_type(name, described))
    made = ColumnType.of(node_of_described(name, described))
    return pa.field(name, arrow_type(made), metadata={b"audiomem:type": str(made).encode(), **STORED_MARK})


def values_of(name: str, described: v.Type, vector: v.Vector, rows: int) -> pa.Array:
    """The values of a vector for :func:`field_of`. DataTypeError for one that the type cannot hold."""
    if tuple(described) == JSON_TYPE:
        texts = v.array(described, vector, rows).cast(pa.string())
        return pa.ExtensionArray.from_storage(pa.json_(pa.string()), texts)
    if is_plain(described):
        return v.array(described, vector, rows)
    node = node_of_described(name, described)
    try:
        return stored_form(node, _array(node, described, vector, rows))
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise DataTypeError(
            f"a value of DuckDB's cannot be stored as {node!s:.80}: {error}", place=f"column {name}"
        ) from error


def values_of_rows(described: v.Type, vector: v.Vector, rows: int) -> tuple[list[pa.Array], BoolArray]:
    """The fields of structs, which are rows, NULL where these are; and which are not NULL as a whole."""
    there = v.is_valid(vector[0], rows)
    arrays = [
        values_of(name, each, values, rows)
        for (name, each), values in zip(described[1], vector[1:], strict=True)
    ]
    if not there.all():
        places = pa.array(np.arange(rows), mask=~there)
        arrays = [array.take(places) for array in arrays]
    return arrays, there


def _array(node: Node, described: v.Type, vector: v.Vector, rows: int) -> Any:
    """An array of ``arrow_of(node)``."""
    number = described[0]
    bits = None if vector[0] is None else pa.py_buffer(vector[0])
    if number == v.STRUCT:
        children = [
            _array(child, each, values, rows)
            for child, (_, each), values in zip(node.children, described[1], vector[1:], strict=True)
        ]
        return pa.Array.from_buffers(arrow_of(node), rows, [bits], children=children)
    if number == v.ARRAY:
        items = _array(node.children[0], described[1], vector[1], rows * described[2])
        return pa.Array.from_buffers(arrow_of(node), rows, [bits], children=[items])
    if number in (v.LIST, v.MAP):
        return _lists(node, described, vector, rows, bits)
    target = arrow_of(node)
    if number in (v.VARCHAR, v.BLOB):
        array = v.array(described, vector, rows)
        if node.name == "JSON":
            return pa.ExtensionArray.from_storage(target, array.cast(pa.string()))
        return array.cast(target)
    if number == v.ENUM:
        codes = np.frombuffer(vector[1], v.WORDS[described[1]])[:rows].astype(np.int32)
        indexes = pa.array(codes, mask=~v.is_valid(vector[0], rows))
        return pa.DictionaryArray.from_arrays(indexes, pa.array(node.words, pa.string()), ordered=True)
    made = _OF_BYTES[number](vector, rows) if number in _OF_BYTES else v.array(described, vector, rows)
    if number in (v.TIMETZ, v.BIT, v.BIGNUM):
        return pa.array(made, pa.string(), mask=~v.is_valid(vector[0], rows))
    if number == v.UUID:
        storage = pa.Array.from_buffers(pa.binary(16), rows, [bits, pa.py_buffer(made)])
        return pa.ExtensionArray.from_storage(target, storage)
    if number in _OF_BYTES:
        return pa.Array.from_buffers(target, rows, [bits, pa.py_buffer(made)])
    return made


def _lists(node: Node, described: v.Type, vector: v.Vector, rows: int, bits: Any) -> Any:
    """Lists and maps, whose items may stand in any order, and in rows that are NULL anywhere."""
    item = (
        Node("STRUCT", words=("key", "value"), children=node.children)
        if node.name == "MAP"
        else node.children[0]
    )
    items = _array(item, described[1], vector[3], vector[2])
    entries = np.frombuffer(vector[1], "<u8").reshape(-1, 2)[:rows].astype(np.int64)
    lengths = np.where(v.is_valid(vector[0], rows), entries[:, 1], 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    starts = np.repeat(entries[:, 0] - offsets[:-1], lengths)
    taken = items.take(pa.array(np.arange(offsets[-1], dtype=np.int64) + starts))
    target = arrow_of(node)
    if node.name == "MAP":
        pair = [taken.field(0), taken.field(1)]
        taken = pa.StructArray.from_arrays(pair, fields=[target.key_field, target.item_field])
    return pa.Array.from_buffers(
        target, rows, [bits, pa.py_buffer(offsets.astype(np.int32))], children=[taken]
    )


def _wide(signed: bool) -> Any:
    def made(vector: v.Vector, rows: int) -> Any:
        words = np.frombuffer(vector[1], "<i8").reshape(-1, 2)[:rows]
        fill = words[:, 1:] >> 63 if signed else np.zeros((rows, 1), np.int64)
        return np.ascontiguousarray(np.concatenate([words, fill, fill], axis=1))

    return made


def _uuids(vector: v.Vector, rows: int) -> Any:
    raw = np.frombuffer(vector[1], np.uint8).reshape(-1, 16)[:rows, ::-1].copy()
    raw[:, 0] ^= 128
    return raw


def _intervals(vector: v.Vector, rows: int) -> Any:
    raw = np.frombuffer(vector[1], np.dtype([("months", "<i4"), ("days", "<i4"), ("micros", "<i8")]))[
        :rows
    ].copy()
    there = v.is_valid(vector[0], rows)
    micros = np.where(there, raw["micros"], 0)
    limit = ((1 << 63) - 1) // 1000
    if ((micros > limit) | (micros < -limit)).any():
        raise ValueError("an interval has more than 292 years beside its months and days")
    raw["micros"] = micros * 1000
    return raw


def _texts(show: Any) -> Any:
    def made(vector: v.Vector, rows: int) -> list[str | None]:
        blobs = v.array((v.BLOB,), vector, rows)
        return [None if value is None else show(value) for value in blobs.to_pylist()]

    return made


def _times(vector: v.Vector, rows: int) -> list[str]:
    texts = []
    for bits in np.frombuffer(vector[1], "<u8")[:rows].tolist():
        micros, offset = bits >> 24, _OFFSET_BIAS - (bits & (1 << 24) - 1)
        texts.append(clock_text(micros, 1_000_000) + offset_text(offset))
    return texts


_OF_BYTES: dict[int, Any] = {
    v.HUGEINT: _wide(True),
    v.UHUGEINT: _wide(False),
    v.UUID: _uuids,
    v.INTERVAL: _intervals,
    v.BIT: _texts(bit_of_duckdb),
    v.BIGNUM: _texts(lambda raw: str(bignum_of_duckdb(raw))),
    v.TIMETZ: _times,
}
