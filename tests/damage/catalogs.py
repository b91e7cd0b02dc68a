"""Destroys every copy of the catalog, and the parity that would bring one back."""

from __future__ import annotations

import random
from pathlib import Path

from audiomem_sql.audio import Profile
from audiomem_sql.audio.flac.frames import frame_offset, header_size
from audiomem_sql.audio.flac.metadata import read_metadata
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import Numbering, open_table_file


def spans(
    path: Path, number: int = -1, numbering: Numbering | None = None
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where in the file the data stream of segment ``number`` is, and where its catalogs and parity are.

    Each is (first byte, end), of whole pages where these do not share one.
    """
    table = open_table_file(str(path), BlockCache(0), numbering=numbering)
    segment = table.segments[number]
    file, first = segment.file, segment.data_cell
    stop = first + file.layout.cells_for(segment.catalog.data_bytes)
    raw = LocalFile(path)
    start = read_metadata(raw, 0).audio_start
    raw.close()
    profile, layout = file.source.profile, file.layout
    frames = [
        (frame_offset(profile, start, page), frame_offset(profile, start, page + 1))
        for page in range(file.place.first, file.place.stop)
    ]
    inside, others = [], []
    for page, (begin, end) in enumerate(frames):
        low = max(0, first - page * layout.cells)
        high = min(layout.cells, stop - page * layout.cells)
        if low >= high:
            others.append((begin, end))
        elif (low, high) == (0, layout.cells) or not file.header.is_compact:
            inside.append((begin, end))
        else:  # what is not of the data stream, and the parity of the page
            samples = begin + header_size(profile, file.first + page) + 1
            left, right = (
                samples + _in_subframes(layout.header_bytes + cell * layout.level.cell_bytes, profile)
                for cell in (low, high)
            )
            inside.append((left, right))
            others += [(samples + layout.header_bytes, left), (right, end)]
    table.close()
    return inside, others


def _in_subframes(place: int, profile: Profile) -> int:
    """Where byte ``place`` of a page is, from the first sample of its frame: marks stand between channels."""
    return place + min(place // profile.channel_size, profile.channels - 1)


def without_catalog(
    path: Path, rng: random.Random, how: str, number: int = -1, numbering: Numbering | None = None
) -> bytes:
    """The bytes of ``path`` without a readable catalog of segment ``number``.

    how: zeroed, random, scattered, or cut off at both ends.
    """
    data = bytearray(path.read_bytes())
    inside, others = spans(path, number, numbering)
    if how == "cut":
        return bytes(data[inside[0][0] : inside[-1][1]])
    for start, stop in others:
        if how == "scattered":  # a few bytes of every cell
            for at in range(start, stop, 100):
                data[at + rng.randrange(min(100, stop - at))] ^= rng.randint(1, 255)
        else:
            data[start:stop] = bytes(stop - start) if how == "zeroed" else rng.randbytes(stop - start)
    return bytes(data)
