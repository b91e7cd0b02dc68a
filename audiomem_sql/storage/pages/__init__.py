"""Cells and pages of a file: their layout, their writing, reading and recovery.

What the rooms above use:

- ``PagedFile``: a file opened for reading. ``read`` and ``stream_cells`` give the payload of a stream, every
  byte of it checked or recovered; ``page_at`` and ``holds`` say where a stream is; ``damage`` lists what is
  wrong, as ``PageDamage``, and ``recover`` what of it can be brought back; ``band_readings`` and ``sound``
  show what it sounds like
- ``lay_out`` writes a file as its ``FileSpec`` says: the catalog, data, and parity of both
- what stands in a page: ``PageLayout``, ``PageHeader``, ``PageKind``, ``cell_seed``, all of format version
  ``FORMAT_VERSION``
- ``SEARCHED_PAGES``: how far from either end a page that is intact is looked for
"""

from __future__ import annotations

from audiomem_sql.storage.pages.file import PageDamage, PagedFile
from audiomem_sql.storage.pages.headers import SEARCHED_PAGES
from audiomem_sql.storage.pages.layout import FORMAT_VERSION, PageHeader, PageKind, PageLayout, cell_seed
from audiomem_sql.storage.pages.writer import FileSpec, lay_out

__all__ = [
    "FORMAT_VERSION",
    "SEARCHED_PAGES",
    "FileSpec",
    "PageDamage",
    "PageHeader",
    "PageKind",
    "PageLayout",
    "PagedFile",
    "cell_seed",
    "lay_out",
]
