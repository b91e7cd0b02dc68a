"""Where a row belongs: the hash of its key names a bucket, and a table names the shard of each bucket.

There are always ``BUCKETS`` buckets, so that a shard is split, weighted or moved by changing the table alone.
The hash is that of the Bloom filters over keys (:mod:`audiomem_sql.indexes.keys.combined`), which files hold:
it never changes. The bucket is its upper 12 bits. A key with NULL or NaN in it belongs to bucket 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.bloom import hash_integers
from audiomem_sql.columns.batch import Row
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import OptionError, did_you_mean
from audiomem_sql.indexes.keys.combined import folded, hash_key, hash_rows
from audiomem_sql.predicates import ROWID, Bound

BUCKETS = 1 << 12
MAX_SHARDS = 1 << 10
_SHIFT = np.uint64(64 - 12)
#: More keys than this at once are looked for in all shards.
_MOST_KEYS = 64


class BoundColumn(Protocol):
    """A condition on one column, as ``scan.Filter`` is one."""

    @property
    def column(self) -> int:
        """The number of the column, or ROWID."""

    @property
    def bound(self) -> Bound:
        """The condition."""


def spread(shards: int, buckets: int = BUCKETS) -> tuple[int, ...]:
    """The shard of each bucket, where ``shards`` of them have as many buckets each as can be."""
    return tuple(bucket * shards // buckets for bucket in range(buckets))


def key_columns(schema: Schema, names: Sequence[str] | None) -> tuple[int, ...]:
    """The numbers of the columns whose hash places a row; () is the rowid.

    names: of these columns; by default those of the primary key, or of the first unique key. OptionError for
    a column that is not there, or cannot be a key.
    """
    if names is None:
        if schema.rowid_column is not None:
            return ()
        keys = [*((number,) for number in schema.key_columns), *schema.combined_keys]
        primary = [key for key in keys if all(schema.columns[number].primary_key for number in key)]
        return (*(primary or keys), ())[0]
    numbers = []
    for name in names:
        if name not in schema.visible.names:
            known = schema.visible.names
            raise OptionError(
                f"there is no column {name} to place rows by",
                remedy=f"{did_you_mean(name, known)}Columns: {', '.join(known)}.",
            )
        numbers.append(schema.index(name))
    if not numbers or len(set(numbers)) < len(numbers):
        raise OptionError(
            "the key of the shards has no column, or one twice", remedy="Name each column once."
        )
    for number in numbers:
        if schema.columns[number].type.kind is Kind.FLOAT:
            raise OptionError(
                f"column {schema.columns[number].name} holds vectors, which place no row",
                remedy="Choose a column of numbers or texts.",
            )
    return () if numbers == [schema.rowid_column] else tuple(numbers)


@dataclass(frozen=True, slots=True)
class Placement:
    """The key, and the shard of each bucket.

    columns: the numbers of the key's columns; () is the rowid.
    """

    schema: Schema
    columns: tuple[int, ...]
    shard_of_bucket: tuple[int, ...]

    def of_row(self, rowid: int, row: Row) -> int:
        """The shard of a row of stored values."""
        if not self.columns:
            return self.of_rowid(rowid)
        return self._of_key([row[number] for number in self.columns])

    def of_rowid(self, rowid: int) -> int:
        """The shard of a row whose key is its rowid."""
        return int(self.of_rows(np.array([rowid], np.int64), ())[0])

    def of_rows(self, rowids: I64Array, arrays: Sequence[pa.Array]) -> I64Array:
        """The shards of rows, int64 (n,). arrays: one a column of the schema."""
        return np.asarray(self.shard_of_bucket, np.int64)[self.buckets(rowids, arrays)]

    def buckets(self, rowids: I64Array, arrays: Sequence[pa.Array]) -> I64Array:
        """The buckets of rows, int64 (n,)."""
        buckets = np.zeros(len(rowids), np.int64)
        if not self.columns:
            buckets[:] = hash_integers(rowids) >> _SHIFT
        else:
            columns = [self.schema.columns[number] for number in self.columns]
            rows, hashes = hash_rows([arrays[number] for number in self.columns], columns)
            buckets[rows] = hashes >> _SHIFT
        return buckets

    def _of_key(self, values: Sequence[Any]) -> int:
        if any(value is None or value != value for value in values):
            return self.shard_of_bucket[0]
        parts = [
            folded(value, self.schema.columns[number])
            for value, number in zip(values, self.columns, strict=True)
        ]
        return self.shard_of_bucket[int((hash_key(parts) >> _SHIFT)[0])]

    def of_filters(self, filters: Sequence[BoundColumn]) -> set[int] | None:
        """The only shards that can have rows for which all of ``filters`` are true; None if that is unknown.

        It is known where the filters leave few values of each column of the key.
        """
        if not self.columns:
            alias = self.schema.rowid_column
            for item in filters:
                if item.column == ROWID or (alias is not None and item.column == alias):
                    known = item.bound.lookup
                    if known is not None and len(known[1]) <= _MOST_KEYS:
                        return {self.of_rowid(key) for key in known[1]}
            return None
        choices: list[Sequence[Any]] = []
        for number in self.columns:
            values = self._values(number, filters)
            if values is None:
                return None
            choices.append(values)
        if prod(map(len, choices)) > _MOST_KEYS:
            return None
        return {self._of_key(values) for values in product(*choices)}

    def _values(self, number: int, filters: Sequence[BoundColumn]) -> Sequence[Any] | None:
        """The values that the filters leave of a column of the key; None if they are not few."""
        for item in filters:
            known = item.bound.lookup if item.column == number else None
            if known is not None and self._can_hash(number, *known):
                return known[1]
        return None

    def _can_hash(self, number: int, collation: str, keys: Sequence[Any]) -> bool:
        """Whether rows whose column has one of ``keys`` are where the hashes of these say.

        A NOCASE that ends at a NUL compares other bytes than are hashed.
        """
        if collation == "BINARY":
            return True
        nul = any(isinstance(key, bytes) and b"\0" in key for key in keys)
        return collation == self.schema.columns[number].collation and not nul

    def of_own_key(self, number: int, collation: str, keys: Sequence[Any]) -> set[int] | None:
        """The only shards with rows whose column has one of ``keys``, see Bound.lookup; None if unknown."""
        if self.columns != (number,) or len(keys) > _MOST_KEYS or not self._can_hash(number, collation, keys):
            return None
        return {self._of_key([key]) for key in keys}
