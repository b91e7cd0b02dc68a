"""A segment: an immutable file of rows, with a catalog, and with labels that stand in for a lost catalog.

Other rooms import from here only.

- ``ReadableSegment`` is what rooms above read. ``Segment`` opens a file by its catalog, ``UnlistedSegment``
  one whose catalogs are lost; ``with_schema`` of either shows it with other columns. ``ROWID``, ``CREATED``
  and ``ENDED`` name the columns that no schema lists; ``NEVER`` stands for no version. ``matrix`` gives
  vectors as an array.
- ``SegmentWriter`` writes a file with ``WriteOptions``, which come from the ``TableOptions`` of a table.
- ``open_table_file`` opens a file with all its segments, a ``TableFile``; its ``FileState`` tells whether it
  was changed. A ``Placement`` is where a writer puts a segment:
  ``NewFile``, or ``AppendedPages`` where ``can_append``. ``announce`` says in a file that a log goes with it,
  ``retract`` takes that back; ``announced_copy`` and ``copied_file``, with its ``Comments``, write a file
  anew, page by page. ``Seal``, with its ``Link``, each ``EarlierSegment`` and what was ``Folded``, is what a
  segment says of those before it; ``FIRST_SEAL`` is that of the first.
- ``EncodedSegment`` is one that was encoded before its place is known, ``EncodedWriter`` places it.
- ``Arrival`` tells which rows can be read when only the first pages are there, ``Arrived`` how many are of a
  segment that was opened so.
- ``salvaged_file`` opens what there is of a file that is broken, a ``SalvagedFile``.
- ``Catalog`` says what a segment holds: each ``Version``, as many as ``check_version_count`` lets, the
  ``SchemaHistory`` (``NO_HISTORY`` for none) with each ``Migration``, at most ``MAX_MIGRATIONS``, and where
  each ``Extent`` is.
- ``check_copies`` and ``check_places`` verify a catalog, ``check_data`` its data; ``raw_catalog`` gives its
  bytes, ``repaired_comments`` and ``repaired_of_file`` the Vorbis comments of a damaged file.
- ``NumberedElsewhereError`` is that of a segment whose numbers are in a manifest; ``numbered_options`` marks
  one, and ``renumbered`` gives it the numbers, as a ``Numbering`` does when a file is opened.
- ``DELTAS`` says where deltas go, ``LAYOUTS`` whom the order of bytes serves. ``passages_option`` reads what
  is said of long texts, such as ``AUTO`` and ``ON``, and ``cuts_texts`` says whether they are cut.
- ``BACKENDS``, ``DEFAULT_MODEL``, ``HASHING``, ``WORDLLAMA``, ``OPENAI`` and ``OLLAMA`` are what
  the options say of models; ``check_backend`` checks a choice, ``default_backend`` makes one, and
  ``has_backends`` says whether there is any.

It is not for rows that change: a log and later segments say what was deleted, and ``versions`` puts them
together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.first_use import at_first_use

if TYPE_CHECKING:
    from audiomem_sql.storage.segment.appended_pages import AppendedPages, announce, can_append, retract
    from audiomem_sql.storage.segment.arrival import Arrival
    from audiomem_sql.storage.segment.catalog import (
        NO_HISTORY,
        Catalog,
        Extent,
        Migration,
        SchemaHistory,
        Version,
    )
    from audiomem_sql.storage.segment.catalog_checks import check_copies, check_data, check_places
    from audiomem_sql.storage.segment.catalog_copies import raw_catalog
    from audiomem_sql.storage.segment.catalog_history import MAX_MIGRATIONS
    from audiomem_sql.storage.segment.catalog_packing import check_version_count
    from audiomem_sql.storage.segment.column_numbers import CREATED, ENDED, NEVER, ROWID
    from audiomem_sql.storage.segment.contract import ReadableSegment
    from audiomem_sql.storage.segment.encoded import EncodedSegment, EncodedWriter
    from audiomem_sql.storage.segment.file_copies import Comments, announced_copy, copied_file
    from audiomem_sql.storage.segment.new_file import NewFile, Placement
    from audiomem_sql.storage.segment.numbered import (
        NumberedElsewhereError,
        Numbering,
        numbered_options,
        renumbered,
    )
    from audiomem_sql.storage.segment.options import (
        BACKENDS,
        DEFAULT_MODEL,
        DELTAS,
        HASHING,
        LAYOUTS,
        OLLAMA,
        OPENAI,
        WORDLLAMA,
        TableOptions,
        check_backend,
        default_backend,
        has_backends,
    )
    from audiomem_sql.storage.segment.partial import Arrived
    from audiomem_sql.storage.segment.passage_options import AUTO, ON, cuts_texts, passages_option
    from audiomem_sql.storage.segment.reader import Segment
    from audiomem_sql.storage.segment.salvaging import SalvagedFile, salvaged_file
    from audiomem_sql.storage.segment.seal import FIRST_SEAL, EarlierSegment, Folded, Link, Seal
    from audiomem_sql.storage.segment.table_file import TableFile, open_table_file
    from audiomem_sql.storage.segment.unlisted import UnlistedSegment
    from audiomem_sql.storage.segment.vector_extents import matrix
    from audiomem_sql.storage.segment.vorbis_comments import repaired_comments, repaired_of_file
    from audiomem_sql.storage.segment.write_options import WriteOptions
    from audiomem_sql.storage.segment.writer import SegmentWriter

__all__ = [
    "AUTO",
    "BACKENDS",
    "CREATED",
    "DEFAULT_MODEL",
    "DELTAS",
    "ENDED",
    "FIRST_SEAL",
    "HASHING",
    "LAYOUTS",
    "MAX_MIGRATIONS",
    "NEVER",
    "NO_HISTORY",
    "OLLAMA",
    "ON",
    "OPENAI",
    "ROWID",
    "WORDLLAMA",
    "AppendedPages",
    "Arrival",
    "Arrived",
    "Catalog",
    "Comments",
    "EarlierSegment",
    "EncodedSegment",
    "EncodedWriter",
    "Extent",
    "FileState",
    "Folded",
    "Link",
    "Migration",
    "NewFile",
    "NumberedElsewhereError",
    "Numbering",
    "Placement",
    "ReadableSegment",
    "SalvagedFile",
    "SchemaHistory",
    "Seal",
    "Segment",
    "SegmentWriter",
    "TableFile",
    "TableOptions",
    "UnlistedSegment",
    "Version",
    "WriteOptions",
    "announce",
    "announced_copy",
    "can_append",
    "check_backend",
    "check_copies",
    "check_data",
    "check_places",
    "check_version_count",
    "copied_file",
    "cuts_texts",
    "default_backend",
    "has_backends",
    "matrix",
    "numbered_options",
    "open_table_file",
    "passages_option",
    "raw_catalog",
    "renumbered",
    "repaired_comments",
    "repaired_of_file",
    "retract",
    "salvaged_file",
]

__getattr__ = at_first_use(
    __name__,
    {
        "appended_pages": ("AppendedPages", "announce", "can_append", "retract"),
        "arrival": ("Arrival",),
        "catalog": ("Catalog", "Extent", "Migration", "NO_HISTORY", "SchemaHistory", "Version"),
        "catalog_checks": ("check_copies", "check_data", "check_places"),
        "catalog_copies": ("raw_catalog",),
        "catalog_history": ("MAX_MIGRATIONS",),
        "catalog_packing": ("check_version_count",),
        "column_numbers": ("CREATED", "ENDED", "NEVER", "ROWID"),
        "contract": ("ReadableSegment",),
        "encoded": ("EncodedSegment", "EncodedWriter"),
        "file_copies": ("Comments", "announced_copy", "copied_file"),
        "new_file": ("NewFile", "Placement"),
        "numbered": ("NumberedElsewhereError", "Numbering", "numbered_options", "renumbered"),
        "options": (
            "BACKENDS",
            "DEFAULT_MODEL",
            "DELTAS",
            "HASHING",
            "LAYOUTS",
            "OLLAMA",
            "OPENAI",
            "TableOptions",
            "WORDLLAMA",
            "check_backend",
            "default_backend",
            "has_backends",
        ),
        "partial": ("Arrived",),
        "passage_options": ("AUTO", "ON", "cuts_texts", "passages_option"),
        "reader": ("Segment",),
        "salvaging": ("SalvagedFile", "salvaged_file"),
        "seal": ("EarlierSegment", "FIRST_SEAL", "Folded", "Link", "Seal"),
        "table_file": ("TableFile", "open_table_file"),
        "unlisted": ("UnlistedSegment",),
        "vector_extents": ("matrix",),
        "vorbis_comments": ("repaired_comments", "repaired_of_file"),
        "write_options": ("WriteOptions",),
        "writer": ("SegmentWriter",),
    },
)
