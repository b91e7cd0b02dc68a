"""Asking frames all over a file where they are.

When the end of a file does not confirm its beginning, windows spread over all of it are searched for frame
headers. What their frames agree on is believed: one geometry for all, with holes where nothing answers,
several geometries one after another, where bytes were put in or taken out, or frames that another encoder
made smaller. However large a file is, a bounded part of it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audiomem_sql.audio.finding.locate import Arrangement, behind, complete, padded
from audiomem_sql.audio.finding.runs import Run, believed_runs, without_strays
from audiomem_sql.audio.finding.sync import announced, find_headers
from audiomem_sql.audio.flac.frames import Bytes, Numbers, frame_offsets, frame_size
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.bytes import ByteSource

WINDOWS, WINDOW = 16, 256 << 10
"""How many places of a file are searched, and how many bytes at each: several frames of the named
profiles."""
WIDE_WINDOWS, WIDE_WINDOW = 32, 2 << 20
"""The same where nothing was found and no metadata says that this is music; a frame of any profile is
shorter."""
PROFILES_A_WINDOW = 4
"""Shapes of frames that are followed up in one window: FLAC files may be kept in pages."""
PAIRS = 4
"""Neighbouring frames in a window whose end is compared with their CRC-16."""


@dataclass(frozen=True)
class Census:
    """The frames of one profile in the windows.

    ``places`` and ``numbers``, int64: of those that are verbatim.

    ``smaller``: among them were complete frames that are smaller than ours.
    """

    profile: Profile
    places: Numbers
    numbers: Numbers
    smaller: bool

    def explained(self) -> int:
        """Bytes of the frames that agree on the most popular geometry."""
        starts = self.places - frame_offsets(self.profile, self.numbers)
        return int(np.unique(starts, return_counts=True)[1].max()) * frame_size(self.profile, 0)

    def arrangement(self, file: ByteSource) -> tuple[Arrangement, Run]:
        """How the frames lie, and the run with the most of them."""
        runs = without_strays(believed_runs(self.profile, self.places, self.numbers))
        largest = max(runs, key=lambda run: run.frames)
        if self.smaller:
            return Arrangement.ENCODED, largest
        geometry = largest.geometry
        if len(runs) > 1 or geometry.audio_start < 0:
            return Arrangement.DISPLACED, largest
        last = geometry.furthest(file, largest.last, geometry.frames_in(file))
        return behind(file, geometry, last), largest


def censuses(file: ByteSource, wide: bool, window: int = WINDOW) -> Iterator[Census]:
    """A census for each profile that is found, that which explains the most bytes first.

    wide: search more, if little finds nothing. window: bytes searched at each place.
    """
    found = _count(file, WINDOWS, min(max(window, WINDOW), WIDE_WINDOW))
    if wide and not found:
        found = _count(file, WIDE_WINDOWS, WIDE_WINDOW)
    yield from sorted(found, key=Census.explained, reverse=True)


def _count(file: ByteSource, windows: int, window: int) -> list[Census]:
    found: dict[Profile, list[tuple[Numbers, Numbers]]] = {}
    smaller: set[Profile] = set()
    for start, length in _windows(file.size, windows, window):
        data = padded(file, start, length)
        votes = Counter(profile for _, profile, _ in announced(data.tobytes()))
        for profile, _ in votes.most_common(PROFILES_A_WINDOW):
            places, numbers, verbatim = find_headers(data, profile)
            found.setdefault(profile, []).append((places[verbatim] + start, numbers[verbatim]))
            if profile not in smaller and _made_smaller(data, profile, places, numbers):
                smaller.add(profile)
    joined = (
        Census(
            profile,
            np.concatenate([places for places, _ in parts]),
            np.concatenate([numbers for _, numbers in parts]),
            profile in smaller,
        )
        for profile, parts in found.items()
    )
    return [census for census in joined if len(census.places)]


def _windows(size: int, windows: int, window: int) -> list[tuple[int, int]]:
    """Offset and length of stretches that are spread evenly over ``size`` bytes.

    They reach from the first byte to the last, or are all of them.
    """
    if size <= windows * window:
        return [(start, window) for start in range(0, size, window)]
    return [((size - window) * i // (windows - 1), window) for i in range(windows)]


def _made_smaller(data: Bytes, profile: Profile, places: Numbers, numbers: Numbers) -> bool:
    """Whether a frame that the next one follows too early is complete all the same."""
    early = (np.diff(numbers) == 1) & (np.diff(places) < np.diff(frame_offsets(profile, numbers)))
    pairs = early.nonzero()[0][:PAIRS].tolist()
    return any(complete(data[places[i] : places[i + 1]].tobytes()) for i in pairs)
