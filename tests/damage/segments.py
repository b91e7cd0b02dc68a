"""Where the segments of a file are, and files of which some are lost."""

from __future__ import annotations

import random
from pathlib import Path

from audiomem_sql.audio import VerbatimPages, spectrum_of
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import TableFile, open_table_file


def spans(path: Path) -> list[tuple[int, int]]:
    """Of each segment of a file where it begins and ends, in bytes."""
    file = open_table_file(str(path), BlockCache(0))
    try:
        return [span(file, number) for number in range(len(file.segments))]
    finally:
        file.close()


def span(file: TableFile, number: int) -> tuple[int, int]:
    """The same of one segment."""
    place, pages = file.segments[number].file.place, file.newest.file
    sound = pages.sound
    assert isinstance(sound, VerbatimPages)
    if pages.mode is None:
        return sound.offset(place.first), sound.offset(place.stop)
    shape = spectrum_of(pages.profile, pages.mode).shape
    return sound.offset(shape.first_frame(place.first)), sound.offset(shape.first_frame(place.stop))


def without(path: Path, *numbers: int) -> None:
    """Put random bytes in the place of segments of a file."""
    data = bytearray(path.read_bytes())
    for start, stop in [spans(path)[number] for number in numbers]:
        data[start:stop] = random.Random(start).randbytes(stop - start)
    path.write_bytes(data)
