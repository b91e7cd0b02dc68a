"""Arrow's kernels, which are loaded when they are wanted: they take 8 MB of memory."""

from __future__ import annotations

from typing import Any


def kernels() -> Any:
    """``pyarrow.compute``."""
    import pyarrow.compute

    return pyarrow.compute
