"""Columns of polars as Arrow data, with integers of 128 bits at any depth, which Arrow does not have."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowArray, ArrowField
from audiomem_sql.errors import DataTypeError

#: Integers of polars that Arrow does not have.
_WIDE = ("Int128", "UInt128")


def arrow_of_series(series: Any) -> tuple[ArrowField, list[ArrowArray]]:
    """A column, and a field without a name. DataTypeError for types that Arrow does not have."""
    cause: Exception | None = None
    if str(series.dtype) != "Object":  # whose Arrow form are addresses in memory
        try:
            made = _wide(series) if _has_wide(series.dtype) else series.to_arrow()
            chunks = made.chunks if isinstance(made, pa.ChunkedArray) else [made]
            return pa.field("", made.type), chunks
        except Exception as error:  # polars and pyarrow each have errors of their own for it
            cause = error
    raise DataTypeError(
        f"column {series.name} of type {series.dtype} cannot be read as Arrow"
        + (f": {cause}" if cause else ""),
        remedy="Cast the column, or leave it out",
    ) from cause


def _children(dtype: Any) -> list[Any]:
    """The types inside of a List, an Array or a Struct."""
    if hasattr(dtype, "fields"):
        return [field.dtype for field in dtype.fields]
    inner = getattr(dtype, "inner", None)
    return [] if inner is None else [inner]


def _has_wide(dtype: Any) -> bool:
    return str(dtype) in _WIDE or any(map(_has_wide, _children(dtype)))


def _wide(series: Any) -> Any:
    """By way of their digits, in the form in which DuckDB hands over HUGEINT and UHUGEINT."""
    from audiomem_sql.columns.logical.plain_arrays import plain

    texts = plain(series.cast(_with_texts(series.dtype)).to_arrow())
    return _with_numbers(series.dtype, texts)


def _with_texts(dtype: Any) -> Any:
    pl: Any = sys.modules["polars"]  # which made the column
    if str(dtype) in _WIDE:
        return pl.String
    children = [_with_texts(child) for child in _children(dtype)]
    if isinstance(dtype, pl.Struct):
        return pl.Struct(dict(zip([field.name for field in dtype.fields], children, strict=True)))
    if isinstance(dtype, pl.Array):
        return pl.Array(children[0], dtype.size)
    return pl.List(children[0]) if isinstance(dtype, pl.List) else dtype


def _with_numbers(dtype: Any, array: Any) -> Any:
    from audiomem_sql.columns.logical.opaque import wide_integers

    if not _has_wide(dtype):
        return array
    if str(dtype) in _WIDE:
        return wide_integers(array.to_pylist(), signed=str(dtype) == "Int128")
    children, mask = _children(dtype), array.is_null()
    if types.is_struct(array.type):
        made = [_with_numbers(*pair) for pair in zip(children, array.flatten(), strict=True)]
        return pa.StructArray.from_arrays(made, [field.name for field in array.type], mask=mask)
    if types.is_fixed_size_list(array.type):
        size = array.type.list_size
        items = _with_numbers(children[0], array.values.slice(array.offset * size, len(array) * size))
        return pa.FixedSizeListArray.from_arrays(items, size, mask=mask)
    offsets = pa.array(array.offsets.to_numpy())
    return type(array).from_arrays(offsets, _with_numbers(children[0], array.values), mask=mask)
