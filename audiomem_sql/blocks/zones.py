"""Zone maps: what the blocks of one column can contain, so that most blocks need not be read.

    rows    int64    rows of the block
    nulls   int64    NULLs among them
    low     least value:    int64 for INTEGER, BOOLEAN, TIMESTAMP · float64 for REAL ·
                            first 16 bytes for TEXT, JSON, BLOB
    high    greatest value: the same

``high`` of a text is the prefix of the true maximum, so a value v lies in the block only if
``low <= v[:16] <= high``; numpy's 'S' takes trailing NULs for padding, so nothing stricter may be concluded.
A REAL block with NaN, which has no place among the numbers, has low -inf and high inf.
FLOAT[n] has no order worth keeping: low and high are None. In a block of NULLs low and high mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.views import integers, prefixes, reals, strings, valid
from audiomem_sql.errors import DamagedFileError

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes of a text or blob that a zone map keeps.
PREFIX = 16
#: The bounds of a block of texts or blobs of which nothing is said; no text begins with the second one.
OPEN = b"", b"\xff" * PREFIX

#: The bounds of a block of reals with NaN. One with both infinities has them, too.
NAN = -np.inf, np.inf

_DTYPES = {
    Kind.INTEGER: "<i8",
    Kind.BOOLEAN: "<i8",
    Kind.TIMESTAMP: "<i8",
    Kind.REAL: "<f8",
    Kind.TEXT: f"S{PREFIX}",
    Kind.JSON: f"S{PREFIX}",
    Kind.BLOB: f"S{PREFIX}",
}


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """Arrays with one entry a block; low and high are int64, float64, S16 or None by the column's type."""

    rows: I64Array
    nulls: I64Array
    low: np.ndarray[Any, Any] | None
    high: np.ndarray[Any, Any] | None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def filled(self) -> BoolArray:
        """Per block: some value is not NULL."""
        return self.rows > self.nulls

    @property
    def whole(self) -> BoolArray:
        """Per block: no value is NULL."""
        mask: BoolArray = self.nulls == 0
        return mask

    @property
    def with_nan(self) -> BoolArray:
        """Per block of reals: it may hold NaN."""
        if self.low is None or self.high is None or self.low.dtype.kind != "f":
            return np.zeros(len(self), np.bool_)
        mask: BoolArray = self.filled & (self.low == NAN[0]) & (self.high == NAN[1])
        return mask

    @property
    def is_open(self) -> bool:
        """Whether nothing is said of any block's least and greatest text."""
        if self.low is None or self.high is None or self.low.dtype.kind != "S":
            return False
        return bool((self.low == OPEN[0]).all() and (self.high == OPEN[1]).all())

    def touching(self, least: Any = None, greatest: Any = None) -> BoolArray:
        """Per block: it may hold a value from ``least`` to ``greatest`` (None: without limit), bool (n,).

        Of texts and blobs the first 16 bytes are compared, as ``bytes``.
        """
        mask: BoolArray = self.filled
        if least is not None and self.high is not None:
            mask = mask & (self.high >= _cut(least))
        if greatest is not None and self.low is not None:
            mask = mask & (self.low <= _cut(greatest))
        return mask

    def beyond(self, least: Any, greatest: Any) -> BoolArray:
        """Per block of numbers: it may hold a value outside ``least`` to ``greatest``, bool (n,)."""
        if self.low is None or self.high is None:
            return self.filled
        inside: BoolArray = (self.low >= least) & (self.high <= greatest)
        return self.filled & ~inside

    def holding(self, values: np.ndarray[Any, Any]) -> BoolArray:
        """Per block: it may hold one of ``values``, sorted, of the dtype of low and high, bool (n,)."""
        if self.low is None or self.high is None:
            return self.filled
        mask: BoolArray = np.searchsorted(values, self.low, "left") < np.searchsorted(
            values, self.high, "right"
        )
        return self.filled & mask

    @staticmethod
    def of(array: pa.Array[Any], column_type: ColumnType) -> tuple[int, Any, Any]:
        """(nulls, low, high) of one block: int, float, bytes (at most 16) or None by the column's type."""
        nulls, kind = array.null_count, column_type.kind
        if kind is Kind.FLOAT:
            return nulls, None, None
        present = valid(array)
        if kind is Kind.REAL:
            numbers = reals(array)[present]
            if np.isnan(numbers).any():
                return nulls, *NAN
            return nulls, float(numbers.min(initial=np.inf)), float(numbers.max(initial=-np.inf))
        if kind in (Kind.TEXT, Kind.JSON, Kind.BLOB):
            if nulls == len(array):
                return nulls, b"", b""
            # prefixes keep the order of the whole values, so the least prefix is the prefix of the least
            # value
            words = prefixes(strings(array).take(present), PREFIX).view(">u8")
            return nulls, _extreme(words, np.min), _extreme(words, np.max)
        values = integers(array)[present]
        if not len(values):
            return nulls, 0, 0
        return nulls, int(values.min()), int(values.max())

    @classmethod
    def build(
        cls, rows: Sequence[int], entries: Iterable[tuple[int, Any, Any]], column_type: ColumnType
    ) -> Zones:
        """From the number of rows of each block and what :meth:`of` said of it."""
        nulls, low, high = zip(*entries, strict=True) if rows else ((), (), ())
        dtype = _DTYPES.get(column_type.kind)
        return cls(
            np.asarray(rows, np.int64),
            np.asarray(nulls, np.int64),
            None if dtype is None else np.asarray(low, dtype),
            None if dtype is None else np.asarray(high, dtype),
        )

    def take(self, blocks: np.ndarray[Any, Any]) -> Zones:
        """The blocks that a mask or indices select."""
        return Zones(
            self.rows[blocks],
            self.nulls[blocks],
            None if self.low is None else self.low[blocks],
            None if self.high is None else self.high[blocks],
        )

    def pack(self) -> dict[str, bytes]:
        """A map of raw little-endian arrays."""
        packed = {"rows": self.rows.astype("<i8").tobytes(), "nulls": self.nulls.astype("<i8").tobytes()}
        for name, bound in (("low", self.low), ("high", self.high)):
            if bound is not None:
                packed[name] = bound.astype(bound.dtype.newbyteorder("<")).tobytes()
        return packed

    @classmethod
    def unpack(cls, packed: Mapping[str, Any], column_type: ColumnType) -> Zones:
        """The inverse. DamagedFileError (without a place) for wrong lengths, counts or order."""
        if not isinstance(packed, Mapping):
            raise DamagedFileError("a zone map is missing")
        rows = _column(packed, "rows", "<i8", None)
        nulls = _column(packed, "nulls", "<i8", len(rows))
        if (nulls < 0).any() or (nulls > rows).any():
            raise DamagedFileError("a zone map has a block with more NULLs than rows")
        dtype = _DTYPES.get(column_type.kind)
        if dtype is None:
            return cls(rows, nulls, None, None)
        low = _column(packed, "low", dtype, len(rows))
        high = _column(packed, "high", dtype, len(rows))
        zones = cls(rows, nulls, low, high)
        if not (low <= high)[zones.filled].all():
            raise DamagedFileError("a zone map has a block whose least value is above its greatest")
        return zones


def _cut(value: Any) -> Any:
    return np.bytes_(value[:PREFIX]) if isinstance(value, bytes) else value


def _extreme(words: np.ndarray[Any, Any], choose: Any) -> bytes:
    """The least or greatest of big-endian pairs, uint64 (n, 2), as its 16 bytes."""
    first = choose(words[:, 0])
    second = choose(words[words[:, 0] == first, 1])
    return int(first).to_bytes(8, "big") + int(second).to_bytes(8, "big")


def _column(packed: Mapping[str, Any], name: str, dtype: str, count: int | None) -> np.ndarray[Any, Any]:
    raw, size = packed.get(name), np.dtype(dtype).itemsize
    if not isinstance(raw, bytes) or len(raw) % size or (count is not None and len(raw) != count * size):
        raise DamagedFileError(f"a zone map has the wrong length for {name!r}")
    return np.frombuffer(raw, dtype)
