"""What becomes of a value on its way into a column: kept, converted, or refused.

The rules are those of SQLite's STRICT tables (https://www.sqlite.org/stricttables.html): a value is converted
by the affinity of its column if nothing is lost, and refused otherwise. The four types of this package that
SQLite lacks have rules of the same kind; ``types`` lists what is stored for each.

| column    | besides NULL, accepts                                                                        |
|-----------|----------------------------------------------------------------------------------------------|
| INTEGER   | integers of 64 bits, reals without fraction, text that reads as either                       |
| REAL      | reals, NaN, infinities and -0.0 among them; integers, text that reads as a number            |
| TEXT      | text; numbers become their SQLite text                                                       |
| BLOB      | bytes                                                                                        |
| BOOLEAN   | true and false, 0 and 1, 0.0 and 1.0, the texts '0', '1', 'true', 'false' in any case        |
| TIMESTAMP | text and date objects, see ``timestamps``; no numbers                                        |
| JSON      | text that is JSON (RFC 8259); numbers, truth values, dicts and lists are written as JSON     |
| FLOAT[n]  | 4n bytes, float32 little-endian; a JSON array, list or numpy array of n numbers, all finite  |
| INT8[n]   | n bytes; a JSON array, list or numpy array of n integers from -128 to 127                   |
| BIT[n]    | n / 8 bytes; n digits 0 or 1 as text, or a JSON array, list or numpy array of them          |
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from audiomem_sql.columns import timestamps
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.numeric_text import (
    MAX_INTEGER,
    MIN_INTEGER,
    numeric_text,
    real_as_integer,
    real_text,
)
from audiomem_sql.columns.packed_vectors import packed_vector
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import FLOAT32, Kind
from audiomem_sql.errors import ConstraintError, DataTypeError

__all__ = [
    "Converter",
    "StoredValue",
    "check_not_null",
    "compile_converters",
    "convert",
    "converter",
    "not_null_failed",
    "numeric_text",
    "real_text",
]

#: What a column holds: ``types`` says which for each kind. BOOLEAN is a bool, TIMESTAMP an int, FLOAT[n]
#: bytes.
StoredValue: TypeAlias = bool | int | float | str | bytes | None
#: From any Python value to what its column holds. Raises DataTypeError.
Converter: TypeAlias = Callable[[object], StoredValue]

#: Of a vector of zeros in an index by cosine.
NO_DIRECTION = "A vector of zeros has no direction, which metric=cosine compares; write NULL"
NOT_NULL_FAILED = "NOT NULL constraint failed: "
_NULLS = ("NAType", "NaTType")  # pandas.NA, pandas.NaT
_TRUTHS = {"0": False, "1": True, "false": False, "true": True}


def convert(value: object, column: Column) -> StoredValue:
    """The value that ``column`` stores for ``value``.

    Raises DataTypeError, naming the column. NULL passes.
    """
    return converter(column)(value)


def compile_converters(schema: Schema) -> list[Converter]:
    """One function per column, quick where a value already is what the column holds."""
    return [converter(column) for column in schema.columns]


def check_not_null(value: object, column: Column) -> None:
    """Raise ConstraintError if ``value`` is NULL and must not be. A rowid may: NULL asks for the next one."""
    if value is None and column.not_null and not column.is_rowid:
        raise not_null_failed(column)


def not_null_failed(column: Column, row: int | None = None) -> ConstraintError:
    """The error of a NULL; ``error.what`` is SQLite's wording, with the column's name but not the table's."""
    return ConstraintError(f"{NOT_NULL_FAILED}{column.name}", place=f"row {row}" if row is not None else None)


def converter(column: Column) -> Converter:
    """The function that converts values for ``column``."""
    if column.type.logical is not None:
        return partial(_never_null, partial(_logical, column))
    slow = partial(_SLOW[column.type.kind], column)
    quick = _QUICK.get(column.type.kind)
    return quick(slow) if quick else partial(_never_null, slow)


# --- the usual cases ----------------------------------------------------------------------------------------


