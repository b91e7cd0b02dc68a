"""Interleaving: neighbouring bytes belong to different codewords, which share a burst of wrong bytes."""

from __future__ import annotations

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
