"""Segments and log as a snapshot at a version; what changed between two; which files there are.

What is listed here is what other rooms may import. ``TableFiles.load`` gives a ``Snapshot``; that has a
``SegmentView`` for each segment; ``changes`` tells what commits changed.
"""

from __future__ import annotations

from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.ingested import (
    DIGEST_BYTES,
    known_sources,
    logged_sources,
    pack_sources,
    segment_sources,
    unpack_sources,
)
from audiomem_sql.versions.merge import Tombstones, VersionedBatch, kept_rows, merged_rows
from audiomem_sql.versions.row_changes import Change, changes
from audiomem_sql.versions.snapshot import SegmentView, Snapshot, check_table

__all__ = [
    "DIGEST_BYTES",
    "Change",
    "SegmentView",
    "Snapshot",
    "TableFiles",
    "Tombstones",
    "VersionedBatch",
    "changes",
    "check_table",
    "kept_rows",
    "known_sources",
    "logged_sources",
    "merged_rows",
    "pack_sources",
    "segment_sources",
    "unpack_sources",
]
