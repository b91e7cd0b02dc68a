"""What reading showed of a band."""

from __future__ import annotations

from dataclasses import dataclass

ROUNDING = 3**-0.5
"""Error-vector magnitude of samples that are rounded to whole numbers, times the distance of two levels."""


@dataclass
class Health:
    """What reading showed of a band.

    ``error`` is the sum of squared deviations from the levels, over ``coefficients``, in units of half the
    distance between two: 1 is a border. ``corrections``: bytes that its code corrected. ``lost``: codewords
    that it could not.
    """

    error: float = 0.0
    coefficients: int = 0
    corrections: int = 0
    lost: int = 0

    @property
    def magnitude(self) -> float | None:
        """Error-vector magnitude: root mean square deviation, 1 for the border between levels.

        None if not measured.
        """
        return (self.error / self.coefficients) ** 0.5 if self.coefficients else None

    def add(self, other: Health) -> None:
        """Count in what another reading showed."""
        self.error += other.error
        self.coefficients += other.coefficients
        self.corrections += other.corrections
        self.lost += other.lost


@dataclass(frozen=True, slots=True)
class BandReading:
    """A band of a file: its range in Hz.

    Bits of a coefficient; bytes stored for one that is kept; bytes of a page in it.

    ``rounding``: its error-vector magnitude as written, since samples are whole numbers.
    """

    name: str
    low: float
    high: float
    bits: float
    redundancy: float
    page_bytes: int
    rounding: float
    health: Health
