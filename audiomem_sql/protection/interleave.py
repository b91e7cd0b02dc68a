"""Interleaving: neighbouring bytes belong to different codewords, which share a burst of wrong bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from audiomem_sql.arrays import BoolArray, U8Array

Bytes = TypeVar("Bytes", U8Array, BoolArray)


@dataclass(frozen=True, slots=True)
class Interleave:
    """``depth`` codewords of ``n`` bytes, place by place.

    Byte i of the whole is place i // depth of codeword i % depth.

    With a systematic code the first k × depth bytes are the data as it was. A burst of b bytes costs each
    codeword ceil(b / depth) of them. The same functions carry bytes (uint8) and erasure maps (bool).
    """

    depth: int
    n: int = 255

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        return self.depth * self.n

    def encode(self, words: Bytes) -> Bytes:
        """Codewords, (count × depth, n), to wholes, (count, size)."""
        count = len(words) // self.depth
        spread = words.T.reshape(self.n, count, self.depth).transpose(1, 0, 2)
        return np.ascontiguousarray(spread).reshape(count, self.size)

    def decode(self, wholes: Bytes) -> Bytes:
        """Wholes, (count, size), to codewords, (count × depth, n), laid out by places."""
        count = len(wholes)
        places = wholes.reshape(count, self.n, self.depth).transpose(1, 0, 2)
        return np.ascontiguousarray(places).reshape(self.n, count * self.depth).T


@dataclass(frozen=True, slots=True)
class TurnedInterleave:
    """``depth`` codewords of ``n`` bytes, place by place, and places turned against those before them.

    Byte i of the whole is place p = i // depth of codeword (i + turn of p) % depth; ``turn_of`` gives the
    turn. ``first`` is the place that the whole begins with, where it is a part of the codewords.

    As with :class:`Interleave` data stays as it was, and a burst of b bytes costs each codeword at most
    ceil(b / depth) + 1 of them. What is more, bytes a fixed stride apart fall on all codewords alike, also
    where the stride and ``depth`` share factors: a memory chip with a stuck line, for instance, spoils every
    64th byte.
    """

    depth: int
    n: int = 255
    first: int = 0

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        return self.depth * self.n

    def _turns(self) -> Iterator[tuple[slice, int]]:
        """Runs of places that are turned alike, and by how many codewords."""
        low = 0
        while low < self.n:
            high = min(self.n, low + ALIKE - (self.first + low) % ALIKE)
            yield slice(low, high), turn_of(self.first + low) % self.depth
            low = high

    def encode(self, words: Bytes) -> Bytes:
        """Codewords, (count × depth, n), to wholes, (count, size)."""
        count = len(words) // self.depth
        places = words.T.reshape(self.n, count, self.depth).transpose(1, 0, 2)
        wholes = np.empty((count, self.n, self.depth), words.dtype)
        for run, turned in self._turns():
            wholes[:, run, : self.depth - turned] = places[:, run, turned:]
            wholes[:, run, self.depth - turned :] = places[:, run, :turned]
        return wholes.reshape(count, self.size)

    def decode(self, wholes: Bytes) -> Bytes:
        """Wholes, (count, size), to codewords, (count × depth, n), laid out by places."""
        count = len(wholes)
        spread = wholes.reshape(count, self.n, self.depth).transpose(1, 0, 2)
        places = np.empty((self.n, count, self.depth), wholes.dtype)
        for run, turned in self._turns():
            places[run, :, turned:] = spread[run, :, : self.depth - turned]
            places[run, :, :turned] = spread[run, :, self.depth - turned :]
        return places.reshape(self.n, count * self.depth).T


#: So many places in a row are turned alike, which costs nothing and makes fewer pieces to copy.
ALIKE = 4


def turn_of(place: int) -> int:
    """By how many codewords a place of all codewords is turned.

    By 5 more every four places, so that a stride which always meets the same byte of a place meets another
    codeword, and by 3 more every sixteen, so that no other stride keeps pace with that. The numbers were
    found by trying all strides.
    """
    return 5 * (place // ALIKE) + 3 * (place // 16)
