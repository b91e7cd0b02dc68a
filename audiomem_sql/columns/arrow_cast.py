"""One column of Arrow data, or of Python values, as exactly the Arrow type that its column has.

What SQL would convert is converted, by the rules of ``affinity``: the usual types as whole arrays, all others
value by value. What cannot be stored raises DataTypeError with the number of its row, counted from 0. NaN in
an INTEGER column becomes NULL, as in SQLite; a REAL one keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.affinity import NO_DIRECTION, StoredValue, converter, not_null_failed
from audiomem_sql.columns.arrow_pieces import pieces
from audiomem_sql.columns.arrow_types import ArrowArray, ArrowType, is_list
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.defaults import constant, is_constant, values
from audiomem_sql.columns.kernels import kernels
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.numeric_text import MAX_INTEGER
from audiomem_sql.columns.packed_vectors import vector_dtype
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS
from audiomem_sql.columns.types import FLOAT32, ColumnType, Kind, arrow_type
from audiomem_sql.columns.views import strings
from audiomem_sql.errors import DataTypeError

_REPEATED = 1 << 24  # about the bytes of an array that a default is repeated in
_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_DAY = 86_400_000_000


def cast_column(column: Column, chunks: Sequence[ArrowArray]) -> ArrowArray:
    """The chunks as ``arrow_type(column.type)``.

    Raises DataTypeError, naming the column and the first row that cannot be stored; ConstraintError for a
    NULL where there must be none.
    """
    arrays: list[ArrowArray] = []
    first = 0
    for chunk in chunks:
        try:
            for piece in pieces(column, chunk, first):
                arrays += _cast(column, piece, first)
                first += len(piece)
        except (pa.ArrowException, ValueError, OverflowError) as error:  # the last two: dates beyond Python's
            raise DataTypeError(f"the Arrow data of column {column.name} cannot be read: {error}") from error
    return _checked(column, arrays)


def stored_column(column: Column, chunks: Sequence[ArrowArray]) -> ArrowArray:
    """Chunks that are ``arrow_type(column.type)`` already. ConstraintError for a NULL that must not be."""
    return _checked(column, list(chunks))


def _logical(column: Column, node: Node, array: ArrowArray, first: int) -> ArrowArray:
    from audiomem_sql.columns.logical.casting import UnfitError, stored_of_arrow  # most tables have none

    try:
        return stored_of_arrow(node, array)
    except UnfitError as error:
        why = str(error)
        raise _refused(column, first + error.row, str(array.type), f"{why[:1].upper()}{why[1:]}") from None


def cast_values(column: Column, values: Sequence[object]) -> ArrowArray:
    """Python values as ``arrow_type(column.type)``, each through ``affinity.convert``.

    Raises as ``cast_column``.
    """
    return _checked(column, _by_value(column, values, 0))


def stored_array(values: Sequence[StoredValue], column_type: ColumnType) -> list[ArrowArray]:
    """Values as ``affinity.convert`` returns them, as arrays of ``arrow_type(column_type)``.

    There is one array, unless the values are huge.
    """
    target: ArrowType = arrow_type(column_type)
    if column_type.kind is Kind.FLOAT:
        empty = bytes(column_type.vector_bytes)
        joined = b"".join(value if isinstance(value, bytes) else empty for value in values)
        null = np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))
        numbers = np.frombuffer(joined, dtype=vector_dtype(column_type))
        return [_vectors(numbers, ~null, target)]
    array: ArrowArray = array_of(values, column_type)
    return array.chunks if isinstance(array, pa.ChunkedArray) else [array]


def null_array(rows: int, column_type: ColumnType) -> ArrowArray:
    """``rows`` NULLs, as ``arrow_type(column_type)``."""
    target: ArrowType = arrow_type(column_type)
    return pa.nulls(rows, target)


def default_arrays(column: Column, rows: int) -> list[ArrowArray]:
    """The default of ``column``, or NULL, for ``rows`` rows, as arrays of ``arrow_type(column.type)``."""
    if column.default is None or column.is_rowid:
        return [null_array(rows, column.type)]
    if not is_constant(column):
        return stored_array(values(column, rows), column.type)
    value = constant(column)
    size = len(value) if isinstance(value, str | bytes) else 8
    many = min(rows, max(1, _REPEATED // max(size, 8)))
    (block,) = stored_array([value], column.type)
    block = block.take(pa.array(np.zeros(many, np.int64)))
    return [block] * (rows // many) + [block.slice(0, rows % many)] if rows else [block]


def _checked(column: Column, arrays: list[ArrowArray]) -> ArrowArray:
    if column.not_null and not column.is_rowid:
        first = 0
        for array in arrays:
            if array.null_count:
                raise not_null_failed(column, first + kernels().index(array.is_null(), True).as_py())
            first += len(array)
    target: ArrowType = arrow_type(column.type)
    return pa.chunked_array(arrays, target)


def _cast(column: Column, array: ArrowArray, first: int) -> list[ArrowArray]:
    kind, source_type = column.type.kind, array.type
    if column.type.logical is not None:
        return [_logical(column, column.type.logical, array, first)]
    if array.null_count == len(array):
        return [null_array(len(array), column.type)]
    if whole := _WHOLE.get((kind, _family(source_type))):
        return [whole(column, array, first)]
    if _family(source_type) in ("integer", "real", "boolean", "text", "blob") or kind is Kind.JSON:
        return _by_value(column, array.to_pylist(), first)
    raise _refused(column, first + _first(array.is_valid()), str(source_type), "Cast the column")


def _family(source_type: ArrowType) -> str:
    if types.is_integer(source_type):
        return "integer"
    if types.is_floating(source_type):
        return "real"
    if types.is_boolean(source_type):
        return "boolean"
    if types.is_string(source_type) or types.is_large_string(source_type):
        return "text"
    if (
        types.is_binary(source_type)
        or types.is_large_binary(source_type)
        or types.is_fixed_size_binary(source_type)
    ):
        return "blob"
    if types.is_timestamp(source_type) or types.is_date(source_type):
        return "time"
    return "list" if is_list(source_type) else "other"


def _by_value(column: Column, values: Sequence[object], first: int) -> list[ArrowArray]:
    function = converter(column)
    stored: list[StoredValue] = []
    try:
        for value in values:
            stored.append(function(value))
    except DataTypeError as error:
        error.at(place=f"row {first + len(stored)}")
        raise
    return stored_array(stored, column.type)


# --- whole arrays -------------------------------------------------------------------------------------------


def _same(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    target: ArrowType = arrow_type(column.type)
    return array if array.type == target else array.cast(target)


def _integer_from_integer(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    _check_64_bits(column, array, first)
    return array if array.type == pa.int64() else array.cast(pa.int64())


def _integer_from_real(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    reals = _without_nan(array)
    valid, values = _valid(reals), reals.fill_null(0.0).to_numpy(zero_copy_only=False)
    good = (values == np.trunc(values)) & (np.abs(values) < 2.0**63)
    if not good.all():
        row = int(np.argmin(good))
        raise _refused(column, first + row, "REAL", f"The value is {values[row]}")
    return pa.array(values.astype(np.int64), mask=~valid)


def _integer_from_boolean(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    return array.cast(pa.int64())


def _real_from_integer(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    _check_64_bits(column, array, first)
    return array.cast(pa.float64(), safe=False)  # to the nearest, as SQLite does


def _real_from_real(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    return array.cast(pa.float64())


def _real_from_boolean(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    return array.cast(pa.int8()).cast(pa.float64())


def _boolean_from_integer(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    wrong = kernels().greater(array.cast(pa.uint64(), safe=False), pa.scalar(1, pa.uint64()))
    if kernels().any(wrong).as_py():
        row = _first(wrong)
        raise _refused(column, first + row, "INT", f"The value is {array[row]}")
    return array.cast(pa.bool_())


def _timestamp_from_time(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    source_type = array.type
    valid = _valid(array)
    if types.is_date32(source_type):
        scale, counts = _DAY, array.view(pa.int32()).cast(pa.int64())
    else:
        unit = "ms" if types.is_date64(source_type) else source_type.unit
        scale, counts = _MICROS.get(unit, 0), array.view(pa.int64())
    values = counts.fill_null(0).to_numpy(zero_copy_only=False)
    if scale:
        good = (values >= MIN_MICROS // scale) & (values <= MAX_MICROS // scale)
        fault = "It is outside the years 0001 to 9999"
    else:
        good = values % 1000 == 0  # nanoseconds, which reach from 1677 to 2262
        fault = "It is finer than a microsecond: round it"
    if not good.all():
        raise _refused(column, first + int(np.argmin(good)), str(source_type), fault)
    micros = values * scale if scale else values // 1000
    return pa.array(micros, mask=~valid).cast(arrow_type(column.type))


def _json_from_text(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    _by_value(column, array.to_pylist(), first)
    return array.cast(pa.string())


def _vector_from_list(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    width, source_type = column.type.width, array.type
    if column.type.element != FLOAT32:
        return _octets_from_list(column, array, first)
    if not (types.is_floating(source_type.value_type) or types.is_integer(source_type.value_type)):
        raise _refused(
            column, first + _first(array.is_valid()), str(source_type), "A vector is a list of numbers"
        )
    valid = _valid(array)
    rows = np.flatnonzero(valid)
    lengths = kernels().list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    if (wrong := lengths[rows] != width).any():
        row = int(rows[np.argmax(wrong)])
        raise _refused(
            column, first + row, str(source_type), f"It has {lengths[row]} numbers, and {width} are needed"
        )
    flat: ArrowArray = kernels().list_flatten(array)
    if flat.null_count:
        row = int(rows[_first(flat.is_null()) // width])
        raise _refused(column, first + row, str(source_type), "A number in it is NULL")
    with np.errstate(over="ignore"):
        values = flat.to_numpy(zero_copy_only=False).astype("<f4")
    if not (good := np.isfinite(values)).all():
        row = int(rows[int(np.argmin(good)) // width])
        raise _refused(
            column, first + row, str(source_type), "A number in it is NaN, infinite or too large for float32"
        )
    if column.needs_direction and not (directed := values.reshape(-1, width).any(axis=1)).all():
        row = int(rows[int(np.argmin(directed))])
        raise _refused(column, first + row, str(source_type), NO_DIRECTION)
    if len(rows) < len(array):
        spread = np.zeros((len(array), width), dtype="<f4")
        spread[rows] = values.reshape(-1, width)
        values = spread.ravel()
    return _vectors(values, valid, arrow_type(column.type))


_WHOLE: dict[tuple[Kind, str], Callable[[Column, ArrowArray, int], ArrowArray]] = {
    (Kind.INTEGER, "integer"): _integer_from_integer,
    (Kind.INTEGER, "real"): _integer_from_real,
    (Kind.INTEGER, "boolean"): _integer_from_boolean,
    (Kind.REAL, "integer"): _real_from_integer,
    (Kind.REAL, "real"): _real_from_real,
    (Kind.REAL, "boolean"): _real_from_boolean,
    (Kind.TEXT, "text"): _same,
    (Kind.BLOB, "blob"): _same,
    (Kind.BOOLEAN, "boolean"): _same,
    (Kind.BOOLEAN, "integer"): _boolean_from_integer,
    (Kind.TIMESTAMP, "time"): _timestamp_from_time,
    (Kind.JSON, "text"): _json_from_text,
    (Kind.FLOAT, "list"): _vector_from_list,
}


def _check_64_bits(column: Column, array: ArrowArray, first: int) -> None:
    if types.is_uint64(array.type):
        wrong = kernels().greater(array, pa.scalar(MAX_INTEGER, pa.uint64()))
        if kernels().any(wrong).as_py():
            row = _first(wrong)
            raise _refused(
                column, first + row, "INT", f"The value is {array[row]}, which does not fit 64 bits"
            )


def _without_nan(array: ArrowArray) -> ArrowArray:
    reals = array.cast(pa.float64())
    nan = kernels().is_nan(reals)
    return kernels().if_else(nan, None, reals) if kernels().any(nan).as_py() else reals


def _octets_from_list(column: Column, array: ArrowArray, first: int) -> ArrowArray:
    """Vectors of int8, or of bits eight at a time; anything else is looked at value by value."""
    target = arrow_type(column.type)
    if array.type != target:
        return pa.concat_arrays(_by_value(column, array.to_pylist(), first))
    valid = _valid(array)
    octets = np.where(valid[:, None], strings(array).data.reshape(len(array), -1), np.uint8(0))
    if column.needs_direction and not (directed := octets.any(axis=1) | ~valid).all():
        raise _refused(column, first + int(np.argmin(directed)), str(array.type), NO_DIRECTION)
    return _vectors(octets.view(vector_dtype(column.type)).ravel(), valid, target)


def _vectors(values: Any, valid: BoolArray, target: ArrowType) -> ArrowArray:
    mask = None if valid.all() else pa.array(~valid)
    return pa.FixedSizeListArray.from_arrays(pa.array(values), type=target, mask=mask)


def _valid(array: ArrowArray) -> BoolArray:
    mask: BoolArray = array.is_valid().to_numpy(zero_copy_only=False)
    return mask


def _first(truths: ArrowArray) -> int:
    """The place of the first true value."""
    return int(kernels().index(truths, True).as_py())


def _refused(column: Column, row: int, what: str, remedy: str) -> DataTypeError:
    return DataTypeError(
        f"cannot store {what} value in {column.type} column {column.name}", place=f"row {row}", remedy=remedy
    )
