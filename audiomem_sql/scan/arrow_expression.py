"""Expressions of pyarrow, taken apart: what a dataset is asked to filter by, as a tree.

An ``Expression`` shows its parts to nobody, and its text does not tell them exactly. It travels between processes, though,
as a record batch in Arrow's file format: one row of literals with their types, and the tree in prefix notation in the
schema's metadata (Arrow's ``compute/expression.cc``, ``Serialize``). That form is read here. What it does not hold, or
holds in another way than it did, is not taken apart: whoever asked has pyarrow evaluate the whole expression.
"""

from __future__ import annotations

import ctypes
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
        batch = pa.ipc.open_file(packed).get_batch(0)
        return _Parser(batch, _metadata(batch.schema)).parse()
    except (pa.ArrowException, NotImplementedError, ValueError, TypeError, LookupError):
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


def _metadata(schema: pa.Schema) -> list[tuple[str, str]]:
    """The metadata as pairs in their order: ``schema.metadata`` keeps one pair of each name.

    Read by way of Arrow's C data interface, whose layout is fixed: format, name and metadata are its first pointers.
    """
    capsule = schema.__arrow_c_schema__()
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    at = ctypes.c_void_p.from_address(
        pointer(capsule, b"arrow_schema") + 2 * ctypes.sizeof(ctypes.c_void_p)
    ).value
    if at is None:
        raise ValueError("no metadata")

    def number() -> int:
        nonlocal at
        assert at is not None
        (found,) = struct.unpack("=i", ctypes.string_at(at, 4))
        at += 4
        return int(found)

    def text() -> str:
        nonlocal at
        size = number()
        found = ctypes.string_at(at, size).decode()
        at += size
        return found

    return [(text(), text()) for _ in range(number())]
