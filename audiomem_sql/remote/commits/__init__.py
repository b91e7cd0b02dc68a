"""Commits in a store of objects: immutable segments, and one manifest that is replaced on a condition.

What the rooms above use:

- ``open_store`` gives an ``ObjectStore``, ``table_store`` that of a table's URL and its key;
  ``check_conditions`` tells whether it can be written to
- ``ManifestReader`` reads a ``Manifest``, and whether there is a new one
- ``Committer`` makes a ``Commit``, ``Fold``, ``Divide``, ``Import``, ``Retag``, ``Lease``; ``SplitChange`` is
  one of a sharded table, such as ``SplitFold`` and ``Reserve``
- ``collect`` removes what is no longer needed
- ``mark_dropped`` and ``drop_objects`` delete a table; ``DroppedError`` is that of who opens it meanwhile
"""

from __future__ import annotations

from audiomem_sql.remote.commits.changes import Commit, Fold, Import, Lease, NewEpoch, NewSegment, Retag
from audiomem_sql.remote.commits.collecting import Collected, collect
from audiomem_sql.remote.commits.committer import Committer, Limits, UnknownOutcomeError
from audiomem_sql.remote.commits.dividing import Divide
from audiomem_sql.remote.commits.dropping import drop_objects, mark_dropped
from audiomem_sql.remote.commits.manifest import Footprint, Manifest
from audiomem_sql.remote.commits.obstore_store import ObstoreStore, open_store, table_store
from audiomem_sql.remote.commits.probing import check_conditions
from audiomem_sql.remote.commits.reading import DroppedError, Head, ManifestReader
from audiomem_sql.remote.commits.splitting import Reserve, SplitChange, SplitFold
from audiomem_sql.remote.commits.store import Mark, Missing, ObjectStore, Refused, Stored, Unanswered, Upload
from audiomem_sql.remote.commits.waiting import Surroundings

__all__ = [
    "Collected",
    "Commit",
    "Committer",
    "Divide",
    "DroppedError",
    "Fold",
    "Footprint",
    "Head",
    "Import",
    "Lease",
    "Limits",
    "Manifest",
    "ManifestReader",
    "Mark",
    "Missing",
    "NewEpoch",
    "NewSegment",
    "ObjectStore",
    "ObstoreStore",
    "Refused",
    "Reserve",
    "Retag",
    "SplitChange",
    "SplitFold",
    "Stored",
    "Surroundings",
    "Unanswered",
    "UnknownOutcomeError",
    "Upload",
    "check_conditions",
    "collect",
    "drop_objects",
    "mark_dropped",
    "open_store",
    "table_store",
]
