"""The kinds of damage.

Each takes the bytes of a file and a random generator, and gives the bytes that are left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
SECTOR = 4096


@dataclass(frozen=True)
class Damaged:
    """What damage left of a file.

    data: the bytes that are left. gone: bytes start … stop - 1 of the original are nowhere in them any more.
    """

    data: Bytes
    gone: tuple[int, int] = (0, 0)


class Damage(Protocol):
    """A kind of damage; ``name`` is what the report calls it."""

    @property
    def name(self) -> str: ...

    def apply(self, data: Bytes, rng: np.random.Generator) -> Damaged:
        """Damage a copy of ``data``, uint8 (n,)."""


def _overwrite(
    data: Bytes, ranges: Iterable[tuple[int, int]], rng: np.random.Generator, *, zeros: bool
) -> Bytes:
    left = data.copy()
    for start, stop in ranges:
        piece = left[start:stop]
        piece[:] = 0 if zeros else rng.integers(0, 256, len(piece), np.uint8)
    return left


@dataclass(frozen=True)
class Sectors:
    """A share of the sectors, anywhere, in runs of ``run``: random bytes, or zeros, in their place."""

    share: float
    zeros: bool = False
    run: int = 1

    @property
    def name(self) -> str:
        size = SECTOR * self.run // 1024
        return f"{self.share:.0%} of the {size} KiB sectors, {'zeroed' if self.zeros else 'random bytes'}"

    def apply(self, data: Bytes, rng: np.random.Generator) -> Damaged:
        size = SECTOR * self.run
        count = -(-len(data) // size)
        hit = rng.choice(count, round(self.share * count), replace=False)
        return Damaged(
            _overwrite(data, ((n * size, (n + 1) * size) for n in hit.tolist()), rng, zeros=self.zeros)
        )


@dataclass(frozen=True)
class Hole:
    """One stretch of random bytes: at the ``front``, at the ``end`` or ``anywhere``."""

    share: float
    where: str

    @property
    def name(self) -> str:
        return f"a hole of {self.share:.0%} {'' if self.where == 'anywhere' else 'at the '}{self.where}"

    def apply(self, data: Bytes, rng: np.random.Generator) -> Damaged:
        length = round(self.share * len(data))
        last = len(data) - length
        start = {"front": 0, "end": last, "anywhere": int(rng.integers(0, last + 1))}[self.where]
        return Damaged(_overwrite(data, [(start, start + length)], rng, zeros=False))


@dataclass(frozen=True)
class Scattered:
    """Single bytes, anywhere, each with another value than it had."""

    rate: float

    @property
    def name(self) -> str:
        return f"scattered bytes, {self.rate:g}"

    def apply(self, data: Bytes, rng: np.random.Generator) -> Damaged:
        left = data.copy()
        at = rng.choice(len(data), rng.binomial(len(data), self.rate), replace=False)
        left[at] ^= rng.integers(1, 256, len(at), np.uint8)
        return Damaged(left)


@dataclass(frozen=True)
class CutShort:
    """The end is missing, from a random place on."""

    least: float = 0.0
    name: str = "cut short at a random place"

    def apply(self, data: Bytes, rng: np.random.Generator) -> Damaged:
        at = int(rng.integers(int(self.least * len(data)), len(data)))
        return Damaged(data[:at].copy(), (at, len(data)))


def _length(rng: np.random.Generator, most: int) -> int:
    """1 … ``most``, every magnitude as often as any other: a byte is as much of a shift as a sector."""
    return int(min(most, np.exp(rng.uniform(0, np.log(most + 1)))))


@dataclass(frozen=True)
class Inserted:
    """1 … ``most`` random bytes more, at a random place: everything behind them has moved."""

    most: int = 100_000

    @property
    def name(self) -> str:
        return f"1 … {self.most:,} bytes inserted"

    def apply(self, data: Bytes, rng: np.random.Generator) -> Damaged:
        at = int(rng.integers(0, len(data) + 1))
        new = rng.integers(0, 256, _length(rng, self.most), np.uint8)
        return Damaged(np.concatenate([data[:at], new, data[at:]]))


@dataclass(frozen=True)
class Removed:
    """1 … ``most`` bytes fewer, at a random place."""

    most: int = 100_000

    @property
    def name(self) -> str:
        return f"1 … {self.most:,} bytes removed"

    def apply(self, data: Bytes, rng: np.random.Generator) -> Damaged:
        length = min(_length(rng, self.most), len(data) - 1)
        at = int(rng.integers(0, len(data) - length + 1))
        return Damaged(np.concatenate([data[:at], data[at + length :]]), (at, at + length))
