"""What requests and bytes cost, in dollars."""

from __future__ import annotations

from dataclasses import dataclass

_MILLION = 1_000_000
_GIGABYTE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars for a million requests, and for a gigabyte (10^9 bytes) that goes over the wire."""

    million_requests: float = 0.0
    gigabyte: float = 0.0

    def cost(self, requests: int, bytes_moved: int) -> float:
        """Dollars for so many requests and bytes."""
        return requests * self.million_requests / _MILLION + bytes_moved * self.gigabyte / _GIGABYTE


#: GET requests of S3 Standard (us-east-1), and its first 10 TB a month to the Internet. Within the region of
#: the bucket bytes are free: ``Prices(0.40, 0.0)``.
S3 = Prices(0.40, 0.09)
#: What this machine has costs nothing.
FREE = Prices()
