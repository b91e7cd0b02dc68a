"""Segments and log as a snapshot at a version; what changed between two; which files there are.

Other rooms import from here only.

- ``TableFiles`` are the paths of a table; its ``load`` gives the newest ``Snapshot``, which has a
  ``SegmentView`` for each segment. ``check_table`` refuses a segment of another table.
- ``head_of`` gives the ``HeadRecord`` of a state whose newest segment is known.
- ``announced_session`` tells which log a file says that it goes with.
- ``changes`` tells what commits changed, one ``Change`` a row.
- ``merged_rows`` gives the rows of several segments as one, each batch a ``VersionedBatch``; ``kept_rows``
  leaves out what no kept version shows; ``Tombstones`` are the rows that segments deleted from earlier ones.
- ``known_sources``, ``segment_sources`` and ``logged_sources`` tell what was ingested, with digests of
  ``DIGEST_BYTES``; ``pack_sources`` and ``unpack_sources`` are how it is stored.

It is not for writing: commits are made by ``writing``, and files are merged by ``upkeep``.
"""

from __future__ import annotations

from audiomem_sql.storage.pages import HeadRecord
from audiomem_sql.versions.chain import check_table
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.head_file import head_of
from audiomem_sql.versions.ingested import (
    DIGEST_BYTES,
    known_sources,
    logged_sources,
    pack_sources,
    segment_sources,
    unpack_sources,
)
from audiomem_sql.versions.log_of_file import announced_session
from audiomem_sql.versions.merge import Tombstones, VersionedBatch, kept_rows, merged_rows
from audiomem_sql.versions.row_changes import Change, changes
from audiomem_sql.versions.snapshot import SegmentView, Snapshot

__all__ = [
    "DIGEST_BYTES",
    "Change",
    "HeadRecord",
    "SegmentView",
    "Snapshot",
    "TableFiles",
    "Tombstones",
    "VersionedBatch",
    "announced_session",
    "changes",
    "check_table",
    "head_of",
    "kept_rows",
    "known_sources",
    "logged_sources",
    "merged_rows",
    "pack_sources",
    "segment_sources",
    "unpack_sources",
]
