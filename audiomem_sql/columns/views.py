"""Arrays of numpy that view arrays of Arrow, without copies and without ``pyarrow.compute``.

Slices are honoured. Where a row is NULL, numbers and byte ranges are whatever lies there: mask with
:func:`valid`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiomem_sql.arrays import BoolArray, F64Array, I64Array, U8Array

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Byte strings side by side: string i is ``data[starts[i]:ends[i]]``.

    data: uint8 (bytes,); starts, ends: int64 (n,), 0 <= starts <= ends <= bytes; starts never decrease, and
    no two strings overlap.
    """

    data: U8Array
    starts: I64Array
    ends: I64Array

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> I64Array:
        """Bytes in each string, int64 (n,)."""
        return self.ends - self.starts

    def take(self, rows: np.ndarray[Any, Any]) -> Strings:
        """The strings that a mask or rising indices select."""
        return Strings(self.data, self.starts[rows], self.ends[rows])

    def __getitem__(self, row: int) -> bytes:
        return self.data[self.starts[row] : self.ends[row]].tobytes()


def valid(array: pa.Array[Any]) -> BoolArray:
    """True where a row is not NULL, bool (n,)."""
    count = len(array)
    bitmap = array.buffers()[0]
    if array.null_count == 0 or bitmap is None:
        return np.ones(count, np.bool_)
    return _bits(bitmap, array.offset, count)


def truths(array: pa.Array[Any]) -> BoolArray:
    """A BOOLEAN array as bool (n,)."""
    count = len(array)
    buffer: Any = array.buffers()[1]
    return np.zeros(count, np.bool_) if not count or buffer is None else _bits(buffer, array.offset, count)


def integers(array: pa.Array[Any]) -> I64Array:
    """int64 (n,) of an INTEGER, TIMESTAMP (microseconds) or BOOLEAN (0 or 1) array."""
    count = len(array)
    buffer: Any = array.buffers()[1]
    if count == 0 or buffer is None:
        return np.zeros(count, np.int64)
    if str(array.type) == "bool":
        return _bits(buffer, array.offset, count).astype(np.int64)
    return np.frombuffer(buffer, np.int64, count, array.offset * 8)


def reals(array: pa.Array[Any]) -> F64Array:
    """float64 (n,) of a REAL array."""
    count = len(array)
    buffer: Any = array.buffers()[1]
    if count == 0 or buffer is None:
        return np.zeros(count, np.float64)
    return np.frombuffer(buffer, np.float64, count, array.offset * 8)


def not_a_number(array: pa.Array[Any]) -> BoolArray:
    """The rows of a REAL array that hold NaN, bool (n,)."""
    found: BoolArray = np.isnan(reals(array))
    return found & valid(array) if array.null_count else found


def dictionary_codes(array: pa.DictionaryArray) -> np.ndarray[Any, np.dtype[np.int32]]:
    """int32 (n,) of a dictionary array with int32 indices: the place of each row's value."""
    indices = array.indices
    count = len(indices)
    buffer: Any = indices.buffers()[1]
    return np.frombuffer(buffer, np.int32, count, indices.offset * 4) if count else np.zeros(0, np.int32)


def strings(array: pa.Array[Any]) -> Strings:
    """The bytes of a TEXT, JSON or BLOB array, or of the little-endian values of an array of vectors."""
    count = len(array)
    if hasattr(array.type, "list_size"):
        values: Any = array.values
        size = array.type.value_type.bit_width // 8
        width = array.type.list_size * size
        floats = _octets(values.buffers()[1] if count else None)
        first = array.offset * width + values.offset * size
        starts = np.arange(count, dtype=np.int64) * width
        return Strings(floats[first : first + count * width], starts, starts + width)
    buffers: list[Any] = array.buffers()
    if count == 0 or buffers[1] is None:
        return Strings(_octets(None), np.zeros(count, np.int64), np.zeros(count, np.int64))
    kind = np.int64 if str(array.type).startswith("large_") else np.int32
    size = np.dtype(kind).itemsize
    offsets: I64Array = np.frombuffer(buffers[1], kind, count + 1, array.offset * size).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    offsets -= first
    return Strings(_octets(buffers[2])[first:last], offsets[:-1], offsets[1:])


def prefixes(values: Strings, width: int) -> U8Array:
    """The first ``width`` bytes of each string, uint8 (n, width), zeros behind a shorter one."""
    columns = np.arange(width)
    if not len(values.data):
        return np.zeros((len(values), width), np.uint8)
    block = np.take(values.data, values.starts[:, None] + columns, mode="clip")
    block[columns >= values.lengths[:, None]] = 0
    return block


def _octets(buffer: Any) -> U8Array:
    return np.empty(0, np.uint8) if buffer is None or not buffer.size else np.frombuffer(buffer, np.uint8)


def _bits(bitmap: Any, offset: int, count: int) -> BoolArray:
    first = offset // 8
    octets = _octets(bitmap)[first : (offset + count + 7) // 8]
    return np.unpackbits(octets, bitorder="little")[offset - first * 8 :][:count].astype(np.bool_)