def _quick_integer(slow: Converter) -> Converter:
    def convert_integer(value: object) -> StoredValue:
        if type(value) is int and MIN_INTEGER <= value <= MAX_INTEGER:
            return value
        return None if value is None else slow(value)

    return convert_integer


def _quick_real(slow: Converter) -> Converter:
    def convert_real(value: object) -> StoredValue:
        if type(value) is float:
            return value
        return None if value is None else slow(value)

    return convert_real


def _quick_text(slow: Converter) -> Converter:
    def convert_text(value: object) -> StoredValue:
        if type(value) is str:
            try:
                return value if value.isascii() or value.encode() else None
            except UnicodeEncodeError:
                return slow(value)
        return None if value is None else slow(value)

    return convert_text


def _quick_blob(slow: Converter) -> Converter:
    def convert_blob(value: object) -> StoredValue:
        if type(value) is bytes or value is None:
            return value
        return slow(value)

    return convert_blob


def _quick_boolean(slow: Converter) -> Converter:
    def convert_boolean(value: object) -> StoredValue:
        if value is True or value is False or value is None:
            return value
        return slow(value)

    return convert_boolean


def _never_null(slow: Converter, value: object) -> StoredValue:
    return None if value is None else slow(value)


_QUICK: dict[Kind, Callable[[Converter], Converter]] = {
    Kind.INTEGER: _quick_integer,
    Kind.REAL: _quick_real,
    Kind.TEXT: _quick_text,
    Kind.BLOB: _quick_blob,
    Kind.BOOLEAN: _quick_boolean,
}


# --- all cases ----------------------------------------------------------------------------------------------


