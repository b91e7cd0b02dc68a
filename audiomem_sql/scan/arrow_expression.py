"""Expressions of pyarrow, taken apart: what a dataset is asked to filter by, as a tree.

An ``Expression`` shows its parts to nobody, and its text does not tell literals exactly. When it is pickled
it becomes a record batch in Arrow's file format: one row of literals with their types, and the tree in prefix
notation in the schema's metadata (Arrow's ``compute/expression.cc``, ``Serialize``). That form is read here.
An expression in any other form is not taken apart: pyarrow evaluates it as a whole.

Substrait (``pyarrow.substrait.serialize_expressions``) is the public form, and not used. It has no
``match_like``, no set that contains NULL, no conversion and no literal that needs one (nanoseconds, uint64),
it needs a reader of protobuf and two thirds more of time, and some builds of pyarrow come without it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

#: Calls inside calls; a deeper expression is left to pyarrow.
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Field:
    """A column, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A value with its Arrow type."""

    value: pa.Scalar[Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A compute function of Arrow, its arguments, and its options as Arrow names them."""

    function: str
    arguments: tuple[ExpressionNode, ...]
    options: dict[str, Any] | None = None


ExpressionNode: TypeAlias = Field | Literal | Call


def parse_expression(expression: pc.Expression) -> ExpressionNode | None:
    """The tree of ``expression``; None where it cannot be had exactly."""
    try:
        _, (packed, *_) = expression.__reduce__()
        # a file is its magic number, padded to 8 bytes, and then a stream, which begins with the schema
        batch = pa.ipc.open_file(packed).get_batch(0)
        message = pa.ipc.read_message(packed.slice(8)).metadata.to_pybytes()
        return _Parser(batch, _metadata(message)).parse()
    except (pa.ArrowException, NotImplementedError, ValueError, TypeError, LookupError, struct.error):
        return None


def names_in(node: ExpressionNode) -> set[str]:
    """The columns that an expression speaks of."""
    if isinstance(node, Field):
        return {node.name}
    if isinstance(node, Literal):
        return set()
    return set().union(*(names_in(argument) for argument in node.arguments))


class _Parser:
    def __init__(self, batch: pa.RecordBatch, words: list[tuple[str, str]]) -> None:
        self.batch, self.words, self.at = batch, words, 0

    def parse(self) -> ExpressionNode:
        node = self.node(0)
        if self.at != len(self.words):
            raise ValueError("words behind the expression")
        return node

    def node(self, depth: int) -> ExpressionNode:
        if depth > MAX_DEPTH:
            raise ValueError("too deep")
        key, value = self.words[self.at]
        self.at += 1
        if key == "field_ref":
            return Field(value)
        if key == "literal":
            return Literal(self.batch.column(int(value))[0])
        if key != "call":
            raise ValueError(key)
        arguments: list[ExpressionNode] = []
        options: dict[str, Any] | None = None
        while self.words[self.at][0] != "end":
            if self.words[self.at][0] == "options":
                scalar = self.batch.column(int(self.words[self.at][1]))[0]
                options = {name: scalar[name] for name in scalar}
                self.at += 1
            else:
                arguments.append(self.node(depth + 1))
        self.at += 1
        return Call(value, tuple(arguments), options)


def _metadata(message: bytes) -> list[tuple[str, str]]:
    """The metadata of a schema as pairs in their order: ``schema.metadata`` keeps one pair of each name.

    message: the schema in Arrow's IPC format, a flatbuffer (``Message.fbs`` and ``Schema.fbs`` of Arrow's
    specification). Raises struct.error, LookupError or ValueError for anything else.
    """
    schema = _member(message, _offset(message, 0), _MESSAGE_HEADER)
    pairs = _member(message, schema, _SCHEMA_METADATA)
    (count,) = _UINT32.unpack_from(message, pairs)
    entries = [_offset(message, pairs + 4 + 4 * number) for number in range(count)]
    return [(_text(message, entry, _PAIR_KEY), _text(message, entry, _PAIR_VALUE)) for entry in entries]


#: Places of members in their tables.
_MESSAGE_HEADER, _SCHEMA_METADATA, _PAIR_KEY, _PAIR_VALUE = 2, 2, 0, 1
_UINT16, _INT32, _UINT32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")


def _offset(buffer: bytes, position: int) -> int:
    """Where the offset at ``position`` leads to."""
    return position + int(_UINT32.unpack_from(buffer, position)[0])


def _member(buffer: bytes, table: int, number: int) -> int:
    """Where a member of a flatbuffer's table lies that is stored by an offset.

    LookupError if it is absent.
    """
    slots = table - int(_INT32.unpack_from(buffer, table)[0])
    slot = 4 + 2 * number
    size = int(_UINT16.unpack_from(buffer, slots)[0])
    offset = int(_UINT16.unpack_from(buffer, slots + slot)[0]) if slot < size else 0
    if not offset:
        raise LookupError(number)
    return _offset(buffer, table + offset)


def _text(buffer: bytes, table: int, number: int) -> str:
    start = _member(buffer, table, number)
    (size,) = _UINT32.unpack_from(buffer, start)
    return buffer[start + 4 : start + 4 + size].decode()
