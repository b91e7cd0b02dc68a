"""The zone maps of the shards: what the columns of each shard can contain, so that few shards are opened.

A column has one :class:`~audiomem_sql.blocks.zones.Zones` with an entry a shard. Commits only widen them, so
they are right for every version that is kept; a vacuum does not narrow them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.defaults import constant
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import DamagedFileError, OptionError, did_you_mean
from audiomem_sql.shards.buckets import BoundColumn

_NUMBERS = (Kind.INTEGER, Kind.REAL, Kind.BOOLEAN, Kind.TIMESTAMP)


def zone_columns(schema: Schema, names: Sequence[str] | None) -> tuple[int, ...]:
    """The numbers of the columns with zone maps: those called ``names``, by default numbers and times."""
    if names is None:
        return tuple(number for number, column in enumerate(schema.columns) if column.type.kind in _NUMBERS)
    for name in names:
        if name not in schema.visible.names or schema[name].type.kind is Kind.FLOAT:
            known = schema.visible.names
            raise OptionError(
                f"there is no column {name} that has a least and a greatest value",
                remedy=f"{did_you_mean(name, known)}Columns: {', '.join(known)}.",
            )
    return tuple(dict.fromkeys(schema.index(name) for name in names))


@dataclass(frozen=True, slots=True)
class ShardZones:
    """By the number of a column its zones, with an entry a shard."""

    columns: Mapping[int, Zones]

    @classmethod
    def empty(cls, schema: Schema, columns: Sequence[int], shards: int) -> ShardZones:
        """Of shards without rows."""
        zones = {}
        for number in columns:
            column_type = schema.columns[number].type
            entry = (0, 0, 0) if column_type.kind in _NUMBERS else (0, b"", b"")
            zones[number] = Zones.build([0] * shards, [entry] * shards, column_type)
        return cls(zones)

    def grown(self, shard: int, schema: Schema, arrays: Sequence[pa.Array]) -> ShardZones:
        """With more rows in a shard, as one array a column of the schema."""
        return ShardZones(
            {
                number: _grown(zones, shard, arrays[number], schema.columns[number].type)
                for number, zones in self.columns.items()
            }
        )

    def joined(self, shard: int, others: ShardZones) -> ShardZones:
        """With more rows in a shard, of which ``others`` has the zones, in its only entry."""
        return ShardZones(
            {number: _joined(zones, shard, others.columns[number]) for number, zones in self.columns.items()}
        )

    def widened(self, more: int) -> ShardZones:
        """With ``more`` shards without rows behind the others."""
        return ShardZones({number: _widened(zones, more) for number, zones in self.columns.items()})

    def with_added(self, before: Schema, schema: Schema, shards: int) -> ShardZones:
        """With those of numbers and times that ``schema`` has and ``before`` has not.

        The rows that are there have their DEFAULT, or NULL. How many there are is not known if no other
        column has zones; that there are some.
        """
        known = [zones.rows for zones in self.columns.values()]
        rows = known[0] if known else np.zeros(shards, np.int64)
        added = dict(self.columns)
        for number, column in enumerate(schema.columns):
            if column.id not in before.ids and column.type.kind in _NUMBERS:
                value = constant(column)
                there = np.maximum(rows, 1).tolist()
                entry = (0, value, value)
                entries = [(count, 0, 0) if value is None else entry for count in there]
                added[number] = Zones.build(there, entries, column.type)
        return ShardZones(added)

    def of(self, shards: int) -> ShardZones:
        """Of the first ``shards`` alone."""
        first = np.arange(shards)
        return ShardZones({number: zones.take(first) for number, zones in self.columns.items()})

    def may_pass(self, filters: Sequence[BoundColumn], shards: int) -> BoolArray:
        """Which shards may have rows for which all of ``filters`` are true, bool (shards,)."""
        keep = np.ones(shards, bool)
        for item in filters:
            zones = self.columns.get(item.column)
            if zones is not None:
                keep &= item.bound.prune(zones)
        return keep

    def pack(self) -> dict[int, dict[str, bytes]]:
        """A map of what ``Zones.pack`` gives."""
        return {number: zones.pack() for number, zones in self.columns.items()}

    @classmethod
    def unpack(cls, packed: Mapping[int, Mapping[str, Any]], schema: Schema, shards: int) -> ShardZones:
        """The inverse. DamagedFileError (without a place) for anything else."""
        zones = {
            number: Zones.unpack(content, schema.columns[number].type) for number, content in packed.items()
        }
        if any(len(each) != shards for each in zones.values()):
            raise DamagedFileError("a zone map has another number of shards")
        return cls(zones)


def _widened(zones: Zones, more: int) -> Zones:
    """The zones of a column with shards without rows behind the others."""
    none = np.zeros(more, np.int64)
    bounds = [
        None if bound is None else np.concatenate([bound, np.zeros(more, bound.dtype)])
        for bound in (zones.low, zones.high)
    ]
    return Zones(np.concatenate([zones.rows, none]), np.concatenate([zones.nulls, none]), *bounds)


def _grown(zones: Zones, shard: int, array: pa.Array, column_type: Any) -> Zones:
    """The zones of a column with the values of ``array`` in a shard."""
    return _with(zones, shard, len(array), Zones.of(array, column_type))


def _joined(zones: Zones, shard: int, other: Zones) -> Zones:
    """The zones of a column with the rows of the only entry of ``other`` in a shard."""
    low, high = (None if bound is None else bound[0] for bound in (other.low, other.high))
    return _with(zones, shard, int(other.rows[0]), (int(other.nulls[0]), low, high))


def _with(zones: Zones, shard: int, count: int, more: tuple[int, Any, Any]) -> Zones:
    """The zones of a column with ``count`` rows more in a shard. more: how many NULLs, the bounds."""
    rows, nulls = zones.rows.copy(), zones.nulls.copy()
    more_nulls, low, high = more
    was_filled = rows[shard] > nulls[shard]
    rows[shard] += count
    nulls[shard] += more_nulls
    if zones.low is None or zones.high is None or more_nulls == count:
        return Zones(rows, nulls, zones.low, zones.high)
    lows, highs = zones.low.copy(), zones.high.copy()
    lows[shard] = min(lows[shard], lows.dtype.type(low)) if was_filled else low
    highs[shard] = max(highs[shard], highs.dtype.type(high)) if was_filled else high
    return Zones(rows, nulls, lows, highs)
