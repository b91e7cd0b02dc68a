"""Predicates bound to a column: the contract, and the ways of deciding about numbers.

A :class:`Bound` answers for a whole Arrow array, for one SQL value and for a zone map, and the three never
disagree: ``test`` is ``mask`` for one row, ``prune`` keeps every block in which ``mask`` would find a row,
and ``covers`` only blocks in which it would find all.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import reduce
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, F64Array, I64Array
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.kernels import kernels
from audiomem_sql.columns.stored_values import nan_as_null
from audiomem_sql.columns.views import integers, reals, truths, valid
from audiomem_sql.predicates.operands import EMPTY, INT64_MAX, INT64_MIN
from audiomem_sql.predicates.predicate import COMPARISON_BY_OP, Op

#: So many numbers are compared one by one.
_FEW = 8
#: numpy looks integers up in a table whose range is a few times the number of rows.
_DENSE = 6


class Unknown(Enum):
    """Rows for which a predicate is NULL, neither true nor false."""

    COLUMN = "where the column is NULL"
    UNMATCHED = "where it is not true"
    ALWAYS = "everywhere"
    NEVER = "nowhere"


@dataclass(frozen=True, kw_only=True, eq=False)
class Bound(ABC):
    """A predicate on a column of a known type.

    exact: the mask is SQLite's answer; otherwise it may hold more rows, and SQLite must check them again.
    unknown: the rows for which the predicate is NULL. keys: for = and IN, every stored value that can match
    (int, microseconds for TIMESTAMP, float, str, bytes); else None. bounds: for columns of integers (BOOLEAN
    and TIMESTAMP too), the least and greatest value that can match, inclusive, (1, 0) for none; else None.
    cost: rank; of two predicates the one with the lower rank is tried first.
    """

    exact: bool = True
    unknown: Unknown = Unknown.COLUMN
    keys: tuple[Any, ...] | None = None
    bounds: tuple[int, int] | None = None
    cost: ClassVar[int] = 0

    @property
    def equality_key(self) -> Any:
        """The one stored value that can match, or None if the predicate is no equality with one."""
        return self.keys[0] if self.keys is not None and len(self.keys) == 1 else None

    @property
    def lookup(self) -> tuple[str, Sequence[Any]] | None:
        """(collation, keys of that collation): no other stored value can match.

        None if that is not so of a few keys.

        The keys are ``keys`` for BINARY, and otherwise the bytes that the collation compares.
        """
        return None if self.keys is None else ("BINARY", self.keys)

    def mask(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the predicate is true, bool (n,)."""
        return self._match(array) & valid(array)

    def nulls(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the predicate is NULL, bool (n,)."""
        if self.unknown is Unknown.COLUMN:
            return ~valid(array)
        if self.unknown is Unknown.UNMATCHED:
            return ~self.mask(array)
        return np.full(len(array), self.unknown is Unknown.ALWAYS)

    @abstractmethod
    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value of the column (None, int, float, str or bytes)."""

    def truth(self, value: Any) -> bool | None:
        """The predicate for one SQL value of the column: True, False, or None for NULL."""
        if self.test(value):
            return True
        if self.unknown is Unknown.COLUMN:
            return None if value is None else False
        return False if self.unknown is Unknown.NEVER else None

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return zones.filled

    def covers(self, zones: Zones) -> BoolArray:
        """The blocks of which it is known that the predicate is true for all rows, bool (n,)."""
        return np.zeros(len(zones), np.bool_)

    @abstractmethod
    def _match(self, array: pa.Array[Any]) -> BoolArray:
        """The mask, with anything in place of NULLs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Nothing(Bound):
    """No row."""

    keys: tuple[Any, ...] | None = ()
    bounds: tuple[int, int] | None = EMPTY

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return False

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return np.zeros(len(zones), np.bool_)

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return np.zeros(len(array), np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class Every(Bound):
    """Every row that is not NULL."""

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is not None

    def covers(self, zones: Zones) -> BoolArray:
        """The blocks without NULLs, bool (n,)."""
        return zones.whole

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return np.ones(len(array), np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class Missing(Bound):
    """Every row that is NULL."""

    unknown: Unknown = Unknown.NEVER

    def mask(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the predicate is true, bool (n,)."""
        return ~valid(array)

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is None

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return zones.nulls > 0

    def covers(self, zones: Zones) -> BoolArray:
        """The blocks of NULLs alone, bool (n,)."""
        return ~zones.filled

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class OrMissing(Bound):
    """The rows of another predicate, and those that are NULL: IS NOT."""

    inner: Bound
    unknown: Unknown = Unknown.NEVER

    def mask(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the predicate is true, bool (n,)."""
        return self.inner.mask(array) | ~valid(array)

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is None or self.inner.test(value)

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return self.inner.prune(zones) | (zones.nulls > 0)

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Range(Bound):
    """Numbers from low to high, both included, or all but these."""

    low: Any
    high: Any
    negated: bool = False
    cost: ClassVar[int] = 1

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is not None and (self.low <= value <= self.high) != self.negated

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return (zones.beyond if self.negated else zones.touching)(self.low, self.high)

    def covers(self, zones: Zones) -> BoolArray:
        """The blocks without NULLs and NaN that no value outside, or none inside, can be in, bool (n,)."""
        against = (zones.touching if self.negated else zones.beyond)(self.low, self.high)
        return zones.whole & ~zones.with_nan & ~against

    def _between(self, values: np.ndarray[Any, Any], least: Any, greatest: Any) -> BoolArray:
        inside: BoolArray
        if self.low == self.high:
            inside = values == self.low
        elif self.low <= least:
            inside = values <= self.high
        elif self.high >= greatest:
            inside = values >= self.low
        else:
            inside = (values >= self.low) & (values <= self.high)
        return ~inside if self.negated else inside

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return self._between(integers(array), INT64_MIN, INT64_MAX)


@dataclass(frozen=True, kw_only=True, eq=False)
class RealRange(Range):
    """A range of doubles."""

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return self._between(reals(array), -np.inf, np.inf)


@dataclass(frozen=True, kw_only=True, eq=False)
class NotANumber(Bound):
    """NaN in a column of reals, where it is a value."""

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is not None and value != value

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return zones.with_nan

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return np.isnan(reals(array))


@dataclass(frozen=True, kw_only=True, eq=False)
class NanAsNull(Bound):
    """A predicate on a column of reals as SQL has it, which knows no NaN: it is NULL there."""

    inner: Bound
    cost: ClassVar[int] = 1

    @property
    def lookup(self) -> tuple[str, Sequence[Any]] | None:
        """The collation and keys to look up."""
        return self.inner.lookup

    def mask(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the predicate is true, bool (n,)."""
        inner = self.inner
        if isinstance(inner, NumberSet) or (isinstance(inner, RealRange) and not inner.negated):
            return inner.mask(array)  # which is false for NaN by itself
        return inner.mask(nan_as_null(array))

    def nulls(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the predicate is NULL, bool (n,)."""
        return self.inner.nulls(nan_as_null(array))

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return self.inner.test(None if value != value else value)

    def truth(self, value: Any) -> bool | None:
        """The predicate for one SQL value of the column: True, False, or None for NULL."""
        return self.inner.truth(None if value != value else value)

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        kept, with_nan = self.inner.prune(zones), zones.with_nan
        if not with_nan.any():
            return kept
        nulls = np.where(with_nan, np.maximum(zones.nulls, 1), zones.nulls)
        return kept | self.inner.prune(replace(zones, nulls=nulls))

    def covers(self, zones: Zones) -> BoolArray:
        """The blocks without NaN of which the inner predicate knows it, bool (n,)."""
        return self.inner.covers(zones) & ~zones.with_nan

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return self.mask(array)


@dataclass(frozen=True, kw_only=True, eq=False)
class TimestampRange(Range):
    """A range of microseconds that stands for the comparison of two texts."""

    op: Op
    text: str

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value is not None and bool(COMPARISON_BY_OP[self.op].compare(value, self.text))


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberSet(Bound):
    """Some numbers, int64 or float64 (k,), sorted; ``values`` are the SQL values of the same."""

    numbers: np.ndarray[Any, Any]
    values: frozenset[Any]
    cost: ClassVar[int] = 2

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value in self.values

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return zones.holding(self.numbers)

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        numbers = self.numbers
        values: I64Array | F64Array = reals(array) if numbers.dtype.kind == "f" else integers(array)
        if len(numbers) <= _FEW:
            return reduce(np.logical_or, (values == number for number in numbers))
        dense = numbers.dtype.kind == "i" and int(numbers[-1]) - int(numbers[0]) <= _DENSE * len(values)
        if not dense and "pyarrow.compute" in sys.modules:
            # numpy would sort
            if 0 in numbers and numbers.dtype.kind == "f":  # Arrow's sets tell -0.0 from 0.0
                numbers = np.append(numbers[numbers != 0], (0.0, -0.0))
            return truths(kernels().is_in(array, pa.array(numbers, array.type)))
        return np.isin(values, numbers)
