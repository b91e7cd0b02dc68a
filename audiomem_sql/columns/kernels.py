"""Arrow's functions on arrays, loaded when one is needed.

They take 8 MB of memory, and to load them takes longer than a query.
"""

from __future__ import annotations

from typing import Any


def kernels() -> Any:
    """``pyarrow.compute``."""
    import pyarrow.compute

    return pyarrow.compute
