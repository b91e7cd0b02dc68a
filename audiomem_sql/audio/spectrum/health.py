"""What reading showed of a band."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Health:
    """What reading showed of a band: ``error`` is the sum of squared deviations from the levels, in units of half the distance
    between two (1 is a border), over ``coefficients``; ``corrections``: bytes that its code corrected; ``lost``: codewords that it
    could not."""

    error: float = 0.0
    coefficients: int = 0
    corrections: int = 0
    lost: int = 0

    @property
    def magnitude(self) -> float | None:
        """Error-vector magnitude: root mean square deviation, 1 for the border between levels; None if not measured."""
        return (self.error / self.coefficients) ** 0.5 if self.coefficients else None

    def add(self, other: Health) -> None:
        """Count in what another reading showed."""
        self.error += other.error
        self.coefficients += other.coefficients
        self.corrections += other.corrections
        self.lost += other.lost
