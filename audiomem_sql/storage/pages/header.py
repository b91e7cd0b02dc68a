"""The page header: 32 bytes that every page begins with, several times over.

Version 1 and version 2 differ in what follows the page count: version 2 has flags, and counts the block size
in units of 1,024 samples to make room for them. What ``page_count`` and ``index`` count differs, too.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from audiomem_sql.protection.crc32c import crc32c

PAGE_MAGIC = b"AuMP"
FORMAT_VERSION = 2
MODULATION_PCM = 0
MODULATION_SPECTRUM = 1
MODULATION_BANDS = 2
"""As 1, and streams fill the cells of their pages by bands (see ``cell_order``)."""


#: magic, format version, kind, protection, modulation, segment id, page number, page count, block size in
#: units of BLOCK_UNIT, flags, index, CRC-32C
PAGE_HEADER = struct.Struct("<4s B B B B 8s I I B B H I")
#: The same in version 1: the block size is in samples, and there are no flags.
PAGE_HEADER_1 = struct.Struct("<4s B B B B 8s I I H H I")
BLOCK_UNIT = 1024
PAGE_BYTES_PER_HEADER_BYTE = 256
#: The most that ``index`` can say, and the most pages of a segment.
MAX_INDEX = (1 << 16) - 1
MAX_PAGES = (1 << 32) - 1


class PageKind(IntEnum):
    """What a page carries. A page of a compact segment has the kind of its first cell."""

    CATALOG = 0
    DATA = 1
    PARITY = 2
    ANNOUNCE = 3


class PageFlag(IntFlag):
    """Of a segment, in every header.

    COMPACT: its streams begin at cells, not at pages. WHOLE: its parity covers also the pages of all frames
    in front of it. APPENDED: it has the parity of segments that are appended to a file.
    """

    COMPACT = 1
    WHOLE = 2
    APPENDED = 4


KNOWN_FLAGS = int(PageFlag.COMPACT | PageFlag.WHOLE | PageFlag.APPENDED)


@dataclass(frozen=True, slots=True)
class PageHeader:
    """The 32 bytes that every page begins with.

    page_number: the place of the page in its segment. page_count: pages up to and including the second copy
    of the catalog; without protection that is all. index: pages of one copy of the catalog, in a compact
    segment cells. block_size: in samples.

    In format version 1 ``page_count`` is of all pages, and without protection ``index`` is, of a catalog
    page, its place inside its copy, unless cells are filled by bands.
    """

    kind: int
    protection: int
    modulation: int
    segment_id: bytes
    page_number: int
    page_count: int
    block_size: int
    index: int
    flags: int = 0
    format_version: int = FORMAT_VERSION

    @property
    def is_compact(self) -> bool:
        """Whether the streams of the segment begin at cells, not at pages."""
        return bool(self.flags & PageFlag.COMPACT)

    @property
    def is_whole(self) -> bool:
        """Whether the parity of the segment covers all frames in front of it, too."""
        return bool(self.flags & PageFlag.WHOLE)

    @property
    def is_appended(self) -> bool:
        """Whether the segment has the parity of those that are appended to a file."""
        return bool(self.flags & PageFlag.APPENDED)

    def pack(self) -> bytes:
        """The 32 bytes, CRC-32C included."""
        if self.format_version == 1:
            head = self._packed_1()
            return head + crc32c(head).to_bytes(4, "little")
        head = PAGE_HEADER.pack(
            PAGE_MAGIC,
            self.format_version,
            self.kind,
            self.protection,
            self.modulation,
            self.segment_id,
            self.page_number,
            self.page_count,
            self.block_size // BLOCK_UNIT,
            self.flags,
            self.index,
            0,
        )[:-4]
        return head + crc32c(head).to_bytes(4, "little")

    def _packed_1(self) -> bytes:
        """In format version 1, without the CRC: for pages of old files that are put right."""
        return PAGE_HEADER_1.pack(
            PAGE_MAGIC,
            1,
            self.kind,
            self.protection,
            self.modulation,
            self.segment_id,
            self.page_number,
            self.page_count,
            self.block_size,
            self.index,
            0,
        )[:-4]

    @classmethod
    def unpack(cls, data: bytes) -> PageHeader | None:
        """The header in the first 32 bytes of ``data``; None if they are not one.

        Of a version that is not known, only what is the same in all versions means something.
        """
        if len(data) < PAGE_HEADER.size or not data.startswith(PAGE_MAGIC):
            return None
        head = data[: PAGE_HEADER.size - 4]
        if crc32c(head) != int.from_bytes(data[PAGE_HEADER.size - 4 : PAGE_HEADER.size], "little"):
            return None
        _, version, kind, protection, modulation, segment, number, count, block, flags, index, _ = (
            PAGE_HEADER.unpack_from(data)
        )
        if version == 1:
            *_, block_size, index, _ = PAGE_HEADER_1.unpack_from(data)
            flags = 0
        else:
            block_size = block * BLOCK_UNIT
        return cls(kind, protection, modulation, segment, number, count, block_size, index, flags, version)
