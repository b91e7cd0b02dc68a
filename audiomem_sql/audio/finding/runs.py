"""Runs of frames: what a file that was cut, or had bytes put in, is made of.

Bytes put in or taken out leave the frames before and after as they were, only in another place. A *run* is
consecutive frames that arithmetic places from one and the same start. Frame headers may also be found that
are none: of another file that is kept in a page, or copied from elsewhere. The runs to believe are those with
rising numbers that have the most frames.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise

from audiomem_sql.audio.finding.locate import Geometry
from audiomem_sql.audio.flac.frames import Numbers, frame_offsets
from audiomem_sql.audio.flac.profiles import Profile


@dataclass(frozen=True, slots=True)
class Run:
    """Frames ``first`` to ``last``, the ``frames`` headers found among them in place by ``geometry``."""

    geometry: Geometry
    first: int
    last: int
    frames: int


def believed_runs(profile: Profile, places: Numbers, numbers: Numbers) -> list[Run]:
    """The runs of the frame headers found at ``places`` (int64, rising) with ``numbers`` (int64), in order.

    No two that follow each other have the same start.
    """
    return _joined(_heaviest(_runs(profile, places, numbers)))


def without_strays(runs: list[Run]) -> list[Run]:
    """The runs without those of one frame whose neighbours agree with each other."""
    kept = [
        run
        for i, run in enumerate(runs)
        if run.frames > 1 or not 0 < i < len(runs) - 1 or runs[i - 1].geometry != runs[i + 1].geometry
    ]
    return _joined(kept)


def _runs(profile: Profile, places: Numbers, numbers: Numbers) -> list[Run]:
    starts = places - frame_offsets(profile, numbers)
    cuts = ((starts[1:] != starts[:-1]) | (numbers[1:] <= numbers[:-1])).nonzero()[0] + 1
    edges = [0, *cuts.tolist(), len(starts)] if len(starts) else []
    return [
        Run(Geometry(profile, int(starts[i])), int(numbers[i]), int(numbers[j - 1]), j - i)
        for i, j in pairwise(edges)
    ]


def _heaviest(runs: list[Run]) -> list[Run]:
    """The runs of rising numbers that have the most frames together.

    Frames that agree with another count twice.

    Weighted longest increasing subsequence: ``ends`` and ``weights`` are the chains that no other beats, by
    last number.
    """
    ends: list[int] = []
    weights: list[int] = []
    tails: list[int] = []
    previous: list[int] = []
    for i, run in enumerate(runs):
        j = bisect_left(ends, run.first) - 1
        previous.append(tails[j] if j >= 0 else -1)
        weight = (weights[j] if j >= 0 else 0) + 2 * run.frames - 1
        at = bisect_right(ends, run.last)
        if at and weights[at - 1] >= weight:
            continue
        low = at - 1 if at and ends[at - 1] == run.last else at
        high = bisect_right(weights, weight, lo=low)
        ends[low:high], weights[low:high], tails[low:high] = [run.last], [weight], [i]
    chain: list[Run] = []
    at = tails[-1] if tails else -1
    while at >= 0:
        chain.append(runs[at])
        at = previous[at]
    return chain[::-1]


def _joined(runs: list[Run]) -> list[Run]:
    joined: list[Run] = []
    for run in runs:
        if joined and joined[-1].geometry == run.geometry:
            before = joined.pop()
            run = Run(run.geometry, before.first, run.last, before.frames + run.frames)
        joined.append(run)
    return joined
