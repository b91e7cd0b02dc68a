"""Predicates bound to a column of texts or blobs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, distinct
from audiomem_sql.blocks.zones import PREFIX, Zones
from audiomem_sql.columns.kernels import kernels
from audiomem_sql.columns.numeric_text import numeric_text
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.views import Strings, strings, truths
from audiomem_sql.predicates.bounds import Bound
from audiomem_sql.predicates.operands import text_of
from audiomem_sql.predicates.patterns import Pattern
from audiomem_sql.predicates.predicate import COMPARISON_BY_OP, Op
from audiomem_sql.predicates.substrings import equal, has_at, lowered, member, order, without_trailing_spaces


class Collation(Enum):
    """SQLite's own collating sequences."""

    BINARY = "BINARY"
    NOCASE = "NOCASE"
    RTRIM = "RTRIM"

    def key(self, value: str | bytes) -> bytes:
        """Bytes whose memcmp order is that of the values (for NOCASE only if one side is free of NULs)."""
        octets = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        if self is Collation.NOCASE:
            return octets.lower()
        return octets.rstrip(b" ") if self is Collation.RTRIM else octets

    def equality_key(self, value: str) -> bytes:
        """Bytes that are the same where the values are equal, NULs or not.

        NOCASE ends at a NUL, and compares lengths.
        """
        octets = value.encode("utf-8", "surrogatepass")
        if self is not Collation.NOCASE or b"\0" not in octets:
            return self.key(octets)
        return octets.partition(b"\0")[0].lower() + b"\0%d" % len(octets)

    def keys(self, values: Strings) -> Strings:
        """The same for whole arrays."""
        if self is Collation.NOCASE:
            return lowered(values)
        return without_trailing_spaces(values) if self is Collation.RTRIM else values