def _plain(column: Column, value: object) -> Any:
    """One of SQLite's five, None int float str bytes, or the object itself if it is none of them."""
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise _refused(column, value, "It does not fit 64 bits")
        return int(value)
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _refused(column, value, "It is invalid UTF-8: a surrogate stands alone") from None
        return str(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if type(value).__name__ in _NULLS or (isinstance(value, np.datetime64) and np.isnat(value)):
        return None
    return value


def _refused(column: Column, value: object, remedy: str | None = None) -> DataTypeError:
    """SQLite's wording: cannot store TEXT value in INTEGER column year."""
    name = next((name for kind, name in _CLASSES if isinstance(value, kind)), type(value).__name__)
    return DataTypeError(f"cannot store {name} value in {column.type} column {column.name}", remedy=remedy)


_CLASSES = ((int, "INT"), (float, "REAL"), (str, "TEXT"), (bytes, "BLOB"))


def _shown(value: object) -> str:
    text = ascii(value)
    return f"The value is {text if len(text) <= 60 else text[:59] + '…'}"


def _integer(column: Column, original: object) -> StoredValue:
    value = _plain(column, original)
    if isinstance(value, str):
        number = numeric_text(value)
        value = value if number is None else number
    if isinstance(value, float):
        integer = real_as_integer(value)
        if integer is None and column.is_rowid and value == original == MIN_INTEGER:
            integer = MIN_INTEGER  # SQLite takes it for a rowid, and not for another INTEGER or as text
        value = value if integer is None else integer
    if value is None or isinstance(value, int):
        return value if value is None else int(value)
    raise _refused(column, value, _shown(original))


def _real(column: Column, original: object) -> StoredValue:
    if isinstance(original, float | np.floating) and original != original:
        return float(original)  # NaN, which other types take for NULL
    value = _plain(column, original)
    if isinstance(value, str):
        number = numeric_text(value)
        value = value if number is None else number
    if isinstance(value, int | float):
        return float(value)
    if value is None:
        return None
    raise _refused(column, value, _shown(original))


def _text(column: Column, original: object) -> StoredValue:
    value = _plain(column, original)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return real_text(value)
    raise _refused(column, value)


def _blob(column: Column, original: object) -> StoredValue:
    value = _plain(column, original)
    if value is None or isinstance(value, bytes):
        return value
    raise _refused(column, value)


def _boolean(column: Column, original: object) -> StoredValue:
    value = _plain(column, original)
    if value is None:
        return None
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and (truth := _TRUTHS.get(value.lower())) is not None:
        return truth
    raise _refused(column, value, _shown(original))


def _timestamp(column: Column, original: object) -> StoredValue:
    value = _plain(column, original)
    if value is None:
        return None
    if isinstance(value, str | date | np.datetime64 | int | float):
        try:
            return timestamps.parse(value)
        except DataTypeError as error:
            remedy = f"{error.what[0].upper()}{error.what[1:]}"
            raise _refused(column, value, f"{remedy}. {error.remedy}" if error.remedy else remedy) from None
    raise _refused(column, value)


def _json(column: Column, original: object) -> StoredValue:
    value = _plain(column, original)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            _CHECK_JSON.decode(value)
        except (ValueError, RecursionError) as error:
            why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise _refused(column, value, f"The text is not JSON: {why}") from None
        return value
    if isinstance(value, bool | int | float | dict | list | tuple):
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            text.encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise _refused(column, value, f"The value cannot be written as JSON: {error}") from None
        return text
    raise _refused(column, value)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


# numbers are not looked at: a valid one may be too long for Python's int
_CHECK_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
_VECTOR_JSON = json.JSONDecoder(parse_int=float, parse_constant=_refuse_constant)


def _vector(column: Column, original: object) -> StoredValue:
    value = original if isinstance(original, np.ndarray) else _plain(column, original)
    if value is None:
        return None
    width = column.type.width
    if isinstance(value, bytes):
        if len(value) != 4 * width:
            raise _refused(column, value, f"It has {len(value)} bytes, and {4 * width} are needed")
        vector = np.frombuffer(value, dtype="<f4")
    else:
        numbers: Any = value
        if isinstance(value, str):
            try:
                numbers = _VECTOR_JSON.decode(value)
            except (ValueError, RecursionError):
                numbers = None
        if isinstance(numbers, list | tuple):
            numeric = all(
                isinstance(number, int | float | np.number) and not isinstance(number, bool)
                for number in numbers
            )
        else:
            numeric = isinstance(numbers, np.ndarray) and numbers.ndim == 1 and numbers.dtype.kind in "iuf"
        if not numeric:
            raise _refused(column, value, f"Write {width} numbers as a JSON array, a list or a float32 blob")
        if len(numbers) != width:
            raise _refused(column, value, f"It has {len(numbers)} numbers, and {width} are needed")
        try:
            with np.errstate(over="ignore"):
                vector = np.asarray(numbers, dtype="<f4")
        except OverflowError:
            raise _refused(column, value, "A number in it is too large for float32") from None
    if not np.isfinite(vector).all():
        raise _refused(column, value, "A number in it is NaN, infinite or too large for float32")
    if column.needs_direction and not vector.any():
        raise _refused(column, value, NO_DIRECTION)
    return value if isinstance(value, bytes) else vector.tobytes()


def _logical(column: Column, original: object) -> StoredValue:
    from audiomem_sql.columns.logical.casting import stored_of_value  # it imports pyarrow

    assert column.type.logical is not None
    try:
        return stored_of_value(column.type.logical, original)  # type: ignore[no-any-return]
    except (ValueError, OverflowError, TypeError, KeyError, RecursionError) as error:
        raise _refused(column, original, f"{_shown(original)}: {error}") from None


def _vector_or_octets(column: Column, original: object) -> StoredValue:
    return (_vector if column.type.element == FLOAT32 else _octets)(column, original)


def _octets(column: Column, original: object) -> StoredValue:
    """A vector of int8, or of bits."""
    value = original if isinstance(original, np.ndarray) else _plain(column, original)
    if value is None:
        return None
    try:
        stored = packed_vector(value, column.type)
    except DataTypeError as error:
        raise _refused(column, value, error.what) from None
    if column.needs_direction and not any(stored):
        raise _refused(column, value, NO_DIRECTION)
    return stored


_SLOW: dict[Kind, Callable[[Column, object], StoredValue]] = {
    Kind.INTEGER: _integer,
    Kind.REAL: _real,
    Kind.TEXT: _text,
    Kind.BLOB: _blob,
    Kind.BOOLEAN: _boolean,
    Kind.TIMESTAMP: _timestamp,
    Kind.JSON: _json,
    Kind.FLOAT: _vector_or_octets,
}
