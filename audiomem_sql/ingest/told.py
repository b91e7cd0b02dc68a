"""Whom an ingest tells of what it does, and whom it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audiomem_sql.errors import AudioMemError
from audiomem_sql.ingest.sources import Source
from audiomem_sql.machine.progress import Progress


@dataclass(frozen=True, slots=True)
class Told:
    """What ``ingestion.ingest`` was given as ``on_source`` and so on."""

    source: Callable[[Source], None]
    reading: Callable[[Source, int], None]
    skip: Callable[[Source, AudioMemError], None]
    part: Callable[[Source, AudioMemError], None]
    commit: Callable[[int], None]
    rows: Progress
    written: Progress
    stop: Callable[[], bool]
