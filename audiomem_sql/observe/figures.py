"""What is told of an open table and of a cache, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from audiomem_sql.errors import named


@dataclass(frozen=True, slots=True)
class TableFigures:
    """An open table: sizes in bytes, ``committed`` in seconds since 1970.

    delta_bytes: of segments behind the first one. ratio: bytes of values for each byte of the files.
    bands: the health of each frequency band, 1 where all is as it was written.
    """

    path: str
    profile: str
    rows: int
    version: int
    committed: float
    total_bytes: int
    log_bytes: int
    delta_bytes: int
    segments: int
    ratio: float
    bands: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """A tier of a cache, since the process began; held, capacity: bytes, None where only a server knows."""

    tier: str
    hits: int
    misses: int
    held: int | None
    capacity: int | None
    evictions: int = 0
    errors: int = 0


def table_name(file: str) -> str:
    """The name of the table in a file, without what lets somebody in: ``kb`` of ``s3://bucket/kb.flac``."""
    path = named(file).rstrip("/\\")
    last = path.replace("\\", "/").rsplit("/", 1)[-1]
    return last.rsplit(".", 1)[0] or last
