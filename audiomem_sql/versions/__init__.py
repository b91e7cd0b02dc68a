"""Segments and log as a snapshot at a version; what changed between two; which files there are.

Other rooms import from here only.

- ``table_files`` gives the ``TableFiles`` that a path or a URL leads to, with ``Tiers`` of a cache in front
  of a URL; ``RemoteTableFiles`` are those of a URL; ``ReplicatedTableFiles`` those in
  several places, whose manifests are compared by ``check_same_history``; ``only_read`` is the error of who
  would write to one.
  ``AlreadyThereError`` is that of who would make a table where something is.
- ``open_copies`` opens a ``Copy`` in each of several places, which ``copy_places`` names; ``check_same``
  refuses what is none, ``leader`` is the first that can be read, ``snapshot_of`` what one holds alone;
  ``check_alone`` refuses a file with a log. ``stored_tables`` are those of a table with a manifest, whose
  segments are opened ``as_numbered``.
- ``TableFiles`` are the paths of a table; its ``load`` gives the newest ``Snapshot``, which has a
  ``SegmentView`` for each segment. ``check_table`` refuses a segment of another table.
- ``StoredSnapshot`` is that of a table in a store with a manifest, ``StoredTable`` has its objects,
  ``StoredHistory`` those that only old versions are read from,
  ``record_of`` gives a commit that stands in the manifest;
  ``make_table`` makes the first ones, ``check_keeps_conditions`` refuses a store where that cannot be done.
- ``head_of`` gives the ``HeadRecord`` of a state whose newest segment is known, ``read_head`` that of the
  head file among the deltas, ``read_head_file`` a ``HeadFile``; ``write_head`` makes it.
- ``broken_link`` tells whether a delta continues another segment, ``is_replaced`` whether others have it all.
- ``announced_session`` tells which log a file says that it goes with.
- ``decided_words`` tells how the texts of a column become words, ``decided_tokenizers`` what a new segment
  follows.
- ``changes`` tells what commits changed, one ``Change`` a row; ``in_order`` makes them of rows by version.
- ``merged_rows`` gives the rows of several segments as one, each batch a ``VersionedBatch``; ``kept_rows``
  leaves out what no kept version shows; ``Tombstones`` are the rows that segments deleted from earlier ones.
- ``known_sources``, ``segment_sources`` and ``logged_sources`` tell what was ingested, with digests of
  ``DIGEST_BYTES``; ``pack_sources`` and ``unpack_sources`` are how it is stored. ``present_sources`` leaves
  out what is ``REMOVED`` or a ``NOTE``, ``without_removed`` only the former. ``FILE``, ``GIVEN`` and ``PAGE``
  end digests, behind ``SAID_BYTES``; one that ``is_old`` has another end. ``unknown_source`` is the entry of
  one whose rows were restored. The name of what an application committed begins with ``APPLICATION``.

It is not for writing: commits are made by ``writing``, and files are merged by ``upkeep``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from audiomem_sql.storage.pages import HeadRecord
from audiomem_sql.versions.base_file import only_read
from audiomem_sql.versions.chain import check_table
from audiomem_sql.versions.change import Change
from audiomem_sql.versions.column_language import decided_tokenizers, decided_words
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.head_file import (
    HeadFile,
    broken_link,
    head_of,
    read_head,
    read_head_file,
    write_head,
)
from audiomem_sql.versions.ingested import (
    APPLICATION,
    DIGEST_BYTES,
    FILE,
    GIVEN,
    NOTE,
    PAGE,
    REMOVED,
    SAID_BYTES,
    is_old,
    known_sources,
    logged_sources,
    pack_sources,
    present_sources,
    segment_sources,
    unknown_source,
    unpack_sources,
    without_removed,
)
from audiomem_sql.versions.log_of_file import announced_session
from audiomem_sql.versions.merge import Tombstones, VersionedBatch, kept_rows, merged_rows
from audiomem_sql.versions.opening import table_files
from audiomem_sql.versions.replaced import is_replaced
from audiomem_sql.versions.row_changes import changes, in_order
from audiomem_sql.versions.segment_view import SegmentView
from audiomem_sql.versions.snapshot import Snapshot

if TYPE_CHECKING:
    from audiomem_sql.versions.copies import Copy, check_same, leader, open_copies, snapshot_of
    from audiomem_sql.versions.remote_files import RemoteTableFiles, Tiers
    from audiomem_sql.versions.replicated_files import (
        ReplicatedTableFiles,
        as_numbered,
        check_alone,
        check_same_history,
        copy_places,
        stored_tables,
    )
    from audiomem_sql.versions.stored_history import StoredHistory
    from audiomem_sql.versions.stored_making import AlreadyThereError, check_keeps_conditions, make_table
    from audiomem_sql.versions.stored_snapshot import StoredSnapshot
    from audiomem_sql.versions.stored_table import StoredTable, record_of

#: Where copies in several places, and tables in stores, are read. Loaded when the first one is.
_RARE = {
    "AlreadyThereError": "stored_making",
    "Copy": "copies",
    "RemoteTableFiles": "remote_files",
    "ReplicatedTableFiles": "replicated_files",
    "StoredHistory": "stored_history",
    "StoredSnapshot": "stored_snapshot",
    "StoredTable": "stored_table",
    "Tiers": "remote_files",
    "as_numbered": "replicated_files",
    "check_alone": "replicated_files",
    "check_keeps_conditions": "stored_making",
    "check_same": "copies",
    "check_same_history": "replicated_files",
    "copy_places": "replicated_files",
    "leader": "copies",
    "make_table": "stored_making",
    "open_copies": "copies",
    "record_of": "stored_table",
    "snapshot_of": "copies",
    "stored_tables": "replicated_files",
}

__all__ = [
    "APPLICATION",
    "DIGEST_BYTES",
    "FILE",
    "GIVEN",
    "NOTE",
    "PAGE",
    "REMOVED",
    "SAID_BYTES",
    "AlreadyThereError",
    "Change",
    "Copy",
    "HeadFile",
    "HeadRecord",
    "RemoteTableFiles",
    "ReplicatedTableFiles",
    "SegmentView",
    "Snapshot",
    "StoredHistory",
    "StoredSnapshot",
    "StoredTable",
    "TableFiles",
    "Tiers",
    "Tombstones",
    "VersionedBatch",
    "announced_session",
    "as_numbered",
    "broken_link",
    "changes",
    "check_alone",
    "check_keeps_conditions",
    "check_same",
    "check_same_history",
    "check_table",
    "copy_places",
    "decided_tokenizers",
    "decided_words",
    "head_of",
    "in_order",
    "is_old",
    "is_replaced",
    "kept_rows",
    "known_sources",
    "leader",
    "logged_sources",
    "make_table",
    "merged_rows",
    "only_read",
    "open_copies",
    "pack_sources",
    "present_sources",
    "read_head",
    "read_head_file",
    "record_of",
    "segment_sources",
    "snapshot_of",
    "stored_tables",
    "table_files",
    "unknown_source",
    "unpack_sources",
    "without_removed",
    "write_head",
]


def __getattr__(name: str) -> Any:
    if name not in _RARE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_RARE[name]}"), name)
