"""A file in which two states are mixed, or its end is erased: said once in a process, as a DamageWarning."""

from __future__ import annotations

from audiomem_sql.upkeep.file_faults import ERASED
from audiomem_sql.versions import Snapshot, TableFiles
from audiomem_sql.warn_once import warn_once


def tell_mixed_file(files: TableFiles, snapshot: Snapshot) -> None:
    """Warn if what opening a table looks at, the front and the ends of segments, is of another state.

    It is read all the same: what the newest whole chain says, as far as cells are there or can be recovered.
    """
    file = snapshot.table_file
    if file is not None and file.mixed:
        warn_once(
            ("mixed", files.base, file.state),
            f"{files.base}: two states are mixed in the file: {file.mixed}. The newest is read, as far as it "
            "is there, and nothing is written. Restore the file from a copy, or run `audiomem repair` or "
            "`audiomem salvage`.",
        )
    if file is not None and file.erased:
        warn_once(
            ("erased", files.base, file.state),
            f"{files.base}: page {file.stop}: from here on are {ERASED}. The table is read up to version "
            f"{file.newest.catalog.last_version}. Restore the file from a copy if that was not the newest.",
        )