@dataclass(frozen=True, kw_only=True, eq=False)
class StringOrder(Bound):
    """Comparison of texts, or of blobs, with one; ``operand`` is a key of the collation."""

    op: Op
    operand: bytes
    collation: Collation = Collation.BINARY
    cost: ClassVar[int] = 3

    @property
    def lookup(self) -> tuple[str, Sequence[Any]] | None:
        """The collation and keys to look up, see :class:`Bound`."""
        if self.op is Op.EQ and self.collation is not Collation.BINARY:
            return self.collation.value, (self.operand,)
        return super().lookup

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        if value is None:
            return False
        return bool(COMPARISON_BY_OP[self.op].compare(self.collation.key(value), self.operand))

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        if self.collation is not Collation.BINARY or self.op is Op.NE:
            return zones.filled
        least = None if self.op in (Op.LT, Op.LE) else self.operand
        greatest = None if self.op in (Op.GT, Op.GE) else self.operand
        return zones.touching(least, greatest)

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        comparison = COMPARISON_BY_OP[self.op]
        if self.collation is Collation.BINARY and (operand := _arrow_scalar(self.operand, array)) is not None:
            return truths(kernels().call_function(comparison.arrow, [array, operand]))
        values = self.collation.keys(strings(array))
        if self.op in (Op.EQ, Op.NE):
            same = equal(values, self.operand)
            return same if self.op is Op.EQ else ~same
        return np.asarray(comparison.compare(order(values, self.operand), 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class StringPrefix(Bound):
    """Texts that begin with ``prefix``, by their bytes."""

    prefix: bytes
    cost: ClassVar[int] = 3

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is not None and Collation.BINARY.key(value).startswith(self.prefix)

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return zones.touching(self.prefix, self.prefix + b"\xff" * PREFIX)

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        operand = _arrow_scalar(self.prefix, array)
        if operand is not None:
            return truths(kernels().starts_with(array, operand.as_py()))
        values = strings(array)
        return has_at(values, values.starts, self.prefix)


@dataclass(frozen=True, kw_only=True, eq=False)
class StringSet(Bound):
    """Some texts or blobs; ``operands`` are keys of the collation."""

    operands: frozenset[bytes]
    collation: Collation = Collation.BINARY
    cost: ClassVar[int] = 4

    @property
    def lookup(self) -> tuple[str, Sequence[Any]] | None:
        """The collation and keys to look up, see :class:`Bound`."""
        if self.collation is not Collation.BINARY:
            return self.collation.value, tuple(self.operands)
        return super().lookup

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is not None and self.collation.key(value) in self.operands

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        if self.collation is not Collation.BINARY:
            return zones.filled
        return zones.holding(
            distinct(np.array([operand[:PREFIX] for operand in self.operands], f"S{PREFIX}"))
        )

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        if self.collation is Collation.BINARY and "pyarrow.compute" in sys.modules:
            operands = [_arrow_scalar(operand, array) for operand in self.operands]
            if None not in operands:
                return truths(kernels().is_in(array, pa.array(operands, array.type)))
        return member(self.collation.keys(strings(array)), self.operands)


@dataclass(frozen=True, kw_only=True, eq=False)
class TextSet(Bound):
    """Some texts, decided row by row.

    That is for NOCASE beyond a NUL, and where texts stand for the numbers that they spell.

    operands: equality keys of the collation; numbers: if there are any, a text that spells a number is that
    number.
    """

    operands: frozenset[bytes]
    numbers: frozenset[int | float]
    collation: Collation
    column_type: ColumnType
    negated: bool = False
    cost: ClassVar[int] = 8

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is not None and self._holds(value) != self.negated

    def _holds(self, text: str) -> bool:
        number = numeric_text(text) if self.numbers else None
        return (
            self.collation.equality_key(text) in self.operands if number is None else number in self.numbers
        )

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return _each(array, self.column_type, self.test)


@dataclass(frozen=True, kw_only=True, eq=False)
class Matching(Bound):
    """LIKE or GLOB."""

    pattern: Pattern
    column_type: ColumnType
    cost: ClassVar[int] = 9

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        if value is None:
            return False
        return self.pattern.matches(value if isinstance(value, str) else text_of(value))

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        if not self.pattern.segments:
            return np.zeros(len(zones), np.bool_)
        if not self.pattern.prefix or self.column_type.kind not in (Kind.TEXT, Kind.JSON):
            return zones.filled
        kept = np.zeros(len(zones), np.bool_)
        for least, greatest in self.pattern.prefix_ranges():
            kept |= zones.touching(least, greatest)
        return kept

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        if self.column_type.kind in (Kind.TEXT, Kind.JSON):
            return self.pattern.mask(strings(array))
        return _each(array, self.column_type, self.test)


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth(Bound):
    """Texts and blobs as conditions: those that start with a number other than 0."""

    column_type: ColumnType
    cost: ClassVar[int] = 8

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        if value is None:
            return False
        number = _NUMBER.match(value if isinstance(value, str) else value.decode("latin-1"))
        return number is not None and float(number[1]) != 0

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return _each(array, self.column_type, self.test)


_NUMBER = re.compile(r"[ \t-\r]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")


def _arrow_scalar(operand: bytes, array: pa.Array[Any]) -> pa.Scalar[Any] | None:
    """An operand for Arrow's kernels, which compare bytes as we do, and faster.

    None if they are not loaded (see :mod:`audiomem_sql.columns.selection`), or have no such value of the
    array's type.
    """
    if "pyarrow.compute" not in sys.modules or pa.types.is_nested(array.type):
        return None
    if pa.types.is_binary(array.type):
        return pa.scalar(operand, array.type)
    try:
        return pa.scalar(operand.decode(), array.type)
    except UnicodeDecodeError:
        return None


def _each(array: pa.Array[Any], column_type: ColumnType, test: Callable[[Any], bool]) -> BoolArray:
    """``test`` for the SQL value of each row, row by row."""
    return np.array([test(value) for value in sql_values(array, column_type)], np.bool_)
