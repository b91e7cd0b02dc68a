"""Destroys every copy of the catalog, and the parity that would bring one back."""

from __future__ import annotations

import random
from pathlib import Path

from audiomem_sql.audio.flac.frames import frame_offset
from audiomem_sql.audio.flac.metadata import read_metadata
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.storage.segment import Segment


def spans(path: Path) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where in the file the pages of the data stream are, and where those of catalogs and parity.

    Each is (first byte, end).
    """
    segment = Segment.open(str(path))
    file, first = segment.file, segment.data_page
    data = range(first, first + file.layout.pages_for(segment.catalog.data_bytes))
    raw = LocalFile(path)
    start = read_metadata(raw, 0).audio_start
    raw.close()
    places = [
        (frame_offset(file.source.profile, start, page), frame_offset(file.source.profile, start, page + 1))
        for page in range(file.page_count)
    ]
    segment.close()
    return [places[page] for page in data], [place for page, place in enumerate(places) if page not in data]


def without_catalog(path: Path, rng: random.Random, how: str) -> bytes:
    """The bytes of ``path`` without a readable catalog.

    how: zeroed, random, scattered, or cut off at both ends.
    """
    data = bytearray(path.read_bytes())
    inside, others = spans(path)
    if how == "cut":
        return bytes(data[inside[0][0] : inside[-1][1]])
    for start, stop in others:
        if how == "scattered":  # a few bytes of every cell
            for at in range(start, stop, 100):
                data[at + rng.randrange(min(100, stop - at))] ^= rng.randint(1, 255)
        else:
            data[start:stop] = bytes(stop - start) if how == "zeroed" else rng.randbytes(stop - start)
    return bytes(data)
