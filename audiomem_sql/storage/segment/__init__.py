"""An immutable file of rows: catalog, labels, writer, and the readers of every kind of segment.

What is listed here is what other rooms may import; the modules of this room are its own affair.
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
    "matrix",
    "raw_catalog",
    "repaired_comments",
]
