"""Arrays of single values, in Arrow's form and in the stored one; ``node`` says what is stored.

Both directions work on whole arrays; only TIMETZ, BIT and BIGNUM, whose form in Arrow is text, go value by
value. A value that its type cannot hold raises ValueError, and an Arrow error where Arrow finds it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.kernels import kernels
from audiomem_sql.columns.logical import parsing
from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.views import strings, valid

_TURN = 1 << 63
_DAY_NANOS = 86_400_000_000_000
_BY_VALUE = ("TIMETZ", "BIT", "BIGNUM")


def stored_type(node: Node) -> pa.DataType:
    """The Arrow type of the stored form."""
    if node.name == "ENUM":
        return pa.string()
    return pa.int64() if node.is_integer else pa.binary()


def to_stored(node: Node, array: Any) -> Any:
    """The stored form of an array of ``arrow_of(node)``."""
    if node.name == "ENUM":
        return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    if node.name in _BY_VALUE:
        parse = parsing.PARSERS[node.name]
        made = [None if text is None else parse(node, text) for text in array.to_pylist()]
        return pa.array(made, stored_type(node))
    there = valid(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if stored_type(node) == pa.int64():
        return _with_nulls(_integers(node, array), there)
    return _binary(_words(node, array), there)


def from_stored(node: Node, array: Any) -> Any:
    """The inverse."""
    target = arrow_of(node)
    if node.name == "ENUM":
        kinds = pa.array(node.words, pa.string())
        places = kernels().index_in(array, kinds)
        if places.null_count > array.null_count:
            raise ValueError("a text is none of the values of the ENUM")
        return pa.DictionaryArray.from_arrays(places, kinds, ordered=True)
    if node.name in _BY_VALUE:
        show = parsing.SHOWERS[node.name]
        return pa.array([None if value is None else show(value) for value in array.to_pylist()], pa.string())
    there = valid(array)
    if stored_type(node) == pa.int64():
        return _from_integers(node, array, there, target)
    words = np.zeros((len(array), node.bytes), np.uint8)
    found = strings(array)
    if not (found.lengths[there] == node.bytes).all():
        raise ValueError(f"a {node} has {node.bytes} bytes")
    if there.any():
        starts = found.starts[there]
        words[there] = found.data[starts[:, None] + np.arange(node.bytes)]
    return _from_words(node, words, there, target)


# -- integers ------------------------------------------------------------------------------------------------


def _integers(node: Node, array: Any) -> Any:
    if node.name == "DECIMAL":
        return _raw(array, np.dtype("<i8"), 2)[:, 0]
    if node.name == "UBIGINT":
        return (_raw(array, np.dtype("<u8"), 1)[:, 0] ^ np.uint64(_TURN)).view(np.int64)
    width = array.type.bit_width // 8
    return _raw(array, np.dtype(f"<i{width}"), 1)[:, 0].astype(np.int64)


def _from_integers(node: Node, array: Any, there: BoolArray, target: Any) -> Any:
    numbers = np.where(there, _raw(array, np.dtype("<i8"), 1)[:, 0], 0)
    made: Any
    if node.name == "DECIMAL":
        made = np.empty((len(numbers), 2), np.int64)
        made[:, 0], made[:, 1] = numbers, numbers >> 63
    elif node.name == "UBIGINT":
        made = numbers.view(np.uint64) ^ np.uint64(_TURN)
    elif target.bit_width == 32:
        made = numbers.astype(np.int32)
        if not (made == numbers).all():
            raise ValueError(f"a {node} is out of range")
    else:
        made = numbers
    return _made(target, made, there)


# -- bytes ---------------------------------------------------------------------------------------------------


def _words(node: Node, array: Any) -> Any:
    """The bytes of each value, uint8 (n, bytes), in the order of the values."""
    width = node.bytes
    if node.name == "UUID":
        return _raw(array, np.dtype("u1"), 16)
    if node.name == "INTERVAL":
        return _interval_words(_raw(array, np.dtype("u1"), 16))
    raw = _raw(array, np.dtype("u1"), array.type.bit_width // 8)
    if node.name in ("HUGEINT", "UHUGEINT"):
        fill = np.zeros(len(raw), np.uint8)
        if node.name == "HUGEINT":
            fill = np.where(raw[:, 15] & 128, 255, 0).astype(np.uint8)
        fits = (raw[:, 16:] == fill[:, None]).all(axis=1) | ~valid(array)
        if not fits.all():
            raise ValueError(f"row {int(np.argmin(fits))} is out of the range of {node}")
        raw = raw[:, :16]
    made = raw[:, :width][:, ::-1].copy()
    if node.name != "UHUGEINT":
        made[:, 0] ^= 128
    return made


def _from_words(node: Node, words: Any, there: BoolArray, target: Any) -> Any:
    if node.name == "UUID":
        storage = _made(pa.binary(16), words, there)
        return pa.ExtensionArray.from_storage(target, storage)
    if node.name == "INTERVAL":
        made = np.empty((len(words), 16), np.uint8)
        made[:, :4] = _turned(words[:, 16:20])
        made[:, 4:8] = _turned(words[:, 20:24])
        made[:, 8:] = _turned(words[:, 24:32])
        return _made(target, made, there)
    made = words[:, ::-1].copy()
    if node.name != "UHUGEINT":
        made[:, -1] ^= 128
    if node.name in ("HUGEINT", "UHUGEINT"):
        fill = np.where(made[:, 15] & 128, 255, 0).astype(np.uint8) * (node.name == "HUGEINT")
        made = np.concatenate([made, np.repeat(fill.astype(np.uint8)[:, None], 16, axis=1)], axis=1)
    return _made(target, made, there)


def _interval_words(raw: Any) -> Any:
    """Days, where a month has 30, and the rest in nanoseconds; then months, days and nanoseconds."""
    months = raw[:, :4].copy().view("<i4")[:, 0].astype(np.int64)
    days = raw[:, 4:8].copy().view("<i4")[:, 0].astype(np.int64)
    nanos = raw[:, 8:16].copy().view("<i8")[:, 0]
    whole, rest = np.divmod(nanos, _DAY_NANOS)
    made = np.empty((len(raw), 32), np.uint8)
    made[:, :8] = _big(months * 30 + days + whole)
    made[:, 8:16] = _big(rest)
    made[:, 16:20] = _big(months.astype(np.int32))
    made[:, 20:24] = _big(days.astype(np.int32))
    made[:, 24:] = _big(nanos)
    return made


def _big(numbers: Any) -> Any:
    """Integers as big-endian bytes whose highest bit is turned, uint8 (n, bytes)."""
    raw = np.ascontiguousarray(numbers).astype(numbers.dtype.newbyteorder(">")).view(np.uint8)
    raw = raw.reshape(len(numbers), numbers.dtype.itemsize)
    raw[:, 0] ^= 128
    return raw


def _turned(raw: Any) -> Any:
    """The inverse, little-endian, uint8 (n, bytes)."""
    made = raw[:, ::-1].copy()
    made[:, -1] ^= 128
    return made


def _raw(array: Any, dtype: np.dtype[Any], items: int) -> Any:
    """The buffer of values, (n, items); zeros where there is none."""
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros((len(array), items), dtype)
    start = array.offset * items * dtype.itemsize
    values = np.frombuffer(buffer, dtype, len(array) * items, start).reshape(len(array), items)
    there = valid(array)
    return values if there.all() else np.where(there[:, None], values, np.zeros(1, dtype))


def _with_nulls(numbers: Any, there: BoolArray) -> Any:
    return _made(pa.int64(), numbers, there)


def _made(target: Any, values: Any, there: BoolArray) -> Any:
    nulls = len(there) - int(there.sum())
    validity = pa.py_buffer(np.packbits(there, bitorder="little")) if nulls else None
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(target, len(there), [validity, buffer], nulls)


def _binary(words: Any, there: BoolArray) -> Any:
    """Values of one length; a NULL has none."""
    nulls = len(there) - int(there.sum())
    offsets = np.zeros(len(there) + 1, np.int32)
    np.cumsum(there * np.int32(words.shape[1]), out=offsets[1:])
    data = words[there] if nulls else words
    validity = pa.py_buffer(np.packbits(there, bitorder="little")) if nulls else None
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(there), buffers, nulls)
