"""What ``PagedFile.damage`` finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageDamage:
    """What is wrong with a page.

    ``headers``: copies of its header that are not intact; ``cells``: those whose CRC-32C does not match;
    ``frame``: the FLAC frame around it is not intact, or does not decode; ``parity``: the inner code's parity
    is not that of the page.
    """

    page: int
    frame: bool
    headers: int
    cells: tuple[int, ...]
    parity: bool = False
