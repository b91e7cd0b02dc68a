"""Keys of several columns: a hash of all parts together, of a row or of whole arrays.

Parts that a column's collation takes for equal have the same hash. A key with NULL or NaN in it equals no
other, and has none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array, U64Array
from audiomem_sql.blocks.bloom import MAX_KEYS, BloomFilter, hash_array, hash_integers, hash_keys
from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.columns.views import dictionary_codes, not_a_number, valid
from audiomem_sql.predicates.texts import Collation

_NONE = np.empty(0, np.int64)


def folded(value: StoredValue, column: Column) -> StoredValue:
    """A value of a key as the column's collation compares it: equal values are the same, zeros too."""
    if isinstance(value, str) and column.collation != "BINARY":
        return Collation(column.collation).equality_key(value)
    return value + 0.0 if isinstance(value, float) else value  # -0.0 equals 0.0


def hash_key(parts: Sequence[StoredValue]) -> U64Array:
    """The hash of one key of :func:`folded` parts, none of them NULL, uint64 (1,)."""
    combined = np.zeros(1, np.uint64)
    for part in parts:
        combined = hash_integers((combined ^ hash_keys([part])).view(np.int64))
    return combined


def hash_rows(arrays: Sequence[pa.Array], columns: Sequence[Column]) -> tuple[I64Array, U64Array]:
    """The rows whose key has no NULL and no NaN, int64 (n,), ascending, and the hashes, uint64 (n,)."""
    whole = np.logical_and.reduce([valid(array) for array in arrays])
    for array in arrays:
        if pa.types.is_float64(array.type):
            whole &= ~not_a_number(array)
    rows = np.flatnonzero(whole)
    combined = np.zeros(len(rows), np.uint64)
    for array, column in zip(arrays, columns, strict=True):
        part = array if len(rows) == len(array) else array.take(integer_array(rows))
        combined = hash_integers((combined ^ _hash_part(part, column)).view(np.int64))
    return rows, combined


def _hash_part(array: pa.Array, column: Column) -> U64Array:
    if not (pa.types.is_string(array.type) or pa.types.is_binary(array.type)):
        return hash_array(array)
    encoded = array.dictionary_encode()
    if column.collation == "BINARY":
        distinct = hash_array(encoded.dictionary)
    else:
        distinct = hash_keys([folded(value, column) for value in encoded.dictionary.to_pylist()])
    hashes: U64Array = distinct[dictionary_codes(encoded)]
    return hashes


class CombinedIndex:
    """A sorted index of the keys of one segment: from the hash of a key to the rows that may hold it."""

    def __init__(self, rows: I64Array, hashes: U64Array) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._rows = rows[order]

    def rows(self, hashed: U64Array) -> I64Array:
        """The rows of one hash, uint64 (1,), ascending."""
        low = int(self._hashes.searchsorted(hashed[0]))
        if low == len(self._hashes) or self._hashes[low] != hashed[0]:
            return _NONE
        return self._rows[low : int(self._hashes.searchsorted(hashed[0], side="right"))]


class CombinedHashes:
    """Collects the hashes of one key as rows arrive, for the Bloom filter of a segment."""

    def __init__(self, places: Sequence[int], columns: Sequence[Column]) -> None:
        self._places = places
        self._columns = columns
        self._hashes: list[U64Array] = []

    def add(self, arrays: Sequence[pa.Array]) -> None:
        """Take rows, one array a column of the schema."""
        self._hashes.append(hash_rows([arrays[column] for column in self._places], self._columns)[1])

    def bloom(self) -> BloomFilter | None:
        """The filter of all keys; None where there are none, or more than a filter can hold."""
        if not self._hashes or sum(map(len, self._hashes)) > MAX_KEYS:
            return None
        return BloomFilter.of(np.concatenate(self._hashes))
