"""Pages: the unit of a segment file, and the payload stream that they carry.

A page is one FLAC frame. It begins with a header area of ``page_size / 256`` bytes, filled with copies of the 32-byte
page header; the rest is one cell for each KiB of the page. The payloads of all cells, one after another, are a stream
of bytes, and everything above this module names places in that stream.

    page n   | header, header, … | cell 0 | cell 1 | … | cell m-1 |
    cell     | payload | CRC-32C |
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

import numpy as np

from audiomem_sql.audio import FlacWriter, PageSource, Profile, open_pages
from audiomem_sql.audio.source import missing_pages
from audiomem_sql.errors import DamagedFileError, FormatVersionError, NotAudioMemoryError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.levels import PAGE_BYTES_PER_CELL, Level, level_coded
from audiomem_sql.types import BoolArray, U8Array

PAGE_MAGIC = b"AuMP"
FORMAT_VERSION = 1
MODULATION_PCM = 0

#: magic, format version, kind, protection, modulation, segment id, page number, page count, block size, index, CRC-32C
PAGE_HEADER = struct.Struct("<4s B B B B 8s I I H H I")
PAGE_BYTES_PER_HEADER_BYTE = 256


#: So many pages at either end are searched for an intact page header.
SEARCHED_PAGES = 16


class PageKind(IntEnum):
    """What a page carries."""

    CATALOG = 0
    DATA = 1


@dataclass(frozen=True, slots=True)
class PageHeader:
    """The 32 bytes that every page begins with."""

    kind: int
    protection: int
    modulation: int
    segment_id: bytes
    page_number: int
    page_count: int
    block_size: int
    index: int  # of a catalog page: its place inside its copy of the catalog
    format_version: int = FORMAT_VERSION

    def pack(self) -> bytes:
        """The 32 bytes, CRC-32C included."""
        head = PAGE_HEADER.pack(
            PAGE_MAGIC,
            self.format_version,
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
        return head + crc32c(head).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes) -> PageHeader | None:
        """The header in the first 32 bytes of ``data``; None if they are not one."""
        if len(data) < PAGE_HEADER.size or not data.startswith(PAGE_MAGIC):
            return None
        head = data[: PAGE_HEADER.size - 4]
        if crc32c(head) != int.from_bytes(data[PAGE_HEADER.size - 4 : PAGE_HEADER.size], "little"):
            return None
        _, version, kind, protection, modulation, segment, number, count, block, index, _ = (
            PAGE_HEADER.unpack_from(data)
        )
        return cls(kind, protection, modulation, segment, number, count, block, index, version)


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Where things are inside a page of ``page_size`` bytes at a protection level."""

    page_size: int
    level: Level

    @property
    def header_bytes(self) -> int:
        """Bytes of the header area."""
        return self.page_size // PAGE_BYTES_PER_HEADER_BYTE

    @property
    def cells(self) -> int:
        """Cells in a page."""
        return self.page_size // PAGE_BYTES_PER_CELL

    @property
    def payload_bytes(self) -> int:
        """Bytes of the payload stream in a page."""
        return self.cells * self.level.cells.payload_bytes

    def pages_for(self, length: int) -> int:
        """Pages that ``length`` bytes of payload take."""
        return -(-length // self.payload_bytes)

    def assemble(self, headers: list[PageHeader], payload: bytes, seed: int) -> U8Array:
        """Whole pages, uint8 (n, page_size), for n headers and at most n pages of payload (the rest is zeros)."""
        count, codec = len(headers), self.level.cells
        body = np.zeros((count * self.cells, codec.payload_bytes), np.uint8)
        body.reshape(-1)[: len(payload)] = np.frombuffer(payload, np.uint8)
        pages = np.zeros((count, self.page_size), np.uint8)
        cells = codec.encode(body, seed, headers[0].page_number * self.cells)
        pages[:, self.header_bytes : self.header_bytes + self.cells * codec.cell_bytes] = cells.reshape(
            count, -1
        )
        copies = self.header_bytes // PAGE_HEADER.size
        heads = b"".join(header.pack() * copies for header in headers)
        pages[:, : copies * PAGE_HEADER.size] = np.frombuffer(heads, np.uint8).reshape(count, -1)
        return pages


@dataclass(frozen=True, slots=True)
class PageDamage:
    """What is wrong with a page. ``headers``: copies of its header that are not intact; ``cells``: those whose CRC-32C
    does not match; ``frame``: the FLAC frame around it is not intact, or does not decode.
    """

    page: int
    frame: bool
    headers: int
    cells: tuple[int, ...]


def cell_seed(segment_id: bytes) -> int:
    """The number that ties the CRCs of a segment's cells to this segment."""
    return crc32c(segment_id)


class PageWriter:
    """Writes the pages of one segment to a FLAC file.

    The number of pages must be known; ``catalog`` and ``data`` are then written in file order.
    """

    def __init__(
        self,
        sink: BinaryIO,
        profile: Profile,
        level: Level,
        segment_id: bytes,
        pages: int,
        comments: dict[str, str],
    ) -> None:
        self.layout = PageLayout(profile.page_size, level)
        self._block_size = profile.block_size
        self._segment_id = segment_id
        self._pages = pages
        self._next = 0
        self._flac = FlacWriter(sink, profile, pages, self._header(0, PageKind.CATALOG, 0).pack(), comments)

    def _header(self, page: int, kind: PageKind, index: int) -> PageHeader:
        return PageHeader(
            kind=kind,
            protection=self.layout.level.code,
            modulation=MODULATION_PCM,
            segment_id=self._segment_id,
            page_number=page,
            page_count=self._pages,
            block_size=self._block_size,
            index=index,
        )

    def write(self, payload: bytes, kind: PageKind) -> None:
        """Append ``payload`` as whole pages; only the last piece of a kind may be no multiple of the page payload."""
        step = 64 * self.layout.payload_bytes
        for at in range(0, len(payload), step):
            piece = payload[at : at + step]
            first = at // self.layout.payload_bytes if kind == PageKind.CATALOG else 0
            headers = [
                self._header(self._next + i, kind, first + i if kind == PageKind.CATALOG else 0)
                for i in range(self.layout.pages_for(len(piece)))
            ]
            self._flac.write_pages(self.layout.assemble(headers, piece, cell_seed(self._segment_id)))
            self._next += len(headers)

    def close(self) -> None:
        """Finish the FLAC stream; the sink stays open."""
        self._flac.close()


class PagedFile:
    """A segment file opened for reading: pages by number, payload by place. Safe to use from several threads."""

    def __init__(self, source: PageSource, header: PageHeader, level: Level) -> None:
        self.source = source
        self.path = source.path
        self.header = header
        self.layout = PageLayout(source.profile.page_size, level)
        #: Pages of the segment: the page headers say so under a CRC, STREAMINFO does not.
        self.page_count = header.page_count
        self._seed = cell_seed(header.segment_id)

    @classmethod
    def open(cls, path: str) -> PagedFile:
        """Open ``path``.

        Raises NotAudioMemoryError for what is no table, FormatVersionError for a newer format, DamagedFileError when
        no page header can be read where one must be.
        """
        probe = _Probe(path)
        try:
            source = open_pages(path, probe)
        except NotAudioMemoryError:
            if probe.traces:
                raise _no_header(path) from None
            raise
        try:
            header = _any_header(source)
            level = level_coded(header.protection)
            if level is None or header.modulation != MODULATION_PCM:
                raise FormatVersionError(
                    f"needs protection code {header.protection} and modulation code {header.modulation}",
                    file=path,
                    remedy="Open it with a newer audiomem-sql.",
                )
            if header.block_size != source.profile.block_size:
                raise DamagedFileError(
                    "the page header and the FLAC stream disagree on the block size",
                    file=path,
                    place="page 0",
                )
            return cls(source, header, level)
        except BaseException:
            source.close()
            raise

    @property
    def truncated(self) -> bool:
        """Whether pages are missing at the end of the file."""
        return self.source.present < self.page_count

    @property
    def missing(self) -> range:
        """The pages that are beyond the end of the file."""
        return range(min(self.source.present, self.page_count), self.page_count)

    def page_header(self, page: int) -> PageHeader | None:
        """The header of ``page``, from the first of its copies that is intact; None if there is none."""
        pages, _ = self.source.read_checked(page, 1)
        return next((header for header in self._headers(pages[0], page) if header is not None), None)

    def _headers(self, content: U8Array, page: int) -> Iterator[PageHeader | None]:
        """Each copy of the header of ``page``; None for one that is not intact, or another page's."""
        for header in _copies(content[: self.layout.header_bytes].tobytes()):
            own = header is not None and header.page_number == page
            yield header if header and own and header.segment_id == self.header.segment_id else None

    def read(self, first_page: int, start: int, length: int) -> bytes:
        """``length`` bytes of payload from place ``start`` of the stream that begins at ``first_page``.

        One positioned read of the file. Raises DamagedFileError naming page and cell, TruncatedFileError naming the
        pages that are missing.
        """
        if length == 0:
            return b""
        size = self.layout.payload_bytes
        first, last = first_page + start // size, first_page + (start + length - 1) // size
        if start < 0 or length < 0 or last >= self.page_count:
            raise DamagedFileError(
                f"a reference leads to page {last} of {self.page_count}", file=self.path, remedy=_REMEDY
            )
        missing_pages(self.source, first, last - first + 1)
        pages, _ = self.source.read_checked(first, last - first + 1)
        skip = start % size
        payload, intact, lowest = self._cells(pages, first, skip, length)
        if not intact.all():
            cell = lowest + int(np.flatnonzero(~intact)[0])
            raise DamagedFileError(
                "CRC-32C mismatch: these bytes are not the ones that were written",
                file=self.path,
                place=f"page {first + cell // self.layout.cells}, cell {cell % self.layout.cells}",
                remedy=_REMEDY,
            )
        offset = skip - lowest * self.layout.level.cells.payload_bytes
        return payload.reshape(-1)[offset : offset + length].tobytes()

    def _cells(self, pages: U8Array, first: int, skip: int, length: int) -> tuple[U8Array, BoolArray, int]:
        """The cells that hold bytes skip … skip+length of ``pages``: payload, intact, and the number of the lowest."""
        codec = self.layout.level.cells
        body = pages[
            :, self.layout.header_bytes : self.layout.header_bytes + self.layout.cells * codec.cell_bytes
        ]
        cells = np.ascontiguousarray(body).reshape(-1, codec.cell_bytes)
        low, high = skip // codec.payload_bytes, -(-(skip + length) // codec.payload_bytes)
        payload, intact = codec.decode(cells[low:high], self._seed, first * self.layout.cells + low)
        return payload, intact, low

    def damage(self, step: int = 64, progress: Callable[[int], None] | None = None) -> Iterator[PageDamage]:
        """Every page with damage, in order; those that are :attr:`missing` are not among them.

        progress: called with the number of pages looked at.
        """
        there = min(self.source.present, self.page_count)
        for first in range(0, there, step):
            count = min(step, there - first)
            pages, frames = self.source.read_checked(first, count)
            bad = ~self._cells(pages, first, 0, count * self.layout.payload_bytes)[1].reshape(count, -1)
            for row in range(count):
                headers = sum(header is None for header in self._headers(pages[row], first + row))
                if headers or bad[row].any() or not frames[row]:
                    cells = tuple(np.flatnonzero(bad[row]).tolist())
                    yield PageDamage(first + row, not frames[row], headers, cells)
            if progress is not None:
                progress(first + count)

    def close(self) -> None:
        """Close the file."""
        self.source.close()


_REMEDY = "Run `audiomem verify` on it to list all damage, and restore the file from a copy."


class _Probe:
    """Samples of one channel in a page, from the first bytes of the audio; NotAudioMemoryError for music.

    ``traces``: some page began like one of ours, but its header was damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.traces = False

    def __call__(self, first: bytes) -> int:
        header = next((header for header in _copies(first) if header is not None), None)
        if header is None:
            self.traces = self.traces or PAGE_MAGIC in first
            raise NotAudioMemoryError(
                "this FLAC file holds sound, not a table",
                file=self.path,
                remedy="Name a file that was made by AudioMemory, or a new one.",
            )
        if header.format_version > FORMAT_VERSION:
            raise FormatVersionError(
                f"is in format version {header.format_version}; this version reads up to {FORMAT_VERSION}",
                file=self.path,
                remedy="Open it with a newer audiomem-sql.",
            )
        return header.block_size


def _copies(area: bytes) -> Iterator[PageHeader | None]:
    """The page headers, one behind another, in ``area``; None for one that is not intact."""
    for at in range(0, len(area) - PAGE_HEADER.size + 1, PAGE_HEADER.size):
        yield PageHeader.unpack(area[at : at + PAGE_HEADER.size])


def _any_header(source: PageSource) -> PageHeader:
    """A page header of this file.

    That of page 0, if the last page belongs to the same segment. Otherwise one of them may be damaged, or have come from
    another file: the segment that most pages at either end belong to decides, then the APPLICATION block.
    """
    missing_pages(source, 0, 1)
    last = source.present - 1
    found = {page: _header_of(source, page) for page in {0, last}}
    first = found[0]
    if first is not None and (other := found[last]) is not None and other.segment_id == first.segment_id:
        return first
    for page in (*range(min(SEARCHED_PAGES, last)), *range(max(SEARCHED_PAGES, last - SEARCHED_PAGES), last)):
        found[page] = _header_of(source, page)
    headers = [found[page] for page in sorted(found)] + [PageHeader.unpack(source.application or b"")]
    intact = [header for header in headers if header is not None]
    if not intact:
        raise _no_header(source.path)
    votes = Counter(header.segment_id for header in intact)
    return max(intact, key=lambda header: votes[header.segment_id])


def _header_of(source: PageSource, page: int) -> PageHeader | None:
    """The first intact header of ``page`` that says that it is that page's."""
    content, _ = source.read_checked(page, 1)
    area = content[0, : source.profile.page_size // PAGE_BYTES_PER_HEADER_BYTE].tobytes()
    return next(
        (header for header in _copies(area) if header is not None and header.page_number == page), None
    )


def _no_header(path: str) -> DamagedFileError:
    return DamagedFileError("no page header can be read", file=path, place="page 0", remedy=_REMEDY)
