"""What the layers above see of a file: numbered pages of one size.

``VerbatimPages``, ``ScannedPages``, ``DecodedPages``, ``AlignedSound`` and ``ModulatedPages`` are the
implementations; ``open_pages`` chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from audiomem_sql.audio.flac.frames import Bytes, Flags
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.audio.spectrum.health import BandReading
from audiomem_sql.audio.spectrum.plans import Mode
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import DamagedFileError, OptionError, TruncatedFileError

__all__ = [
    "Flags",
    "PageSource",
    "Probe",
    "missing_pages",
]

Probe = Callable[[bytes], int]
"""Given the first ``HEAD_BYTES`` payload bytes of channel 0 of a page, returns the block size that the page
was written with, or raises ``NotAudioMemoryError``."""


class PageSource(Protocol):
    """Pages of a file.

    ``file``: the bytes they are in, closed with it. ``page_count`` is how many the stream says it holds: a
    damaged STREAMINFO can make it too high, so take no memory on its word. ``present`` is how many whole
    pages are really there. ``profile`` is named as in ``PROFILES`` or ``custom``. ``page_size``: bytes of a
    page; with a modulation, which ``mode`` names, fewer than the samples have. ``in_place``: pages are where
    arithmetic says, and nowhere else was looked. ``application`` is the payload of the APPLICATION block
    ``AUDM``, if the file still has one; ``comments`` has field names in upper case.
    """

    file: ByteSource
    path: str
    profile: Profile
    page_size: int
    mode: Mode | None
    page_count: int
    present: int
    verbatim: bool
    in_place: bool
    application: bytes | None
    comments: dict[str, str]

    def read(self, first: int, count: int) -> Bytes:
        """Pages ``first … first + count``, fresh uint8 (count, page_size).

        Raises ``TruncatedFileError`` naming pages that are not there, ``DamagedFileError`` naming a page
        whose frame is not intact.
        """
        missing_pages(self, first, count)
        pages, ok = self.read_checked(first, count)
        if not ok.all():
            raise DamagedFileError(
                "the FLAC frame is damaged",
                file=self.path,
                place=f"page {first + int(np.argmin(ok))}",
                remedy="Run audiomem repair, or restore the file from a copy",
            )
        return pages

    def read_checked(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """Pages and bool (count,): False where the frame is not intact or not there.

        Raises only ``StorageError``.

        A page that is not ok holds what could be got of it and zeros for the rest.
        """
        ...

    def alternatives(self, page: int) -> Bytes:
        """Other readings of ``page``, uint8 (n, page_size), n maybe 0. Raises only ``StorageError``.

        Where bytes were put in or taken out inside a page, which of its bytes belong where cannot be told
        from the frames alone. Whoever has checksums of parts may try these for the parts that fail in
        ``read_checked``. By default none.
        """
        return np.empty((0, self.page_size), dtype=np.uint8)

    def doubtful(self, page: int) -> Flags:
        """Bytes of ``page`` that are known not to be what was written, bool (page_size,).

        Raises only ``StorageError``.

        By default none: bytes do not tell.
        """
        return np.zeros(self.page_size, dtype=np.bool_)

    @property
    def sound(self) -> PageSource:
        """The frames as pages of samples: what is below a modulation; without one, these pages."""
        return self

    def frames_for(self, pages: int) -> int:
        """Frames of a file of so many pages."""
        return pages

    def pages_in(self, frames: int) -> int:
        """Pages that are whole in the first ``frames`` frames of the file."""
        return frames

    def band_readings(self, pages: int) -> list[BandReading]:
        """The bands of a modulation, measured on ``pages`` pages, too; none without one."""
        return []

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        ...


def missing_pages(source: PageSource, first: int, count: int) -> None:
    """Raise ``TruncatedFileError`` if any of these pages is beyond the end.

    ``OptionError`` for impossible numbers.
    """
    if first < 0 or count < 0:
        raise OptionError(f"{count} pages from page {first}", file=source.path)
    if count and first + count > source.present:
        lost = max(first, source.present)
        raise TruncatedFileError(
            f"the file ends after {source.present} of {max(source.page_count, first + count)} pages",
            file=source.path,
            place=f"page {lost}" if lost == first + count - 1 else f"pages {lost} to {first + count - 1}",
            remedy="Run audiomem repair, or restore the file from a copy",
        )
