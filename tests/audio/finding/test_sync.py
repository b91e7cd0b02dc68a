"""Frame headers are found in any bytes, and in any order the right ones are believed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from audio.conftest import SHAPES, make_pages, shape_id
from audiomem_sql.audio import PROFILES, Profile
from audiomem_sql.audio.finding.cut_frames import cuts_by_crc
from audiomem_sql.audio.finding.runs import believed_runs, without_strays
from audiomem_sql.audio.finding.sync import STEP, announced, find_headers
from audiomem_sql.audio.flac.frames import (
    MAX_HEADER_SIZE,
    NUMBER_STEPS,
    frame_header,
    frame_offset,
    frame_offsets,
)
from audiomem_sql.audio.flac.frames import frame_size as size_of

EDGES = sorted({n + more for n in (0, *NUMBER_STEPS) for more in (-1, 0, 1) if 0 <= n + more < 1 << 31})


@pytest.mark.parametrize("profile", [*SHAPES, Profile("custom", 655_350, 16, 8, 63 * 1024)], ids=shape_id)
def test_headers(profile: Profile) -> None:
    """Of every length of number, and across the edges of the steps in which bytes are searched."""
    data = np.full(2 * STEP + 5000, 0xFF, dtype=np.uint8)
    places = [0, 100, STEP - 1, STEP + 50, 2 * STEP - 9, len(data) - MAX_HEADER_SIZE - 1]
    places += list(range(1000, 1000 + 40 * (len(EDGES) - len(places)), 40))
    expected = list(zip(sorted(places), EDGES, strict=True))
    for place, n in expected:
        raw = frame_header(profile, n) + b"\x02"
        data[place : place + len(raw)] = np.frombuffer(raw, np.uint8)
    data[1040 + len(frame_header(profile, EDGES[3]))] = 0
    at, numbers, verbatim = find_headers(data, profile)
    assert list(zip(at.tolist(), numbers.tolist(), strict=True)) == expected
    assert verbatim.sum() == len(expected) - (1040 in at)
    assert [(place, n) for place, shape, n in announced(data.tobytes()) if shape == profile] == expected
    data[at + 3] ^= 1
    assert len(find_headers(data, profile)[0]) == 0
    for length in range(MAX_HEADER_SIZE + 3):
        assert len(find_headers(data[:length], profile)[0]) == 0


@pytest.mark.parametrize("profile", PROFILES.values(), ids=shape_id)
def test_offsets(profile: Profile) -> None:
    numbers = np.array(EDGES, dtype=np.int64)
    assert frame_offsets(profile, numbers).tolist() == [frame_offset(profile, 0, n) for n in EDGES]


def test_runs_are_the_heaviest_that_rise() -> None:
    """Compared with trying all choices."""
    profile, rng = PROFILES["mobile"], np.random.default_rng(0)
    size = size_of(profile, 0)
    for _ in range(300):
        parts = []
        place = 0
        for _ in range(int(rng.integers(1, 8))):
            first, count = int(rng.integers(0, 12)), int(rng.integers(1, 5))
            place += int(rng.integers(1, size))
            parts.append((place + size * np.arange(count), first + np.arange(count)))
            place += size * count
        places, numbers = np.concatenate([p for p, _ in parts]), np.concatenate([n for _, n in parts])
        best = 0
        for chosen in itertools.product((False, True), repeat=len(parts)):
            taken = [n for (_, n), take in zip(parts, chosen, strict=True) if take]
            if all(a[-1] < b[0] for a, b in itertools.pairwise(taken)):
                best = max(best, sum(2 * len(n) - 1 for n in taken))
        runs = believed_runs(profile, places, numbers)
        assert sum(2 * run.frames - 1 for run in runs) == best
        assert all(a.last < b.first for a, b in itertools.pairwise(runs))


def test_strays() -> None:
    profile = PROFILES["mobile"]
    numbers = np.array([0, 1, 2, 3, 4, 5, 6, 7], dtype=np.int64)
    places = 1000 + frame_offsets(profile, numbers)
    (run,) = believed_runs(profile, places, numbers)
    assert (run.geometry.audio_start, run.first, run.last, run.frames) == (1000, 0, 7, 8)
    places[4] += 7
    runs = believed_runs(profile, places, numbers)
    assert [(run.first, run.last) for run in runs] == [(0, 3), (4, 4), (5, 7)]
    assert [(run.first, run.last, run.frames) for run in without_strays(runs)] == [(0, 7, 7)]
    empty = np.empty(0, dtype=np.int64)
    assert believed_runs(profile, empty, empty) == []


@pytest.mark.parametrize("profile", [PROFILES["embedded"], PROFILES["desktop"]], ids=shape_id)
def test_cuts_by_crc(profile: Profile) -> None:
    """The CRC-16 is right for the cut that was made, and for few others."""
    from audiomem_sql.audio.flac.frames import pack_frames

    rng, right, others = np.random.default_rng(0), 0, 0
    pages = make_pages(profile, 40)
    pages[:, 16:] = rng.integers(0, 256, pages[:, 16:].shape)
    for n, frame in enumerate(pack_frames(profile, 0, pages)):
        cut, more = int(rng.integers(len(frame))), int(rng.integers(1, 3000))
        longer = np.insert(frame, cut, rng.integers(0, 256, more, dtype=np.uint8))
        cuts = cuts_by_crc(longer[: len(frame)], longer[more:])
        assert cut in cuts, n
        others += len(cuts) - 1
        right += np.array_equal(np.concatenate([longer[: cuts[0]], longer[cuts[0] + more :]]), frame)
    assert right >= 25
    assert others < 60
