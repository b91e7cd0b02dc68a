"""How a segment is written: what the options of a table come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiomem_sql.columns.vector_index import COMPACT
from audiomem_sql.machine.limits import DEFAULT, LIMITS
from audiomem_sql.protection.levels import Level

if TYPE_CHECKING:
    from audiomem_sql.audio import Mode, Profile

_USUAL = LIMITS[DEFAULT]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a segment is written.

    level: zstd level 1 to 22. block_bytes: bytes of values in a block before compression. threads: for
    compression. mode: of the spectrum; None for pages that are the samples. vector_codes: of the vectors of
    texts. parts: how many segments share the rows of a table, each with as many. remote: for readers who get
    ranges of bytes from far away, see :mod:`audiomem_sql.storage.segment.strips`. The others as in
    :class:`~audiomem_sql.machine.limits.Limits`.
    """

    profile: Profile
    protection: Level
    level: int = _USUAL.level
    block_bytes: int = _USUAL.block_bytes
    threads: int = 2
    sample_bytes: int = _USUAL.sample_bytes
    spool_bytes: int = _USUAL.spool_bytes
    parity_bytes: int = _USUAL.parity_bytes
    mode: Mode | None = None
    vector_codes: str = COMPACT
    remote: bool = False
    parts: int = 1

    @property
    def by_bands(self) -> bool:
        """Whether what matters most is put into the most reliable bands."""
        return self.mode is not None and self.mode.bands != 0

    @property
    def by_strata(self) -> bool:
        """Whether the data stream is put into an order when all is there."""
        return self.by_bands or self.remote
