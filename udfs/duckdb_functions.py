"""The scalar functions for DuckDB: the names and results of SQLite's, worked out for whole Arrow arrays.

A vector may be FLOAT[n] or a list of numbers, a blob of float32, or a JSON array. DuckDB has one Python
function of a name, so each takes any number of arguments of any type, and looks at them itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, F64Array
from audiomem_sql.errors import DataTypeError
from audiomem_sql.search import vector_of
from audiomem_sql.udfs import about, meaning, vectors, words
from audiomem_sql.udfs.function import INTEGER, REAL, TEXT, VECTOR, Function


def register(connection: Any) -> None:
    """Make the functions known to a DuckDB connection; those that it knows by these names are replaced."""
    for name, (function, returned) in _functions().items():
        replace_function(connection, name, function, returned)
    # a function of Python has arguments
    connection.execute(f"CREATE OR REPLACE TEMP MACRO audiomem_version() AS '{about.audiomem_version()}'")


#: DuckDB's types of results.
_TYPES = {TEXT: "VARCHAR", VECTOR: "FLOAT[]", REAL: "DOUBLE", INTEGER: "BIGINT"}
_ARROW_TYPES = {TEXT: pa.string(), REAL: pa.float64(), INTEGER: pa.int64()}


@cache
def _functions() -> dict[str, tuple[Callable[..., Any], str]]:
    """The functions and what they return, made once.

    A connection that is closed leaves its functions to the others of its database, but lets go of what Python
    gave it.
    """
    made: dict[str, tuple[Callable[..., Any], str]] = {}
    for function in (*meaning.FUNCTIONS, *vectors.FUNCTIONS, *words.FUNCTIONS):
        call = _CALLS.get(function.name) or _each(function)
        made[function.name] = call, _TYPES[function.returns]
    return made


def replace_function(
    connection: Any, name: str, function: Callable[..., Any], returned: str, *, is_volatile: bool = False
) -> None:
    """Register a function of Arrow arrays, in place of one that was registered before.

    One that another connection to the same database registered stays: it belongs to all of them. Whoever
    calls this keeps ``function`` alive, see :func:`_functions`. is_volatile: the same arguments may give
    something else the next time.
    """
    import duckdb

    with contextlib.suppress(duckdb.Error):  # there was none
        connection.remove_function(name)
    with contextlib.suppress(duckdb.CatalogException):
        connection.create_function(
            name, function, None, returned, type="arrow", null_handling="special", side_effects=is_volatile
        )


def _each(function: Function) -> Callable[..., Any]:
    """``function`` called row by row, once for rows that follow on each other and are the same."""

    def called(*arguments: Any) -> Any:
        if len(arguments) not in function.counts:
            raise _wrong_count(function.name, len(arguments))
        out: list[Any] = []
        before: tuple[Any, ...] | None = None
        for row in zip(*(_values(_array(argument)) for argument in arguments), strict=True):
            out.append(out[-1] if row == before else function.call(*row))
            before = row
        return _vectors(out) if function.returns == VECTOR else pa.array(out, _ARROW_TYPES[function.returns])

    called.__name__ = function.name
    return called


def _embed(*arguments: Any) -> Any:
    """Vectors of texts, those that are the same once."""
    if len(arguments) not in (1, 2, 3):
        raise _wrong_count("embed", len(arguments))
    return _vectors(meaning.embed_many(*(_array(argument).to_pylist() for argument in arguments)))


def _vectors(blobs: Sequence[bytes | None]) -> Any:
    """FLOAT[] of blobs of float32."""
    sizes = [0 if blob is None else len(blob) // 4 for blob in blobs]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    numbers = np.frombuffer(b"".join(blob for blob in blobs if blob is not None), "<f4")
    absent = pa.array([blob is None for blob in blobs], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(numbers, pa.float32()), mask=absent)


def _distance(
    name: str,
    function: Callable[[object, object], float | None],
    whole: Callable[[F64Array, F64Array], F64Array],
) -> Callable[..., Any]:
    """A distance of two vectors: at once where all have one length, otherwise row by row."""

    def called(*arguments: Any) -> Any:
        if len(arguments) != 2:
            raise _wrong_count(name, len(arguments))
        left, right = (_array(argument) for argument in arguments)
        a, b = _matrix(left), _matrix(right)
        if a is None or b is None or a[0].shape[1] != b[0].shape[1]:
            rows = zip(_values(left), _values(right), strict=True)
            return pa.array([function(*row) for row in rows], pa.float64())
        there = a[1] & b[1]
        out = np.full(len(there), np.nan)
        out[there] = whole(a[0][there], b[0][there])
        return pa.array(out, pa.float64(), mask=np.isnan(out))

    called.__name__ = name
    return called


def _cosine(a: F64Array, b: F64Array) -> F64Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        distances: F64Array = np.where(lengths == 0, np.nan, 1.0 - np.einsum("ij,ij->i", a, b) / lengths)
    return distances


def _l2(a: F64Array, b: F64Array) -> F64Array:
    distances: F64Array = np.linalg.norm(a - b, axis=1)
    return distances


def _array(argument: Any) -> Any:
    return argument.combine_chunks() if isinstance(argument, pa.ChunkedArray) else argument


def _is_numbers(arrow: Any) -> bool:
    return bool(pa.types.is_floating(arrow) or pa.types.is_integer(arrow) or pa.types.is_decimal(arrow))


def _is_vector(arrow: Any) -> bool:
    lists = (pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)
    return any(of(arrow) for of in lists) and _is_numbers(arrow.value_type)


def _matrix(array: Any) -> tuple[F64Array, BoolArray] | None:
    """float64 (n, width), and the rows that are not NULL, bool (n,); None where the lengths differ."""
    there = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    count = len(array)
    if not there.any():
        return None
    if _is_vector(array.type):
        present = array.filter(pa.array(there))
        flat = present.flatten()
        width, rest = divmod(len(flat), len(present))
        if flat.null_count or rest or not width:
            return None
        if not pa.types.is_fixed_size_list(array.type) and set(
            present.value_lengths().unique().to_pylist()
        ) != {width}:
            return None
        numbers = flat.cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(-1, width)
        if not np.isfinite(numbers).all():
            raise DataTypeError("a vector is a flat list of finite numbers")
    else:
        encoded = array.drop_null().dictionary_encode()
        rows = [vector_of(value) for value in encoded.dictionary.to_pylist()]
        if len({len(row) for row in rows}) != 1 or not len(rows[0]):
            return None
        numbers = np.stack(rows)[encoded.indices.to_numpy()]
    out = np.zeros((count, numbers.shape[1]), np.float64)
    out[there] = numbers
    return out, there


def _values(array: Any) -> list[Any]:
    """Python values as SQL has them: a vector as a blob."""
    if not _is_vector(array.type):
        return list(array.to_pylist())
    return [
        None if row is None else np.array(row, np.float32).astype("<f4").tobytes()
        for row in array.to_pylist()
    ]


def _wrong_count(name: str, count: int) -> DataTypeError:
    return DataTypeError(f"{name} does not take {count} arguments")


#: Those that are worked out for whole arrays.
_CALLS: dict[str, Callable[..., Any]] = {
    "embed": _embed,
    "cosine_distance": _distance("cosine_distance", vectors.cosine_distance, _cosine),
    "l2_distance": _distance("l2_distance", vectors.l2_distance, _l2),
}
