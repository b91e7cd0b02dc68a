"""Array types that several rooms name."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

U8Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
I64Array: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
U64Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
BoolArray: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
