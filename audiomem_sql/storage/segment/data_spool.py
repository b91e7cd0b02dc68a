"""The bytes of a segment's data stream until the catalog is known: in memory, or in files when they are many.

The stream is made of strata, what matters most first: where cells are filled by bands (see ``cell_order``),
they end up in bands of different reliability. A place in a stratum becomes a place in the stream when all is
there.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.machine.spool import Spool

_SHIFT = 56
_INSIDE = (1 << _SHIFT) - 1


class Stratum(IntEnum):
    """What a part of the data stream matters.

    FRONT: what every search that is far away begins with, and is small: the headers of indexes of words.
    HEAD: what else a reader far away gets with the first bytes of the file, if there is room. STRUCTURE: what
    no row can be read without: rowids, versions, compression dictionaries, lists, filters. STRIPS: blocks of
    small columns. IMPORTANT, ORDINARY, MINOR: blocks of rows. DERIVED: indexes of vectors and words, which
    can be made anew.
    """

    FRONT = 0
    HEAD = 1
    STRUCTURE = 2
    STRIPS = 3
    IMPORTANT = 4
    ORDINARY = 5
    MINOR = 6
    DERIVED = 7


class DataSpool:
    """Collects bytes. divided: by strata; otherwise there is one, whatever is named, and places never change.

    A place is where bytes begin in their stratum, and which that is, until ``final`` says where that is in
    the stream.
    """

    def __init__(self, max_bytes: int, *, divided: bool = False) -> None:
        count = len(Stratum) if divided else 1
        self._files = [Spool(max_bytes // count) for _ in range(count)]
        self._sizes = [0] * count
        self._at = 0

    @property
    def divided(self) -> bool:
        """Whether places change."""
        return len(self._files) > 1

    @property
    def length(self) -> int:
        """Bytes in all strata."""
        return sum(self._sizes)

    def place(self, stratum: Stratum) -> int:
        """Where the next bytes of a stratum will be."""
        number = stratum if self.divided else 0
        return (number << _SHIFT) + self._sizes[number]

    def append(self, data: bytes, stratum: Stratum) -> None:
        """Put ``data`` behind what the stratum has."""
        number = stratum if self.divided else 0
        self._files[number].seek(self._sizes[number])
        self._files[number].write(data)
        self._sizes[number] += len(data)

    def overwrite(self, place: int, data: bytes) -> None:
        """Put ``data`` where others are."""
        file = self._files[place >> _SHIFT]
        file.seek(place & _INSIDE)
        file.write(data)

    def final(self, place: int) -> int:
        """Where in the stream a place is, when nothing is appended any more."""
        return sum(self._sizes[: place >> _SHIFT]) + (place & _INSIDE)

    def finals(self, places: I64Array) -> I64Array:
        """The same of many, int64 (n,)."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._sizes, dtype=np.int64)])
        offsets: I64Array = before[places >> _SHIFT] + (places & _INSIDE)
        return offsets

    # -- as a file -------------------------------------------------------------------------------------------

    def seek(self, place: int) -> int:
        """Read from this place of the stream on."""
        self._at = place
        return place

    def read(self, size: int) -> bytes:
        """So many bytes of the stream, fewer where it ends."""
        parts, position, before = [], self._at, 0
        for file, file_size in zip(self._files, self._sizes, strict=True):
            if size and before <= position < before + file_size:
                file.seek(position - before)
                parts.append(file.read(min(size, before + file_size - position)))
                position, size = position + len(parts[-1]), size - len(parts[-1])
            before += file_size
        self._at = position
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            file.close()
