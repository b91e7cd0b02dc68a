"""A Bloom filter on the keys of a segment: "certainly not here" without reading a block.

Bloom 1970, with the double hashing of Kirsch and Mitzenmacher 2006: probe i is h1 + i * h2. The hash is
CRC-64/ECMA of a byte string, or the integer itself, finished by splitmix64 so that every bit depends on every
bit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from fastcrc import crc64

from audiomem_sql.arrays import I64Array, U8Array, U64Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.protection.splitmix64 import splitmix64

BITS_PER_KEY = 12
#: A filter has at least this many bytes.
MIN_BYTES = 8
#: Columns with more keys have no filter: it would be larger than an extent may be.
MAX_KEYS = (1 << 32) // BITS_PER_KEY
#: Each takes 64 bytes, several times, while its places are worked out.
_HASHES_AT_ONCE = 1 << 16
PROBES = 8  # 12 bits * ln 2: one wrong "perhaps" in about 300


def hash_integers(keys: I64Array) -> U64Array:
    """splitmix64 of int64 (n,): uint64 (n,)."""
    return splitmix64(np.ascontiguousarray(keys, np.int64).view(np.uint64))


def hash_bytes(keys: Iterable[bytes]) -> U64Array:
    """The hash of byte strings, uint64 (n,)."""
    digests = np.fromiter((crc64.ecma_182(key) for key in keys), np.uint64)
    return hash_integers(digests.view(np.int64))


def hash_keys(keys: Sequence[Any]) -> U64Array:
    """Hash the keys of one column, uint64 (n,): integers, or anything else by its bytes."""
    if keys and isinstance(keys[0], int):
        return hash_integers(np.array(keys, np.int64))
    return hash_bytes(_bytes_of(key) for key in keys)


def hash_array(array: pa.Array) -> U64Array:
    """Hash the values of an Arrow array that are not NULL, uint64 (n,), as :func:`hash_keys` does."""
    present = array.drop_null() if array.null_count else array
    if pa.types.is_int64(array.type) or pa.types.is_timestamp(array.type):
        values = np.frombuffer(present.buffers()[1] or b"", np.int64, len(present), 8 * present.offset)
        return hash_integers(values)
    return hash_keys(present.to_pylist())


def _bytes_of(key: Any) -> bytes:
    if isinstance(key, str):
        return key.encode()
    return struct.pack("<d", key + 0.0) if isinstance(key, float) else bytes(key)


def filter_bytes(keys: int) -> int:
    """Bytes of the filter of so many keys."""
    return max(MIN_BYTES, -(-keys * BITS_PER_KEY // 8))


@dataclass(frozen=True, slots=True, eq=False)
class BloomFilter:
    """``bits`` is uint8 (size,): bit b of the filter is bit b % 8 of byte b // 8.

    Raises DamagedFileError (without a place) for fewer bytes than a filter has.
    """

    bits: U8Array

    def __post_init__(self) -> None:
        if len(self.bits) < MIN_BYTES:
            raise DamagedFileError("a Bloom filter is shorter than any that is written")

    @classmethod
    def of(cls, hashes: U64Array) -> BloomFilter:
        """The filter that contains ``hashes``, at BITS_PER_KEY bits a key."""
        size = filter_bytes(len(hashes))
        bits = np.zeros(size * 8, bool)
        for start in range(0, len(hashes), _HASHES_AT_ONCE):
            bits[_probes(hashes[start : start + _HASHES_AT_ONCE], size * 8).reshape(-1)] = True
        return cls(np.packbits(bits, bitorder="little"))

    def may_contain(self, hashes: U64Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether each hash may have been added, bool (n,); False is certain."""
        positions = _probes(hashes, len(self.bits) * 8)
        hits = (self.bits[positions >> np.uint64(3)] >> (positions & np.uint64(7)).astype(np.uint8)) & 1
        return hits.all(axis=1)  # type: ignore[no-any-return]


def _probes(hashes: U64Array, bits: int) -> U64Array:
    low, high = hashes & np.uint64(0xFFFFFFFF), hashes >> np.uint64(32) | np.uint64(1)
    steps = np.arange(PROBES, dtype=np.uint64)
    return (low[:, None] + steps[None, :] * high[:, None]) % np.uint64(bits)
