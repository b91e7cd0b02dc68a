"""The library in C that decodes blocks, checks cells and searches texts without the interpreter's lock.

It is audiomem_blocks.so.

Built with the extensions where zstd's headers are; ``vtab/native/blocks.h`` says what its functions do.
Without it, with ``AUDIOMEM_NATIVE=off``, and where memory is scarce, the same is done in Python.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

from audiomem_sql.machine.malloc import is_spared

#: Beside the package's modules, where the build leaves it.
_FILE = "audiomem_blocks.so"
_INT64 = ctypes.c_int64
_POINTER = ctypes.c_void_p


class Pages(ctypes.Structure):
    """``struct pages``: where the cells of pages are in bytes of a file."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("size", _INT64),
        ("places", ctypes.c_void_p),
        ("channel_bytes", _INT64),
        ("header_bytes", _INT64),
        ("cells", _INT64),
        ("cell_bytes", _INT64),
    )


_SIGNATURES = {
    "audiomem_area_new": (_POINTER, (ctypes.c_char_p, _INT64, _INT64)),
    "audiomem_area_free": (None, (_POINTER,)),
    "audiomem_decode_strings": (
        _INT64,
        (
            *(_POINTER, ctypes.c_char_p, _INT64, _INT64),
            *(_POINTER, _POINTER, _POINTER, _POINTER),
            *(ctypes.c_int, _POINTER, _POINTER, _INT64),
        ),
    ),
    "audiomem_reads_cells": (ctypes.c_int, ()),
    "audiomem_read_cells": (_INT64, (ctypes.POINTER(Pages), _INT64, _INT64, ctypes.c_uint32, _POINTER)),
    "audiomem_match": (
        _INT64,
        (
            *(_POINTER, _INT64, _INT64, _POINTER, _POINTER),
            *(ctypes.c_char_p, _POINTER, _INT64, ctypes.c_int, ctypes.c_int, _POINTER),
        ),
    ),
}


def library() -> ctypes.CDLL | None:
    """The library; None where Python does its work."""
    return None if is_spared() else _loaded()


def cell_reader() -> ctypes.CDLL | None:
    """The library, if it can check cells on this processor."""
    found = library()
    return found if found is not None and _reads_cells() else None


@cache
def _loaded() -> ctypes.CDLL | None:
    if os.environ.get("AUDIOMEM_NATIVE") == "off":
        return None
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), _FILE)
    return bound(path) if os.path.exists(path) else None


def bound(path: str) -> ctypes.CDLL | None:
    """The library at ``path``; None where the system cannot load it, such as without libzstd."""
    try:
        found = ctypes.CDLL(path)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return found


@cache
def _reads_cells() -> bool:
    found = _loaded()
    return found is not None and bool(found.audiomem_reads_cells())
