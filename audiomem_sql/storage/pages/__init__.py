"""Cells and pages of a file: their layout, their writing, reading and recovery.

What the rooms above use:

- ``PagedFile``: a file opened for reading. ``read`` and ``stream_cells`` give the payload of a stream, every
  byte of it checked or recovered; ``page_at`` and ``holds`` say where a stream is; ``damage`` lists what is
  wrong, as ``PageDamage``, and ``recover`` what of it can be brought back; ``band_readings`` and ``sound``
  show what it sounds like
- ``lay_out`` writes a file as its ``FileSpec`` says: the catalog, data, and parity of both, and of
  ``EarlierPages``
- what stands in a page: ``PageLayout``, ``PageHeader``, ``PageKind``, ``PageFlag``, ``cell_seed``; of format
  version ``FORMAT_VERSION`` where it is written
- several segments in a file: ``opened`` gives its pages, ``Opened``, with the newest segment;
  ``find_newest`` finds the one below a page, whose level is a ``checked_level``, ``segments_in_front`` all
  before it; ``is_unsealed`` and ``follows_announcement`` say whether one may be a part of what a writer was
  about to append; ``SharedPages`` are read by all of them, ``header_at`` looks at any page,
  ``pages_as_written`` copies them; ``NO_PAGES`` are no earlier ones
- whether a log goes with a file: the ``HeadRecord`` (``NO_SESSION`` for no log) at its front, of
  ``FRONT_BYTES``, which ``changed_front`` gives anew when ``packed_frames`` were
  appended; ``announce_page`` says it in the samples, ``announcement_as_written`` copies that;
  ``SEGMENT_ID_BYTES``, ``DIGEST_BYTES`` and ``SESSION_BYTES`` are the sizes of what names a segment or a log
- ``header_faults`` gives the ``HeaderFaults`` of a file, ``foreign_at`` those of one page: ``ForeignPages``,
  where the ``Pages`` of a segment must be; ``told`` puts them in words
- ``SEARCHED_PAGES``: how far from either end a page that is intact is looked for; ``MOST_LEFT_BEHIND``: how
  many announcements and torn segments are passed over, beyond which there is ``too_much_left_behind``
"""

from __future__ import annotations

from audiomem_sql.storage.pages.announcement import announce_page, announcement_as_written
from audiomem_sql.storage.pages.copying import pages_as_written
from audiomem_sql.storage.pages.damage import PageDamage
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.storage.pages.front import FRONT_BYTES, changed_front, packed_frames
from audiomem_sql.storage.pages.head_record import (
    DIGEST_BYTES,
    NO_SESSION,
    SEGMENT_ID_BYTES,
    SESSION_BYTES,
    HeadRecord,
)
from audiomem_sql.storage.pages.header import FORMAT_VERSION, PageFlag, PageHeader, PageKind
from audiomem_sql.storage.pages.headers import SEARCHED_PAGES, header_at
from audiomem_sql.storage.pages.identity import (
    ForeignPages,
    HeaderFaults,
    Pages,
    foreign_at,
    header_faults,
    told,
)
from audiomem_sql.storage.pages.laying_out import lay_out
from audiomem_sql.storage.pages.layout import PageLayout, cell_seed
from audiomem_sql.storage.pages.newest import (
    MOST_LEFT_BEHIND,
    find_newest,
    follows_announcement,
    is_unsealed,
    segments_in_front,
    too_much_left_behind,
)
from audiomem_sql.storage.pages.opening import Opened, checked_level, opened
from audiomem_sql.storage.pages.shared_pages import SharedPages
from audiomem_sql.storage.pages.source_cells import NO_PAGES, EarlierPages
from audiomem_sql.storage.pages.writer import FileSpec

__all__ = [
    "DIGEST_BYTES",
    "FORMAT_VERSION",
    "FRONT_BYTES",
    "MOST_LEFT_BEHIND",
    "NO_PAGES",
    "NO_SESSION",
    "SEARCHED_PAGES",
    "SEGMENT_ID_BYTES",
    "SESSION_BYTES",
    "EarlierPages",
    "FileSpec",
    "ForeignPages",
    "HeadRecord",
    "HeaderFaults",
    "Opened",
    "PageDamage",
    "PageFlag",
    "PageHeader",
    "PageKind",
    "PageLayout",
    "PagedFile",
    "Pages",
    "SharedPages",
    "announce_page",
    "announcement_as_written",
    "cell_seed",
    "changed_front",
    "checked_level",
    "find_newest",
    "follows_announcement",
    "foreign_at",
    "header_at",
    "header_faults",
    "is_unsealed",
    "lay_out",
    "opened",
    "packed_frames",
    "pages_as_written",
    "segments_in_front",
    "told",
    "too_much_left_behind",
]
