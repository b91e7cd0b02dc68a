"""The bytes of a list, a struct or a map: one BLOB a row.

A value is written as parts, in the order of its type's tree. Each node has, for the elements that the row has
of it: one byte, 1 if any of them is NULL, and then a byte each, 1 where it is there; behind that

    numbers, times, booleans   the values as Arrow has them, little-endian; zeros for NULL
    texts, blobs               the lengths, u32, then the bytes
    LIST, MAP                  the lengths, u32, then the items (keys, then values)
    ARRAY, STRUCT              the items, and each field

The row itself has one element. Equal values have equal bytes. All rows are made at once, part by part.

Each element takes at least a byte, so that a count that is wrong is found before memory is taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.fixed import from_stored
from audiomem_sql.columns.logical.json_leaves import check_json
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.views import strings, truths, valid


def encode_nested(node: Node, array: Any) -> Any:
    """An array of ``arrow_of(node)`` as one of binary."""
    there = valid(array)
    present = array if there.all() else array.filter(pa.array(there))
    writer = _Writer(len(present))
    writer.element(node, present, np.ones(len(present), np.int64))
    lengths, data = writer.joined()
    sizes = np.zeros(len(array), np.int64)
    sizes[there] = lengths
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    if offsets[-1] >= 1 << 31:
        raise OverflowError("the values of a batch have more than 2 GiB")
    validity = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(array), buffers, int((~there).sum()))


def decode_nested(node: Node, array: Any) -> Any:
    """The inverse. ValueError for bytes that are none of ``node``."""
    there = valid(array)
    found = strings(array)
    reader = _Reader(found.data, found.starts[there].copy(), found.ends[there])
    made = reader.element(node, np.ones(int(there.sum()), np.int64))
    if not (reader.at == reader.ends).all():
        raise ValueError(f"a value of {node} has bytes behind its end")
    if made.null_count:
        raise ValueError(f"a value of {node} is NULL in itself")
    if there.all():
        return made
    places = np.cumsum(there) - 1
    return made.take(pa.array(np.where(there, places, 0), mask=~there))


@dataclass(frozen=True, slots=True)
class _Part:
    lengths: I64Array
    data: U8Array


class _Writer:
    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.parts: list[_Part] = []

    def element(self, node: Node, array: Any, counts: I64Array) -> None:
        """The elements of a node; counts: how many each row has of them."""
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        there = self._validity(array, counts)
        if node.name == "NULL":
            return
        if node.name == "JSON":
            check_json(array)
        if node.name == "STRUCT":
            for number, child in enumerate(node.children):
                self.element(child, _field(array, number), counts)
        elif node.name == "ARRAY":
            size = node.numbers[0]
            items = array.values.slice(array.offset * size, len(array) * size)
            if not there.all():
                places = np.where(np.repeat(there, size), np.arange(len(array) * size), -1)
                items = items.take(pa.array(places, mask=places < 0))
            self.element(node.children[0], items, counts * size)
        elif node.name in ("LIST", "MAP"):
            self._lists(node, array, counts, there)
        elif pa.types.is_string(array.type) or pa.types.is_binary(array.type):
            self._strings(array, counts, there)
        else:
            self._fixed(array, counts, there)

    def _validity(self, array: Any, counts: I64Array) -> BoolArray:
        there = valid(array) if str(array.type) != "null" else np.zeros(len(array), np.bool_)
        missing = _sums(~there, counts)
        some = missing > 0
        self.parts.append(_Part(np.ones(self.rows, np.int64), some.astype(np.uint8)))
        if some.any():
            self.parts.append(
                _Part(np.where(some, counts, 0), there[np.repeat(some, counts)].astype(np.uint8))
            )
        return there

    def _lists(self, node: Node, array: Any, counts: I64Array, there: BoolArray) -> None:
        offsets = (
            np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, 4 * array.offset)
            if len(array)
            else np.zeros(1, np.int32)
        )
        lengths = np.where(there, np.diff(offsets), 0).astype(np.int64)
        self._numbers(lengths, counts)
        inner = _sums(lengths, counts)
        plain = bool(there.all() or not np.diff(offsets)[~there].any())
        places = None if plain else pa.array(_ragged(offsets[:-1].astype(np.int64), lengths))
        start, many = int(offsets[0]), int(offsets[-1] - offsets[0])
        children = (array.keys, array.items) if node.name == "MAP" else (array.values,)
        for child, items in zip(node.children, children, strict=True):
            own = items.slice(start, many) if places is None else items.take(places)
            self.element(child, own, inner)

    def _strings(self, array: Any, counts: I64Array, there: BoolArray) -> None:
        found = strings(array)
        lengths = np.where(there, found.lengths, 0)
        self._numbers(lengths, counts)
        data = found.data[_ragged(found.starts, lengths)]
        self.parts.append(_Part(_sums(lengths, counts), data))

    def _fixed(self, array: Any, counts: I64Array, there: BoolArray) -> None:
        if str(array.type) == "bool":
            raw = (truths(array) & there).astype(np.uint8).reshape(-1, 1)
        else:
            width = array.type.bit_width // 8
            if len(array):
                raw = np.frombuffer(array.buffers()[1], np.uint8, len(array) * width, array.offset * width)
                raw = raw.reshape(len(array), width)
                raw = raw if there.all() else np.where(there[:, None], raw, np.uint8(0))
            else:
                raw = np.zeros((0, width), np.uint8)
        self.parts.append(_Part(counts * raw.shape[1], raw.reshape(-1)))

    def _numbers(self, numbers: I64Array, counts: I64Array) -> None:
        self.parts.append(_Part(counts * 4, numbers.astype("<u4").view(np.uint8)))

    def joined(self) -> tuple[I64Array, U8Array]:
        """The length of each row, and the bytes of all."""
        lengths = np.zeros(self.rows, np.int64)
        for part in self.parts:
            lengths += part.lengths
        place = np.cumsum(lengths) - lengths
        data = np.empty(int(lengths.sum()), np.uint8)
        for part in self.parts:
            data[_ragged(place, part.lengths)] = part.data
            place = place + part.lengths
        return lengths, data


class _Reader:
    def __init__(self, data: U8Array, starts: I64Array, ends: I64Array) -> None:
        self.data = data
        self.at = starts
        self.ends = ends

    def element(self, node: Node, counts: I64Array) -> Any:
        """The elements of a node, as an array."""
        if (counts > (self.ends - self.at) // _least_bytes(node)).any():
            raise ValueError("a nested value ends too soon")
        total = int(counts.sum())
        there = self._validity(counts, total)
        target = arrow_of(node)
        if isinstance(target, pa.BaseExtensionType):
            stored = self._leaf(target.storage_type, counts, there)
            return pa.ExtensionArray.from_storage(target, stored)
        if node.name == "NULL":
            if there.any():
                raise ValueError("a value of no type is there")
            return pa.nulls(total)
        if node.name == "ENUM":
            return from_stored(node, self._leaf(pa.string(), counts, there))
        if node.name == "STRUCT":
            children = [self.element(child, counts) for child in node.children]
            return pa.Array.from_buffers(target, total, [_bits(there)], children=children)
        if node.name == "ARRAY":
            items = self.element(node.children[0], counts * node.numbers[0])
            return pa.Array.from_buffers(target, total, [_bits(there)], children=[items])
        if node.name in ("LIST", "MAP"):
            return self._lists(node, target, counts, there)
        return self._leaf(target, counts, there)

    def _validity(self, counts: I64Array, total: int) -> BoolArray:
        flags = self._bytes(np.ones(len(self.at), np.int64))
        if (flags > 1).any():
            raise ValueError("a mark of NULLs is neither 0 nor 1")
        there = np.ones(total, np.bool_)
        some = flags == 1
        if some.any():
            marks = self._bytes(np.where(some, counts, 0))
            if (marks > 1).any():
                raise ValueError("a mark of a NULL is neither 0 nor 1")
            there[np.repeat(some, counts)] = marks == 1
        return there

    def _lists(self, node: Node, target: Any, counts: I64Array, there: BoolArray) -> Any:
        lengths = self._numbers(counts)
        inner = _sums(lengths, counts)
        children = [self.element(child, inner) for child in node.children]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        if node.name == "MAP":
            if children[0].null_count:
                raise ValueError("a key of a map is NULL")
            pairs = pa.StructArray.from_arrays(children, fields=[target.key_field, target.item_field])
            children = [pairs]
        return pa.Array.from_buffers(
            target, len(lengths), [_bits(there), pa.py_buffer(offsets)], children=children
        )

    def _leaf(self, target: Any, counts: I64Array, there: BoolArray) -> Any:
        total = len(there)
        if pa.types.is_string(target) or pa.types.is_binary(target):
            lengths = self._numbers(counts)
            data = self._bytes(_sums(lengths, counts))
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            made = pa.Array.from_buffers(
                target, total, [_bits(there), pa.py_buffer(offsets), pa.py_buffer(data)]
            )
            if pa.types.is_string(target):
                made.validate(full=True)
            return made
        if str(target) == "bool":
            raw = self._bytes(counts)
            return pa.Array.from_buffers(target, total, [_bits(there), _bits(raw == 1, always=True)])
        raw = self._bytes(counts * (target.bit_width // 8))
        return pa.Array.from_buffers(target, total, [_bits(there), pa.py_buffer(raw)])

    def _numbers(self, counts: I64Array) -> I64Array:
        numbers = self._bytes(counts * 4).view("<u4").astype(np.int64)
        if numbers.sum() >= 1 << 31:
            raise ValueError("a length is out of range")
        return numbers

    def _bytes(self, lengths: I64Array) -> U8Array:
        """The next bytes of each row."""
        end = self.at + lengths
        if (end > self.ends).any():
            raise ValueError("a nested value ends too soon")
        made = self.data[_ragged(self.at, lengths)]
        self.at = end
        return made


@lru_cache(maxsize=256)
def _least_bytes(node: Node) -> int:
    """The bytes that each element takes at least, without marks, of which NULL has nothing but."""
    if node.name == "ARRAY":
        return min(node.numbers[0] * _least_bytes(node.children[0]), 1 << 62)
    if node.name == "STRUCT":
        return min(sum(map(_least_bytes, node.children)), 1 << 62)
    if node.name in ("NULL", "BOOLEAN"):
        return 1
    if node.name in ("LIST", "MAP"):
        return 4
    target = arrow_of(node)
    target = getattr(target, "storage_type", target)
    varies = pa.types.is_dictionary(target) or pa.types.is_string(target) or pa.types.is_binary(target)
    return 4 if varies else int(target.bit_width) // 8


def _ragged(starts: I64Array, lengths: I64Array) -> I64Array:
    """The places of runs: ``starts[i]``, ``starts[i] + 1``, … of each length, one behind the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    places: I64Array = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)
    return places


def _sums(numbers: Any, counts: I64Array) -> I64Array:
    """The sum of each run of ``counts`` numbers."""
    totals = np.concatenate([[0], np.cumsum(numbers, dtype=np.int64)])
    ends = np.cumsum(counts)
    sums: I64Array = totals[ends] - totals[ends - counts]
    return sums


def _field(array: Any, number: int) -> Any:
    """A field of structs, NULL where they are."""
    return array.flatten()[number] if array.null_count or array.offset else array.field(number)


def _bits(there: BoolArray, *, always: bool = False) -> pa.Buffer | None:
    if not always and there.all():
        return None
    return pa.py_buffer(np.packbits(there, bitorder="little"))
