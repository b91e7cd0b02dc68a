"""Where a band lies in a page."""

from __future__ import annotations

from dataclasses import dataclass

from audiomem_sql.audio.spectrum.plans import CODEWORD, Band
from audiomem_sql.protection.reed_solomon import ReedSolomon


@dataclass(frozen=True)
class Slot:
    """A band in a page.

    ``words`` of 64 bits in each block; field j of them is in the coefficients from ``starts[j]`` on,
    ``bits[j]`` bits each. ``stored`` bytes in a page, of which ``payload`` count; ``low``, ``high``: its
    range of coefficients.
    """

    band: Band
    low: int
    high: int
    words: int
    starts: tuple[int, ...]
    bits: tuple[int, ...]
    stored: int
    payload: int

    @property
    def code(self) -> ReedSolomon | None:
        """The code of the band; None for one without redundancy."""
        return ReedSolomon(CODEWORD, self.band.data_bytes) if self.band.data_bytes < CODEWORD else None

    @property
    def codewords(self) -> int:
        """Codewords in a page."""
        return self.stored // CODEWORD
