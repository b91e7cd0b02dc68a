"""A scalar function of SQL, however SQLite is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Function:
    """``call`` takes None, int, float, str and bytes, and returns one of them; the same for the same arguments.

    counts: the numbers of arguments that it can be called with. many: the same for many rows at once, of a list for each argument,
    where that is faster.
    """

    call: Callable[..., Any]
    counts: tuple[int, ...]
    many: Callable[..., list[Any]] | None = None

    @property
    def name(self) -> str:
        """Its name in SQL."""
        return self.call.__name__
