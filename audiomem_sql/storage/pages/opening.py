"""Opening the pages of a table's file: what is no table, and what cannot be read, is told here."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiomem_sql import audio
from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.errors import DamagedFileError, FormatVersionError, NotAudioMemoryError
from audiomem_sql.protection.levels import PAGE_BYTES_PER_CELL, Level, level_coded
from audiomem_sql.storage.pages.header import (
    KNOWN_FLAGS,
    MODULATION_BANDS,
    MODULATION_PCM,
    MODULATION_SPECTRUM,
    PageHeader,
)
from audiomem_sql.storage.pages.headers import Probe, no_header, page_number
from audiomem_sql.storage.pages.newest import Newest, find_newest

if TYPE_CHECKING:
    from audiomem_sql.audio import PageSource


@dataclass(frozen=True, slots=True)
class Opened:
    """The pages of a file, and the newest segment in it with its protection level."""

    source: PageSource
    newest: Newest
    level: Level

    @property
    def header(self) -> PageHeader:
        """One of the page headers of the newest segment."""
        return self.newest.header

    @property
    def first(self) -> int:
        """Its page 0, counted in pages of the file."""
        return self.newest.first


def opened(where: str | ByteSource) -> Opened:
    """Open a file for reading its pages.

    where: a path, or a source, which is taken over. Errors as of ``PagedFile.open``.
    """
    source = _open_pages(where)
    try:
        newest = find_newest(source)
        return Opened(source, newest, checked_level(newest.header, source))
    except BaseException:
        source.close()
        raise


def checked_level(header: PageHeader, source: PageSource) -> Level:
    """The protection level of a segment. FormatVersionError or DamagedFileError for what cannot be read."""
    level = level_coded(header.protection)
    if level is None or header.modulation not in (MODULATION_PCM, MODULATION_SPECTRUM, MODULATION_BANDS):
        raise FormatVersionError(
            f"needs protection code {header.protection} and modulation code {header.modulation}",
            file=source.path,
            remedy="Open it with a newer audiomem-sql.",
        )
    if header.flags & ~KNOWN_FLAGS:
        raise FormatVersionError(
            f"needs flags {header.flags & ~KNOWN_FLAGS:#x} of page headers",
            file=source.path,
            remedy="Open it with a newer audiomem-sql.",
        )
    _check(header, source)
    return level


def _check(header: PageHeader, source: PageSource) -> None:
    """DamagedFileError if a page header contradicts the sound that it is in, or itself."""
    if (header.modulation != MODULATION_PCM) != (source.mode is not None):
        raise DamagedFileError(
            "the page header and the sound disagree on the modulation", file=source.path, place="page 0"
        )
    if header.block_size != source.profile.block_size:
        raise DamagedFileError(
            "the page header and the FLAC stream disagree on the block size", file=source.path, place="page 0"
        )
    cells = source.page_size // PAGE_BYTES_PER_CELL if header.is_compact else 1
    told = header.format_version > 1 or header.modulation == MODULATION_BANDS
    if told and not 0 < 2 * header.index <= header.page_count * cells:
        raise DamagedFileError(
            f"a page header says that a catalog has {header.index} of {header.page_count * cells} "
            f"{'cells' if header.is_compact else 'pages'}, which cannot be",
            file=source.path,
        )


def _open_pages(where: str | ByteSource) -> PageSource:
    """The pages of a file; errors as of ``PagedFile.open``."""
    with closing(open_source(where)) as file:
        probe = Probe(file.name)
        try:
            return audio.open_pages(file.reopen(), probe, page_number)
        except NotAudioMemoryError:
            if probe.began_as_ours:
                raise no_header(file.name) from None
            if (evidence := audio.evidence_of_a_table(file.reopen())) is None:
                raise
            audio.require_scipy()  # without it this may be a file whose pages are frequencies
            raise DamagedFileError(
                "this is AudioMemory sound whose samples were changed – by a lossy encoder, or another level "
                f"or rate – ({evidence}); none of its pages can be read",
                file=file.name,
                remedy="Take the file from before that. What is to outlive such things is made with "
                "modulation=spectrum and robustness=broadcast; for lossy encoders, robustness=lossy.",
            ) from None
