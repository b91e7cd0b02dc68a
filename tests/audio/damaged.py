"""Damage that is remembered: which byte of a spoiled file is which byte of the good one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio import PageSource, Profile, frame_offset
from audiomem_sql.audio.flac.frames import Bytes, frame_header, header_size

from .conftest import write_file

CELL = 1020
SECTOR = 4096


@dataclass
class Spoiled:
    """The bytes of a damaged file, and where each of them was in the good one.

    ``data``: uint8 (n,). ``origin``: int64 (n,), -1 for strange bytes.
    """

    data: Bytes
    origin: npt.NDArray[np.int64]

    @classmethod
    def whole(cls, data: bytes) -> Spoiled:
        return cls(np.frombuffer(data, np.uint8).copy(), np.arange(len(data)))

    def overwrite(self, at: int, new: bytes) -> None:
        size = len(self.data[at : at + len(new)])
        self.data[at : at + size] = np.frombuffer(new[:size], np.uint8)
        self.origin[at : at + size] = -1

    def insert(self, at: int, new: bytes) -> None:
        self.data = np.insert(self.data, at, np.frombuffer(new, np.uint8))
        self.origin = np.insert(self.origin, at, np.full(len(new), -1))

    def remove(self, at: int, size: int) -> None:
        self.data = np.delete(self.data, slice(at, at + size))
        self.origin = np.delete(self.origin, slice(at, at + size))


class Good:
    """A sound file of pages, and where everything is in it."""

    def __init__(self, folder: Path, profile: Profile, pages: Bytes) -> None:
        self.profile, self.pages = profile, pages
        writer = write_file(folder / "good.flac", profile, pages)
        self.start = writer.audio_start
        self.data = (folder / "good.flac").read_bytes()
        self.copy = folder / "spoiled.flac"
        self.cells = [
            (page, at, min(CELL, profile.page_size - at))
            for page in range(len(pages))
            for at in range(profile.page_size // 256, profile.page_size, CELL)
        ]

    def offset(self, n: int) -> int:
        return frame_offset(self.profile, self.start, n)

    def place(self, page: int, at: int) -> int:
        """Offset of byte ``at`` of ``page``: a mark is before each channel."""
        return self.offset(page) + header_size(self.profile, page) + at // self.profile.channel_size + 1 + at

    def wrong_cells(self, source: PageSource, spoiled: Spoiled) -> tuple[list[tuple[int, int]], int, int]:
        """Untouched cells that neither reading gives though an intact header next to them stands as they do.

        How many untouched cells ``read_checked`` alone gives; how many there are.
        """
        count = len(self.pages)
        where = np.full(len(self.data), -1)
        left = spoiled.origin >= 0
        where[spoiled.origin[left]] = np.flatnonzero(left)  # a byte that was copied too is where it is last
        moved = where - np.arange(len(self.data))
        headers = []
        for n in range(count):
            span = slice(self.offset(n), self.offset(n) + len(frame_header(self.profile, n)) + 1)
            if (where[span] >= 0).all() and len(set(moved[span].tolist())) == 1:
                headers.append((n, int(moved[span.start])))
        pages, _ = source.read_checked(0, count)
        lost, first, untouched = [], 0, 0
        for page, at, size in self.cells:
            start, stop = self.place(page, at), self.place(page, at + size - 1) + 1
            if (where[start:stop] < 0).any() or len(set(moved[start:stop].tolist())) > 1:
                continue
            untouched += 1
            expected = self.pages[page, at : at + size]
            if np.array_equal(pages[page, at : at + size], expected):
                first += 1
                continue
            before = next((move for n, move in reversed(headers) if n <= page), None)
            after = next((move for n, move in headers if n > page), None)
            others = source.alternatives(page)
            if not any(np.array_equal(other[at : at + size], expected) for other in others):
                shift = int(moved[start])
                if shift in (before, after):
                    lost.append((page, at))
        return lost, first, untouched


def spoil(rng: np.random.Generator, good: Good) -> tuple[Spoiled, str]:
    """A few of all kinds of damage, in all places."""
    spoiled = Spoiled.whole(good.data)
    kinds = []
    for _ in range(int(rng.integers(1, 4))):
        size = len(spoiled.data)
        at = int(rng.integers(0, size))
        length = int(rng.choice([1, 2, 3, 10, 100, 1000, 5000, 30_000, 100_000]))
        kind = str(
            rng.choice(
                ["insert", "remove", "sectors", "hole", "bytes", "cut"], p=[0.3, 0.3, 0.1, 0.1, 0.1, 0.1]
            )
        )
        if kind == "insert":
            spoiled.insert(at, rng.bytes(length) if rng.random() < 0.7 else bytes(length))
        elif kind == "remove":
            spoiled.remove(at, min(length, size // 8))
        elif kind == "sectors":
            for sector in rng.choice(-(-size // SECTOR), max(1, int(0.15 * size / SECTOR)), replace=False):
                spoiled.overwrite(int(sector) * SECTOR, rng.bytes(SECTOR))
        elif kind == "hole":
            length = int(0.15 * size)
            at = int(rng.choice([0, size - length, int(rng.integers(0, size - length))]))
            spoiled.overwrite(at, bytes(length) if rng.random() < 0.5 else rng.bytes(length))
        elif kind == "bytes":
            for place in rng.integers(0, size, 10).tolist():
                spoiled.overwrite(place, rng.bytes(1))
        else:
            spoiled.remove(int(rng.integers(size // 2, size)), size)
        kinds.append(f"{kind} {length} at {at}")
    return spoiled, "; ".join(kinds)
