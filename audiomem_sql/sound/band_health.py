"""The frequency bands of a table: what they hold, and how well they are heard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.versions import Snapshot

WHOLE = "whole"
"""The one band of pages that are the samples themselves."""
MEASURED_PAGES = 8
"""Pages of a file by which health is measured, besides those that were read anyway, …"""
LISTENED_PAGES = 2
"""… and before a small file is written behind it."""
UNHEALTHY = 0.5
"""Error-vector magnitude from which a band is avoided: where nothing but noise is heard it is 0.58."""
NOISE = 3**-0.5
"""Error-vector magnitude of noise: deviations are anything up to a border, equally often."""
NEVER_AVOIDED = ("critical",)
"""Bands without which a broadcast is not found."""


@dataclass(frozen=True, slots=True)
class BandState:
    """A band: its range in Hz; bits per coefficient; bytes stored for one that is kept; bytes of pages in it.

    ``error``: error-vector magnitude, the distance from the levels as a share of half the distance of two,
    root mean square; None where nothing is heard, or the band is not of a spectrum. ``rounding``: what it is
    as written, as samples are whole numbers. ``corrections``: bytes that the code of the band corrected in
    what was looked at; ``lost``: codewords that it could not.
    """

    name: str
    low: float
    high: float
    bits: float
    redundancy: float
    bytes: int
    error: float | None
    corrections: int
    lost: int
    rounding: float = 0.0

    @property
    def health(self) -> float | None:
        """1 where every coefficient is where it was written, 0 where there is noise."""
        if self.error is None:
            return None
        return min(1.0, max(0.0, (NOISE - self.error) / (NOISE - self.rounding)))


def band_states(snapshot: Snapshot, pages: int = MEASURED_PAGES) -> list[BandState]:
    """The bands of all files of a table, lower ones first.

    Health is what reading showed so far, and that of some more ``pages``.
    """
    states: dict[str, BandState] = {}
    for segment in snapshot.segments:
        for state in _of_file(segment.file, pages):
            other = states.get(state.name)
            states[state.name] = state if other is None else _together(other, state)
    return sorted(states.values(), key=lambda state: state.low)


def unhealthy(snapshot: Snapshot, pages: int = LISTENED_PAGES) -> frozenset[str]:
    """Names of bands that the next file had better not use, by their health.

    ``pages`` more of each file are measured. Those that the first file does without stay so.
    """
    mode = snapshot.segments[0].file.mode
    if mode is None or not mode.bands:
        return frozenset()
    states = [state for state in band_states(snapshot, pages) if state.error is not None]
    bad = {state.name for state in states if (state.error or 0) > UNHEALTHY}
    if len(bad) == len(states):  # then it is not the frequencies
        bad = set()
    return frozenset(bad | mode.without) - frozenset(NEVER_AVOIDED)


def _of_file(file: PagedFile, pages: int) -> Iterable[BandState]:
    if file.mode is None:
        profile, size = file.profile, file.page_count * file.layout.page_size
        yield BandState(
            WHOLE, 0, profile.sample_rate / 2, float(profile.bits_per_sample), 1, size, None, 0, 0
        )
    for band in file.band_readings(pages):
        yield BandState(
            band.name,
            band.low,
            band.high,
            band.bits,
            band.redundancy,
            file.page_count * band.page_bytes,
            band.health.magnitude,
            band.health.corrections,
            band.health.lost,
            band.rounding,
        )


def _together(one: BandState, other: BandState) -> BandState:
    worst = max((error for error in (one.error, other.error) if error is not None), default=None)
    return BandState(
        one.name,
        min(one.low, other.low),
        max(one.high, other.high),
        one.bits,
        one.redundancy,
        one.bytes + other.bytes,
        worst,
        one.corrections + other.corrections,
        one.lost + other.lost,
        max(one.rounding, other.rounding),
    )
