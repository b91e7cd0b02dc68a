"""What is known of an open table without reading its rows, for metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from audiomem_sql.observe.figures import TableFigures
from audiomem_sql.sound.band_health import WHOLE, band_states
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.description import Sized, sizes


class Figured(Sized, Protocol):
    """A table that is open."""

    @property
    def path(self) -> str:
        """The path that it was opened by."""

    @property
    def options(self) -> TableOptions:
        """The options that it is written with."""


def figures_of(opened: Figured) -> TableFigures:
    """The figures of the snapshot that was loaded last."""
    snapshot = opened.snapshot.readable()
    size = sizes(opened)
    newest = snapshot.versions[-1].time if snapshot.versions else 0
    return TableFigures(
        path=opened.path,
        profile=opened.options.profile,
        rows=snapshot.rows,
        version=snapshot.version,
        committed=newest / 1e6,
        total_bytes=size["total"],
        log_bytes=size["log"],
        delta_bytes=size["deltas"],
        segments=len(snapshot.segments),
        ratio=size["ratio"],
        bands={state.name: state.health for state in band_states(snapshot, 0) if state.health is not None}
        or dict(_whole([segment.file for segment in snapshot.segments])),
    )


def _whole(files: list[PagedFile]) -> Iterator[tuple[str, float]]:
    """Of pages that are the samples themselves: the share of cells that reading did not find damaged."""
    if all(file.mode is None for file in files):
        damaged = sum(
            file.corrections.inner + file.corrections.outer + file.corrections.failed for file in files
        )
        cells = sum(file.page_count * file.layout.cells for file in files)
        yield WHOLE, max(0.0, 1 - damaged / max(cells, 1))
