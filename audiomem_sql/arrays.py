"""The types of numpy arrays, named by what an element is; every room takes them from here.

What the shape is says the docstring of whoever takes or gives the array.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

U8Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
U16Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint16]]
U32Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint32]]
U64Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
I8Array: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
I16Array: TypeAlias = np.ndarray[Any, np.dtype[np.int16]]
I32Array: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
I64Array: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
F32Array: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
F64Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
BoolArray: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
