"""Checkpoint, merge and vacuum; verify, repair and salvage.

What the rooms above use:

- ``checkpoint``, ``merge`` and ``vacuum`` make fewer, larger files; ``Retention`` says which versions a
  vacuum keeps, ``small_deltas`` what a merge takes
- ``write_backup`` copies one version to a new file, and locks nothing
- ``write_stream`` writes one version as a ``Stream`` for players, in media segments of ``SECONDS``
- ``problems`` gives every ``Problem`` in the files of a ``Verifiable``
- ``repaired`` writes a file as it was made, each of the ``table_files``, ``repair_head`` the head,
  ``repair_copy`` a table: a ``Repair`` for each file
- ``load_salvaged`` reads what there is where files are missing; ``tell_torn_log`` warns of a log that ends
  badly, ``tell_mixed_file`` of pages of another state

Useful for work on whole files. Not for who may do it, which ``table.session`` decides: whoever calls holds
the writer's lock, but for a backup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.first_use import at_first_use

if TYPE_CHECKING:
    from audiomem_sql.upkeep.backup import write_backup
    from audiomem_sql.upkeep.compaction import (
        LAST_MERGE_BYTES,
        Retention,
        checkpoint,
        like_deltas,
        merge,
        vacuum,
    )
    from audiomem_sql.upkeep.mixed_file import tell_mixed_file
    from audiomem_sql.upkeep.repair import Repair, repair_copy, repair_head, repaired, table_files
    from audiomem_sql.upkeep.salvage import load_salvaged
    from audiomem_sql.upkeep.stream import SECONDS, Stream, write_stream
    from audiomem_sql.upkeep.torn_log import tell_torn_log
    from audiomem_sql.upkeep.verify import Problem, Verifiable, problems

__all__ = [
    "LAST_MERGE_BYTES",
    "SECONDS",
    "Problem",
    "Repair",
    "Retention",
    "Stream",
    "Verifiable",
    "checkpoint",
    "like_deltas",
    "load_salvaged",
    "merge",
    "problems",
    "repair_copy",
    "repair_head",
    "repaired",
    "table_files",
    "tell_mixed_file",
    "tell_torn_log",
    "vacuum",
    "write_backup",
    "write_stream",
]

__getattr__ = at_first_use(
    __name__,
    {
        "backup": ("write_backup",),
        "compaction": ("LAST_MERGE_BYTES", "Retention", "checkpoint", "like_deltas", "merge", "vacuum"),
        "mixed_file": ("tell_mixed_file",),
        "repair": ("Repair", "repair_copy", "repair_head", "repaired", "table_files"),
        "salvage": ("load_salvaged",),
        "stream": ("SECONDS", "Stream", "write_stream"),
        "torn_log": ("tell_torn_log",),
        "verify": ("Problem", "Verifiable", "problems"),
    },
)
