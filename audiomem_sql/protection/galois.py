"""The field GF(2^8) of the Reed-Solomon code: tables, and arithmetic on arrays.

Field polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11D), generator alpha = 2, as in ECMA-130, DVB and reedsolo's
defaults. Addition is XOR.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array

FIELD_POLYNOMIAL = 0x11D
ORDER = 255
"""Elements that are not zero: alpha ** 255 = 1."""


def _powers() -> U8Array:
    """Powers alpha ** i for i in 0 … 254, uint8 (255,)."""
    out = np.empty(ORDER, np.uint8)
    value = 1
    for i in range(ORDER):
        out[i] = value
        value <<= 1
        if value > 255:
            value ^= FIELD_POLYNOMIAL
    return out


def _products(powers: U8Array) -> U8Array:
    """Products a × b at index 256 a + b, uint8 (65536,)."""
    logarithm = np.zeros(256, np.int64)
    logarithm[powers] = np.arange(ORDER)
    out: U8Array = powers[(logarithm[:, None] + logarithm[None, :]) % ORDER]
    out[0, :] = out[:, 0] = 0
    return out.reshape(-1)


_POWERS = _powers()
_PRODUCTS = _products(_POWERS)
_INVERSES = np.zeros(256, np.uint8)
_INVERSES[_POWERS] = _POWERS[-np.arange(ORDER) % ORDER]


def power(exponent: I64Array | int) -> U8Array:
    """Powers alpha ** exponent, of any shape; exponents may be negative."""
    out: U8Array = _POWERS[np.asarray(exponent) % ORDER]
    return out


def multiply(a: U8Array, b: U8Array) -> U8Array:
    """Products a × b, uint8, broadcast."""
    index = a.astype(np.uint16)
    index <<= 8
    out: U8Array = _PRODUCTS[index | b]
    return out


def inverse(a: U8Array) -> U8Array:
    """1 / a, uint8; that of 0 is 0, which no caller uses."""
    out: U8Array = _INVERSES[a]
    return out


def generator(parities: int) -> U8Array:
    """Product of (x - alpha ** i) for i in 0 … parities - 1: uint8 (parities + 1,), highest power first."""
    out = np.ones(1, np.uint8)
    for i in range(parities):
        shifted = np.concatenate([out, np.zeros(1, np.uint8)])
        shifted[1:] ^= multiply(out, power(i))
        out = shifted
    return out
