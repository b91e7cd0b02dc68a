"""Arrow data of users in pieces that can be cast: checked, and of the layouts that Arrow's functions take."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowArray, ArrowType
from audiomem_sql.columns.column import Column
from audiomem_sql.errors import DataTypeError

_PIECE = 1 << 30  # bytes; string and binary arrays address at most 2 GiB


def pieces(column: Column, chunk: ArrowArray, first: int) -> Iterator[ArrowArray]:
    """The chunk, checked, without dictionaries and extensions, in parts that 32-bit offsets can address."""
    try:
        chunk.validate(full=True)
    except pa.ArrowException:
        _find_invalid_text(column, chunk, first)
        raise
    while True:
        if _is_rare(chunk.type):
            from audiomem_sql.columns.logical.plain_arrays import plain

            chunk = plain(chunk)
        elif _is_foreign(chunk.type):
            from audiomem_sql.columns.logical.opaque import without_opaque

            chunk = without_opaque(chunk)
        elif isinstance(chunk, pa.ExtensionArray):
            chunk = chunk.storage
        else:
            break
    if types.is_large_string(chunk.type) or types.is_large_binary(chunk.type):
        yield from _halves(chunk)
    else:
        yield chunk


def _is_rare(kind: ArrowType) -> bool:
    """Whether a type is a dictionary, a run-end encoding or a view, or has one in it."""
    coded = types.is_dictionary(kind) or types.is_run_end_encoded(kind) or str(kind).endswith("_view")
    if not (coded or types.is_nested(kind)):
        return False
    from audiomem_sql.columns.logical.plain_arrays import is_plain

    return not is_plain(kind)


def _is_foreign(kind: ArrowType) -> bool:
    """Whether a type is one of DuckDB's own, or has one in it."""
    if not (isinstance(kind, pa.BaseExtensionType) or types.is_nested(kind)):
        return False
    from audiomem_sql.columns.logical.opaque import has_opaque

    return has_opaque(kind)


def _halves(chunk: ArrowArray) -> Iterator[ArrowArray]:
    if chunk.nbytes <= _PIECE or len(chunk) < 2:
        yield chunk
    else:
        middle = len(chunk) // 2
        yield from _halves(chunk.slice(0, middle))
        yield from _halves(chunk.slice(middle))


def _find_invalid_text(column: Column, chunk: ArrowArray, first: int) -> None:
    texts = chunk.dictionary if types.is_dictionary(chunk.type) else chunk
    if types.is_string(texts.type):
        raw = texts.view(pa.binary())
    elif types.is_large_string(texts.type):
        raw = texts.view(pa.large_binary())
    elif str(texts.type) == "string_view":
        raw = texts.cast(pa.binary_view())
    else:
        return
    raw.validate(full=True)  # raises for what is worse than the text
    if types.is_dictionary(chunk.type):
        raw = raw.take(chunk.indices)
    for row, value in enumerate(raw.to_pylist()):
        try:
            if value is not None:
                value.decode()
        except UnicodeDecodeError:
            raise DataTypeError(
                f"cannot store TEXT value in {column.type} column {column.name}",
                place=f"row {first + row}",
                remedy="It is invalid UTF-8",
            ) from None
