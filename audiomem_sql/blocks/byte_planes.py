"""Numbers as byte planes: every number's lowest byte first, then the next ones.

Byte planes put equal-ranking bytes side by side, where a compressor finds what they share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from audiomem_sql.errors import DamagedFileError


def width_of(top: int) -> int:
    """The least number of bytes, 1, 2 or 4, that ``top`` fits into."""
    return 1 if top < 1 << 8 else 2 if top < 1 << 16 else 4


def to_planes(values: np.ndarray[Any, Any], width: int | None = None) -> bytes:
    """Numbers (n,) as byte planes; width: bytes of each, by default those of the dtype."""
    width = values.itemsize if width is None else width
    if width <= 1:
        return values.tobytes()
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, width).T).tobytes()


def from_planes(
    data: bytes | memoryview, start: int, count: int, dtype: str, *, last: bool = False
) -> np.ndarray[Any, Any]:
    """``count`` numbers from byte planes at ``data[start:]``; with ``last`` nothing may stand behind them."""
    size = count * np.dtype(dtype).itemsize
    if len(data) - start < size or (last and len(data) - start != size):
        raise DamagedFileError("a block has the wrong length")
    planes = np.frombuffer(data, np.uint8, size, start)
    if count == 0 or np.dtype(dtype).itemsize == 1:
        return planes.view(dtype)
    return np.ascontiguousarray(planes.reshape(-1, count).T).reshape(-1).view(dtype)
