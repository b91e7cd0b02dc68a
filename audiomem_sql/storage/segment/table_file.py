"""A file of a table: its segments, oldest first, and what it says of a log that goes with it.

The newest segment is found by the page headers at the end of the file. Its seal names the segments in front
of it and has the digests of their catalogs; what is there instead is told.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, Protocol

from audiomem_sql.audio import PageSource, VerbatimPages
from audiomem_sql.bytes import ByteSource
from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.protection.levels import Level
from audiomem_sql.storage.pages import (
    HeaderFaults,
    HeadRecord,
    Opened,
    PagedFile,
    PageKind,
    SharedPages,
    foreign_at,
    header_faults,
    opened,
    segments_in_front,
    told,
)
from audiomem_sql.storage.segment.believed import believed
from audiomem_sql.storage.segment.catalog_copies import StoredCatalog, any_catalog
from audiomem_sql.storage.segment.numbered import Numbering, numbered_catalog
from audiomem_sql.storage.segment.reader import Segment
from audiomem_sql.storage.segment.seal import EarlierSegment


class _Opener(Protocol):
    """Makes a segment of its pages, and of its catalog if that was read."""

    def __call__(self, own: PagedFile, stored: StoredCatalog | None = None) -> Segment: ...


@dataclass(slots=True)
class _HeadersRead:
    """What the page headers of a file said when they were last read.

    touched: when somebody had last touched the file. unreadable: how many had no intact copy before anybody
    else touched the file that was opened; 0 if they were not read then.
    """

    now: HeaderFaults | None = None
    touched: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """A file of a table.

    state: when it was opened. segments: oldest first. front: the head record in the metadata; announced: that
    of an announce page behind the newest segment. stop: the page behind the newest segment. torn: behind it
    are pages of a segment that was never finished. erased: behind it are zeros that no writer left.
    mixed: what of another state or table was found in it, in words; empty if nothing was. beside: the head
    record in the folder of deltas, if it is of this state.
    """

    path: str
    state: FileState
    segments: tuple[Segment, ...]
    front: HeadRecord | None
    announced: HeadRecord | None
    stop: int
    torn: bool
    erased: bool
    mixed: str
    beside: HeadRecord | None = None
    _headers: _HeadersRead = field(default_factory=_HeadersRead)

    @property
    def mixture(self) -> str:
        """:attr:`mixed`, or what all page headers say, in words."""
        try:
            touched = os.stat(self.path).st_ctime_ns
        except FileNotFoundError:
            touched = 0
        except OSError as error:
            raise storage_error(error, self.path) from error
        return self.mixed or told(self._header_faults(touched).foreign)

    def _header_faults(self, touched: int) -> HeaderFaults:
        """What the page headers of the file say. They are read if somebody touched it since."""
        read = self._headers
        if read.now is None or read.touched != touched:
            places = [segment.file.place for segment in self.segments]
            read.now, read.touched = header_faults(self.newest.file.source, places), touched
            if touched == self.state.touched:
                read.unreadable = read.now.unreadable
        return read.now

    def headers_of_successor(self, oldest: Segment) -> _HeadersRead:
        """What is known of the headers of the file that came after this one, and begins with ``oldest``.

        Its pages are these, or copies of them with what was unreadable, unless it was vacuumed.
        """
        same = oldest.catalog.segment_id == self.segments[0].catalog.segment_id
        return _HeadersRead(unreadable=self._headers.unreadable if same else 0)

    @property
    def newest(self) -> Segment:
        """The newest segment."""
        return self.segments[-1]

    @property
    def generation(self) -> int:
        """The generation that the samples say; 0 in format version 1."""
        seal = self.newest.catalog.seal
        generation = 0 if seal is None else seal.generation
        records = [record for record in (self.announced, self.beside) if record is not None]
        return max([generation, *(record.generation for record in records)])

    @property
    def next_generation(self) -> int:
        """The generation of the next change: above what samples and front say."""
        return max(self.generation, 0 if self.front is None else self.front.generation) + 1

    @property
    def head(self) -> HeadRecord:
        """The head record of the newest segment, without a log."""
        catalog, seal = self.newest.catalog, self.newest.catalog.seal
        generation = 0 if seal is None else seal.generation
        return HeadRecord(
            generation,
            catalog.table_id,
            self.stop,
            catalog.segment_id,
            self.newest.digest,
            catalog.last_version,
        )

    @property
    def format_version(self) -> int:
        """The least format version of its segments that has what is there."""
        return min(segment.file.header.format_version for segment in self.segments)

    def is_older_than(self, other: TableFile) -> bool:
        """Whether its segments are of a state before that of ``other``, or one that did not follow it.

        By the generation that the samples say; that of the front may be lost, and not brought back by a
        repair.
        """
        return self.newest.digest != other.newest.digest and self.generation <= other.generation

    def check_unchanged(self) -> None:
        """StorageError if the file is not as it was when it was opened, or this session left it.

        Somebody may have written into its middle: if it was touched, its page headers are read again.
        """
        state = FileState.of(self.path)
        if state != self.state:
            raise self.was_changed()
        if state.touched != self.state.touched:
            faults = self._header_faults(state.touched)
            if faults.foreign or faults.unreadable > self._headers.unreadable:
                raise self.was_changed()

    def was_changed(self) -> StorageError:
        """The error of a file that somebody else changed while its table is written to."""
        return StorageError(
            "the file was changed or replaced while it was written to; nothing was committed",
            file=self.path,
            remedy="Open it again, and look whether it is the one that you want.",
        )

    def close(self) -> None:
        """Close the segments."""
        for segment in self.segments:
            segment.close()


def open_table_file(
    where: str | ByteSource,
    cache: BlockCache,
    before: TableFile | None = None,
    numbering: Numbering | None = None,
    *,
    partial: bool = False,
) -> TableFile:
    """Open the file at a path, or in a source, which is taken over.

    before: it, as it was opened before; segments of the same file at the same place are used again.
    numbering: of the file's one segment, if it is one of a table in a store.
    partial: it may end before all of it has arrived; then its one segment has the rows that are there.
    Errors are those of ``PagedFile.open``, and DamagedFileError for a chain that is not whole.
    """
    path = where if isinstance(where, str) else where.name
    state = FileState.of(path) if isinstance(where, str) else FileState.of_source(where)
    known = None if before is None else {each.catalog.segment_id: each for each in before.segments}
    found = opened(where)  # says in our words what is wrong if there is no file
    pages = SharedPages(found.source).take()
    fresh: list[Segment] = []
    try:
        assert state is not None

        def segment(own: PagedFile, stored: StoredCatalog | None = None) -> Segment:
            numbered = numbered_catalog(own, stored, numbering)
            made = Segment.of(own, cache, state.identity, numbered, partial=partial)
            fresh.append(made)
            return made

        last = _usable(known, found.header.segment_id, found.first, state, found.source)
        if last is None:
            found, last = believed(found, functools.partial(_newest_segment, pages=pages, segment=segment))
        newest = found.newest
        seal = last.catalog.seal
        earlier = () if seal is None else seal.earlier
        _check_places(earlier, last)
        segments = _earlier_segments(earlier, last, pages, found.level, segment, known, state)
        _check_digests(earlier, segments, path)
        return TableFile(
            path,
            state,
            (*segments, last),
            newest.front,
            newest.announced,
            newest.stop,
            newest.torn,
            _is_erased(found),
            _mixture(found, (*segments, last)),
            _headers=_HeadersRead() if before is None else before.headers_of_successor((*segments, last)[0]),
        )
    except BaseException as error:
        for made in fresh:
            made.close()
        if isinstance(error, AudioMemError):
            error.at(file=path, place="catalog")
        raise
    finally:
        pages.release()


def _check_digests(earlier: Sequence[EarlierSegment], segments: Sequence[Segment], path: str) -> None:
    """Segments must be those that the newest one names. DamagedFileError."""
    for each, one in zip(earlier, segments, strict=True):
        if one.digest != each.digest:
            _broken(path, f"the segment at page {each.first} is not the one that the newest continues")


def _usable(
    known: Mapping[bytes, Segment] | None, segment_id: bytes, first: int, state: FileState, source: PageSource
) -> Segment | None:
    """The open segment with this id, if it is at this place of this file, whose pages are ``source``."""
    segment = None if known is None else known.get(segment_id)
    if segment is None or segment.identity != state.identity or segment.file.first != first:
        return None
    return segment if _at_same_byte(segment.file.source, source, first) else None


def _at_same_byte(before: PageSource, now: PageSource, page: int) -> bool:
    """Whether a page is where it was: editors of tags move all frames of a file without replacing it."""
    if not isinstance(before, VerbatimPages) or not isinstance(now, VerbatimPages):
        return False
    return before.offset(page) == now.offset(page)


def _newest_segment(found: Opened, pages: SharedPages, segment: _Opener) -> Segment:
    """The newest segment. Its parity may cover others: which those are, its catalog says.

    If the catalog cannot be read without that parity, the page headers say so.
    """
    header, first = found.header, found.first
    own = PagedFile(pages, header, found.level, first)
    try:
        if not header.is_whole:
            return segment(own)
        stored = _own_catalog(own)
        seal = None if stored is None else stored.catalog.seal
        if stored is None:
            earlier = segments_in_front(found.source, first)
        elif seal is None or not seal.earlier:
            return segment(own, stored)
        else:
            earlier = tuple((each.first, each.segment_id) for each in seal.earlier)
    except BaseException:
        own.close()
        raise
    own.close()
    covering = PagedFile(pages, header, found.level, first, earlier)
    try:
        return segment(covering, stored)
    except BaseException:
        covering.close()
        raise


def _own_catalog(file: PagedFile) -> StoredCatalog | None:
    """The catalog of a segment; None if it cannot be read without the pages in front of it."""
    try:
        return any_catalog(file)
    except DamagedFileError:
        return None


def _earlier_segments(
    places: tuple[EarlierSegment, ...],
    newest: Segment,
    pages: SharedPages,
    level: Level,
    segment: _Opener,
    known: Mapping[bytes, Segment] | None,
    state: FileState,
) -> list[Segment]:
    """The segments in front of ``newest``.

    The last one whose parity covers those in front of it does so; what stood behind others was left out when
    they were copied.
    """
    segments: list[Segment] = []
    cover = newest.file if newest.file.header.is_whole else None
    for number in range(len(places) - 1, -1, -1):
        place = places[number]
        one = _usable(known, place.segment_id, place.first, state, pages.source)
        if one is None:
            header = replace(
                newest.file.header,
                kind=int(PageKind.CATALOG),
                segment_id=place.segment_id,
                page_number=0,
                page_count=place.pages,
                index=place.index,
                flags=place.flags,
            )
            covered: tuple[tuple[int, bytes], ...] = ()
            if cover is None and header.is_whole:
                covered = tuple((each.first, each.segment_id) for each in places[:number])
            one = segment(PagedFile(pages, header, level, place.first, covered, cover))
        if cover is None and one.file.header.is_whole:
            cover = one.file
        segments.insert(0, one)
    return segments


def _check_places(earlier: tuple[EarlierSegment, ...], newest: Segment) -> None:
    """DamagedFileError if segments overlap, or are not where they can be."""
    stop = 0
    for place in earlier:
        if place.first < stop or place.pages < 1:
            _broken(newest.path, "the seal of the newest segment names places that overlap")
        stop = place.first + place.pages
    if stop > newest.file.first:
        _broken(newest.path, "the seal of the newest segment names places behind it")


def _mixture(found: Opened, segments: Sequence[Segment]) -> str:
    """What the front of the file and both ends of segments say that belongs to another state, in words.

    Or nothing.
    """
    source = found.source
    strangers = []
    for segment in segments:
        pages = segment.file.place
        # each costs a request in a store, where objects are put in one piece
        last = pages.first if source.file.prefers_short_reads else pages.stop - 1
        for page in dict.fromkeys((pages.first, last)):
            stranger = foreign_at(source, page, pages)
            if stranger is not None:
                strangers.append(stranger)
    front = found.newest.front
    if front is not None and front.table_id != segments[-1].catalog.table_id:
        return f"the front of the file is of table {front.table_id.hex()}"
    return told(strangers)


def _is_erased(found: Opened) -> bool:
    """Whether two pages behind the newest segment are zeros, and the front does not say why.

    A crash leaves one such page before a log is announced, and more of a segment that the front announces.
    """
    newest, source = found.newest, found.source
    front = newest.front
    explained = newest.torn or newest.announced is not None or newest.header.format_version == 1
    if explained or (front is not None and (front.is_open or front.appending)):
        return False
    if not isinstance(source, VerbatimPages):
        return False
    start, stop = (source.offset(newest.stop + page) for page in (0, 2))
    return stop <= source.file.size and not any(source.file.read_at(start, stop - start))


def _broken(path: str, what: str) -> NoReturn:
    raise DamagedFileError(
        what,
        file=path,
        remedy="Restore it from a copy. `audiomem salvage` saves what can be read.",
    )
