"""Texts that are made of literal pieces, found in C: what LIKE and its like ask most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.views import Strings
from audiomem_sql.machine.native import library


def made_of(
    values: Strings, pieces: Sequence[bytes], *, ignore_case: bool, until_nul: bool
) -> BoolArray | None:
    """The texts made of ``pieces`` in order with anything between two of them, bool (n,).

    The first piece begins a text, the last one ends it, and one alone is all of it. ignore_case: capitals of
    ASCII are as small letters, which the pieces have. until_nul: a text ends at its first NUL, and the pieces
    have none. None where there is no such library, or it leaves the answer to Python.
    """
    native = library()
    if native is None or not len(values):
        return None
    found = np.empty(len(values), np.bool_)
    data = np.ascontiguousarray(values.data)
    starts, ends = _int64(values.starts), _int64(values.ends)
    sizes = _int64([len(piece) for piece in pieces])
    done = native.audiomem_match(
        *(data.ctypes.data, len(data), len(values), starts.ctypes.data, ends.ctypes.data),
        *(b"".join(pieces), sizes.ctypes.data, len(sizes), ignore_case, until_nul, found.ctypes.data),
    )
    return found if done == len(values) else None


def _int64(numbers: I64Array | Sequence[int]) -> I64Array:
    return np.ascontiguousarray(numbers, np.int64)
