"""A segment: an immutable file of rows, with a catalog, and with labels that stand in for a lost catalog.

Other rooms import from here only.

- ``ReadableSegment`` is what rooms above read. ``Segment`` opens a file by its catalog, ``UnlistedSegment``
  one whose catalogs are lost; ``with_schema`` of either shows it with other columns. ``ROWID``, ``CREATED``
  and ``ENDED`` name the columns that no schema lists; ``NEVER`` stands for no version. ``matrix`` gives
  vectors as an array.
- ``SegmentWriter`` writes a file with ``WriteOptions``, which come from the ``TableOptions`` of a table.
- ``Catalog`` says what a segment holds: each ``Version``, the ``SchemaHistory`` (``NO_HISTORY`` for none)
  with each ``Migration``, and where each ``Extent`` is.
- ``check_copies`` and ``check_places`` verify a catalog, ``raw_catalog`` gives its bytes,
  ``repaired_comments`` the Vorbis comments of a damaged file.
- ``BACKENDS``, ``DEFAULT_MODEL`` and ``HASHING`` are what the options say of models; ``check_backend`` checks
  a choice.

It is not for rows that change: a log and later segments say what was deleted, and ``versions`` puts them
together.
"""

from __future__ import annotations

from audiomem_sql.storage.segment.catalog import (
    NO_HISTORY,
    Catalog,
    Extent,
    Migration,
    SchemaHistory,
    Version,
)
from audiomem_sql.storage.segment.catalog_checks import check_copies, check_places
from audiomem_sql.storage.segment.catalog_copies import raw_catalog
from audiomem_sql.storage.segment.catalog_packing import check_version_count
from audiomem_sql.storage.segment.column_numbers import CREATED, ENDED, NEVER, ROWID
from audiomem_sql.storage.segment.contract import ReadableSegment
from audiomem_sql.storage.segment.options import (
    BACKENDS,
    DEFAULT_MODEL,
    HASHING,
    TableOptions,
    check_backend,
)
from audiomem_sql.storage.segment.reader import Segment
from audiomem_sql.storage.segment.unlisted import UnlistedSegment
from audiomem_sql.storage.segment.vector_extents import matrix
from audiomem_sql.storage.segment.vorbis_comments import repaired_comments
from audiomem_sql.storage.segment.write_options import WriteOptions
from audiomem_sql.storage.segment.writer import SegmentWriter

__all__ = [
    "BACKENDS",
    "CREATED",
    "DEFAULT_MODEL",
    "ENDED",
    "HASHING",
    "NEVER",
    "NO_HISTORY",
    "ROWID",
    "Catalog",
    "Extent",
    "Migration",
    "ReadableSegment",
    "SchemaHistory",
    "Segment",
    "SegmentWriter",
    "TableOptions",
    "UnlistedSegment",
    "Version",
    "WriteOptions",
    "check_backend",
    "check_copies",
    "check_places",
    "check_version_count",
    "matrix",
    "raw_catalog",
    "repaired_comments",
]
