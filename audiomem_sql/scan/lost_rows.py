"""Says which rows a scan left out because nothing brings their bytes back."""

from __future__ import annotations

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment import ReadableSegment
from audiomem_sql.warn_once import warn_once


def tell_lost_values(
    segment: ReadableSegment, column: int, start: int, stop: int, error: DamagedFileError
) -> None:
    """Warn, once a process, that NULL stands for ``column`` of rows ``start`` … ``stop`` - 1."""
    name = segment.column_name(column)
    rows = f"rows {segment.rowid(start)} to {segment.rowid(stop - 1)}"
    remedy = "; `audiomem reembed` makes the vectors anew" if segment.is_derived(column) else ""
    warn_once(
        ("values", segment.path, segment.identity, name, start, stop),
        f"{segment.path}: column {name} of {rows} is lost, and NULL stands for it: "
        f"{error.place}: {error.what}{remedy}",
    )


def tell_lost_rows(segment: ReadableSegment, start: int, stop: int, error: DamagedFileError) -> None:
    """Warn, once a process, that rows ``start`` … ``stop`` - 1 of ``segment`` are left out."""
    try:
        rows = f"rows {segment.rowid(start)} to {segment.rowid(stop - 1)}"
    except DamagedFileError:
        rows = f"{stop - start:,} rows, whose rowids are lost, too,"
    warn_once(
        ("rows", segment.path, segment.identity, start, stop),
        f"{segment.path}: {rows} are left out: {error.place}: {error.what}",
    )
