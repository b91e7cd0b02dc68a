"""The callback that long work reports to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Called with what is done so far and with all there is to do, both counted in the same unit: rows, pages or
#: bytes.
Progress: TypeAlias = Callable[[int, int], object]
