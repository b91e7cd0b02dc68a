"""Checkpoint, merge and vacuum; verify, repair and salvage.

What the rooms above use:

- ``checkpoint``, ``merge`` and ``vacuum`` make fewer, larger files; ``Retention`` says which versions a
  vacuum keeps
- ``write_backup`` copies one version to a new file, and locks nothing
- ``write_stream`` writes one version as a ``Stream`` for players, in media segments of ``SECONDS``
- ``problems`` gives every ``Problem`` in the files of a ``Verifiable``
- ``repaired`` writes a file as it was made, ``repair_copy`` a table: a ``Repair`` for each file
- ``load_salvaged`` reads what there is where files are missing; ``tell_torn_log`` warns of a log that ends
  badly, ``tell_mixed_file`` of pages of another state

Useful for work on whole files. Not for who may do it, which ``table.session`` decides: whoever calls holds
the writer's lock, but for a backup.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from audiomem_sql.upkeep.compaction import Retention, checkpoint, merge, vacuum
from audiomem_sql.upkeep.mixed_file import tell_mixed_file
from audiomem_sql.upkeep.repair import Repair, repair_copy, repaired
from audiomem_sql.upkeep.torn_log import tell_torn_log

if TYPE_CHECKING:
    from audiomem_sql.upkeep.backup import write_backup
    from audiomem_sql.upkeep.salvage import load_salvaged
    from audiomem_sql.upkeep.stream import SECONDS, Stream, write_stream
    from audiomem_sql.upkeep.verify import Problem, Verifiable, problems

#: Where copies and streams are written, and faults looked for. Loaded when the first one is.
_RARE = {
    "Problem": "verify",
    "SECONDS": "stream",
    "Stream": "stream",
    "Verifiable": "verify",
    "load_salvaged": "salvage",
    "problems": "verify",
    "write_backup": "backup",
    "write_stream": "stream",
}

__all__ = [
    "SECONDS",
    "Problem",
    "Repair",
    "Retention",
    "Stream",
    "Verifiable",
    "checkpoint",
    "load_salvaged",
    "merge",
    "problems",
    "repair_copy",
    "repaired",
    "tell_mixed_file",
    "tell_torn_log",
    "vacuum",
    "write_backup",
    "write_stream",
]


def __getattr__(name: str) -> Any:
    if name not in _RARE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_RARE[name]}"), name)
