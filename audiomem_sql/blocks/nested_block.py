"""A block of lists, structs or maps, whose items are stored by column: one part for each node of the type.

Behind the validity bitmap of the block come the parts in the order of the type's tree, each a run of values
as a block of its own has them: u8 encoding, u32 NULLs, u32 bytes, then the bytes. Of each node there are

    LIST, MAP            the lengths as INTEGERS, NULL where there is none; then the parts of the items
    ARRAY, STRUCT        one BITS value each, NULL where there is none; then the parts of what is inside
    HALF, FLOAT, DOUBLE  BITS as above; u32 0, then all numbers as byte planes, zeros for NULL; or u32 how
                         many are distinct, these as byte planes, and a code each, of 1, 2 or 4 bytes
    others               the values, as a column of that type stores them
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.blocks.byte_planes import from_planes, to_planes, width_of
from audiomem_sql.blocks.strings import string_buffers
from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.fixed import from_stored, to_stored
from audiomem_sql.columns.logical.nested import decode_nested, encode_nested
from audiomem_sql.columns.logical.node import ITEMS, Node
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type, stored_kind
from audiomem_sql.columns.views import valid
from audiomem_sql.errors import DamagedFileError, LimitError

_HEADER = struct.Struct("<BII")
#: Numbers among which no equal ones are looked for.
_FEW = 16
#: What the nodes of a block hold together at most: elements, and bytes of them in memory.
MAX_ELEMENTS, MAX_BYTES = 1 << 27, 1 << 30
_FLOATS = {"HALF": "<f2", "FLOAT": "<f4", "DOUBLE": "<f8"}
_KINDS = {"BOOLEAN": Kind.BOOLEAN, "VARCHAR": Kind.TEXT, "JSON": Kind.TEXT, "BLOB": Kind.BLOB}
_INTEGER, _BITS = ColumnType(Kind.INTEGER), ColumnType(Kind.BOOLEAN)
#: Encode an array as a block, and the inverse; see ``encoding``.
Encode = Callable[[Any, ColumnType], tuple[int, bytes]]
Decode = Callable[[int, bytes, int, int, ColumnType], Any]


def encode_block(node: Node, cells: pa.Array, encode: Encode) -> bytes:
    """The parts of the values of a stored array that are not NULL.

    LimitError for more than a block may hold.
    """
    there = valid(cells)
    values = decode_nested(node, cells if there.all() else cells.filter(pa.array(there)))
    parts: list[bytes] = []
    _Writer(parts, encode).element(node, values)
    return b"".join(parts)


def decode_block(node: Node, data: bytes, start: int, there: BoolArray, decode: Decode) -> pa.Array:
    """The stored array (n,) whose parts begin at ``start``. DamagedFileError for bytes that are none.

    there: which of its rows are not NULL, bool (n,).
    """
    reader = _Reader(data, start, decode)
    try:
        values = reader.element(node, int(there.sum()))
        cells = encode_nested(node, values)
    except (ValueError, IndexError, OverflowError, struct.error, pa.ArrowException) as error:
        raise DamagedFileError(f"a block of nested values contradicts itself: {error}") from None
    if reader.at != len(data):
        raise DamagedFileError("a block of nested values has the wrong length")
    if there.all():
        return cells
    places = np.cumsum(there) - 1
    return cells.take(pa.array(np.where(there, places, 0), mask=~there))


class _Budget:
    """What the nodes of a block hold, counted alike where it is written and where it is read.

    All but the bytes of texts and blobs is counted before memory is taken for it: NULLs take bytes, too.
    """

    def __init__(self) -> None:
        self.elements = self.bytes = 0

    def take(self, node: Node, count: int) -> bool:
        """Count the elements of a node; False if there is no room for them."""
        self.elements += count
        return self.take_bytes(count * _width(node))

    def take_bytes(self, size: int) -> bool:
        self.bytes += size
        return self.elements <= MAX_ELEMENTS and self.bytes <= MAX_BYTES


class _Writer:
    def __init__(self, parts: list[bytes], encode: Encode) -> None:
        self._parts = parts
        self._encode = encode
        self._budget = _Budget()

    def element(self, node: Node, array: Any) -> None:
        self._check(self._budget.take(node, len(array)))
        if node.name == "NULL":
            return
        if node.name in ("LIST", "MAP"):
            offsets = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, 4 * array.offset)
            lengths = np.diff(offsets).astype(np.int64)
            self._part(pa.array(lengths, mask=~valid(array)), _INTEGER)
            children = (array.keys, array.items) if node.name == "MAP" else (array.values,)
            for child, items in zip(node.children, children, strict=True):
                self.element(child, items)
        elif node.name in ("ARRAY", "STRUCT"):
            self._marks(array)
            inside = range(len(node.children))
            fields = [array.values] if node.name == "ARRAY" else [array.field(number) for number in inside]
            for child, items in zip(node.children, fields, strict=True):
                self.element(child, items)
        elif node.name in _FLOATS:
            self._marks(array)
            dtype = np.dtype(_FLOATS[node.name])
            raw = np.frombuffer(array.buffers()[1] or b"", dtype, len(array), array.offset * dtype.itemsize)
            numbers = np.where(valid(array), raw, 0).astype(dtype)
            self._parts.append(_pack_floats(numbers.view(f"<u{dtype.itemsize}")))
        else:
            stored = _stored(node, array)
            self._check(self._budget.take_bytes(_content(stored)))
            self._part(stored, _leaf_type(node))

    def _check(self, has_room: bool) -> None:
        if not has_room:
            raise LimitError(
                f"nested values that are stored together have more than {MAX_ELEMENTS:,} items, or 1 GiB",
                remedy="Divide them over several rows; of a T[n] that is NULL inside of another type count n",
            )

    def _marks(self, array: Any) -> None:
        self._part(pa.array(np.ones(len(array), np.bool_), mask=~valid(array)), _BITS)

    def _part(self, array: Any, kind: ColumnType) -> None:
        encoding, data = self._encode(array, kind)
        self._parts += (_HEADER.pack(encoding, array.null_count, len(data)), data)


class _Reader:
    def __init__(self, data: bytes, at: int, decode: Decode) -> None:
        self._data = data
        self.at = at
        self._decode = decode
        self._budget = _Budget()

    def element(self, node: Node, count: int) -> Any:
        _check(self._budget.take(node, count))
        target = arrow_of(node)
        if node.name == "NULL":
            return pa.nulls(count)
        if node.name in ("LIST", "MAP"):
            return self._lists(node, target, count)
        if node.name in ("ARRAY", "STRUCT"):
            there = self._marks(count)
            many = count * (node.numbers[0] if node.name == "ARRAY" else 1)
            children = [self.element(child, many) for child in node.children]
            return pa.Array.from_buffers(target, count, [_bits(there)], children=children)
        if node.name in _FLOATS:
            there = self._marks(count)
            numbers = self._floats(count, np.dtype(_FLOATS[node.name]).itemsize)
            return pa.Array.from_buffers(target, count, [_bits(there), pa.py_buffer(numbers)])
        values = self._part(_leaf_type(node), count)
        _check(self._budget.take_bytes(_content(values)))
        return _shown(node, target, values)

    def _lists(self, node: Node, target: Any, count: int) -> Any:
        lengths = self._part(_INTEGER, count)
        there = valid(lengths)
        numbers = np.where(there, np.frombuffer(lengths.buffers()[1] or bytes(8 * count), np.int64, count), 0)
        total = int(numbers.sum())
        if (numbers < 0).any() or (numbers > MAX_ELEMENTS).any() or total > MAX_ELEMENTS:
            raise DamagedFileError("a block of lists has a length that is out of range")
        offsets = np.concatenate([[0], np.cumsum(numbers)]).astype(np.int32)
        children = [self.element(child, total) for child in node.children]
        if node.name == "MAP":
            children = [pa.StructArray.from_arrays(children, fields=[target.key_field, target.item_field])]
        return pa.Array.from_buffers(target, count, [_bits(there), pa.py_buffer(offsets)], children=children)

    def _floats(self, count: int, width: int) -> Any:
        (distinct,) = struct.unpack_from("<I", self._data, self.at)
        self.at += 4
        if not distinct:
            numbers = from_planes(self._data, self.at, count, f"<u{width}")
            self.at += numbers.nbytes
            return numbers
        kinds = from_planes(self._data, self.at, distinct, f"<u{width}")
        self.at += kinds.nbytes
        codes = from_planes(self._data, self.at, count, f"<u{width_of(distinct)}")
        self.at += codes.nbytes
        return kinds[codes]

    def _marks(self, count: int) -> BoolArray:
        return valid(self._part(_BITS, count))

    def _part(self, kind: ColumnType, count: int) -> Any:
        encoding, nulls, size = _HEADER.unpack_from(self._data, self.at)
        self.at += _HEADER.size
        if self.at + size > len(self._data):
            raise DamagedFileError("a block of nested values ends too soon")
        data = bytes(self._data[self.at : self.at + size])
        self.at += size
        if not count:
            if size or nulls:
                raise DamagedFileError("a part of no values holds some")
            return pa.nulls(0, arrow_type(kind))
        return self._decode(encoding, data, count, nulls, kind)


def _check(has_room: bool) -> None:
    if not has_room:
        raise DamagedFileError("a block of nested values claims more than any that is written")


def _width(node: Node) -> int:
    """The bytes that an element of a node takes in memory, less those of what is inside of it."""
    if node.name in _FLOATS:
        return np.dtype(_FLOATS[node.name]).itemsize
    if node.name in ("NULL", "BOOLEAN", "ARRAY", "STRUCT"):
        return 1
    if node.name in ("LIST", "MAP"):
        return 24  # a length, an offset, and what it takes to make one of the other
    if node.name in ("VARCHAR", "JSON", "BLOB"):
        return 4  # and what is in it, see ``_content``
    return 8 if node.name in ITEMS or node.is_integer else max(4, node.bytes)


def _content(array: Any) -> int:
    """The bytes of texts and blobs; of others they are counted before."""
    if array.type not in (pa.string(), pa.binary()) or not len(array):
        return 0
    offsets, _ = string_buffers(array)
    return int(offsets[-1]) - int(offsets[0])


def _pack_floats(numbers: Any) -> bytes:
    """The bits of numbers (n,), as byte planes, or, where many are the same, as codes for those there are."""
    if len(numbers) > _FEW:
        kinds, codes = np.unique(numbers, return_inverse=True)
        width = width_of(len(kinds))
        if len(kinds) * numbers.itemsize + len(numbers) * width < len(numbers) * numbers.itemsize // 2:
            packed = to_planes(kinds) + to_planes(codes.astype(f"<u{width}"))
            return struct.pack("<I", len(kinds)) + packed
    return struct.pack("<I", 0) + to_planes(numbers)


def _leaf_type(node: Node) -> ColumnType:
    """As which a leaf is stored, without what it means."""
    if node.name in _KINDS:
        return ColumnType(_KINDS[node.name])
    if node.name in ITEMS:
        return _INTEGER
    return ColumnType(stored_kind(node))


def _stored(node: Node, array: Any) -> Any:
    if isinstance(array, pa.ExtensionArray) and node.name == "JSON":
        return array.storage
    if node.name == "TIMESTAMP":
        return array.view(pa.int64())
    if node.name in _KINDS:
        return array
    return array.cast(pa.int64()) if node.name in ITEMS else to_stored(node, array)


def _shown(node: Node, target: Any, array: Any) -> Any:
    if node.name == "JSON":
        return pa.ExtensionArray.from_storage(target, array)
    if node.name == "TIMESTAMP":
        return array.view(target)
    if node.name in _KINDS:
        return array
    return array.cast(target) if node.name in ITEMS else from_stored(node, array)


def _bits(there: BoolArray) -> pa.Buffer | None:
    return None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
