"""What is told of a cache. It stands alone, so that who only names it does not load what fills it."""

from __future__ import annotations

from typing import NamedTuple


class CacheRow(NamedTuple):
    """What was counted at one tier, or at the store below all of them, since the process began.

    held, capacity: bytes; None where only the server knows. cost: dollars.
    """

    tier: str
    state: str
    hits: int
    misses: int
    bytes_out: int
    bytes_in: int
    held: int | None
    capacity: int | None
    requests: int
    evictions: int
    errors: int
    skipped: int
    cost: float
