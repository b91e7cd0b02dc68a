"""What can be read of a file of which segments, or their catalogs, are lost."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.storage.pages import (
    Opened,
    PagedFile,
    PageHeader,
    PageKind,
    SharedPages,
    checked_level,
    find_newest,
    header_at,
    opened,
    segments_in_front,
)
from audiomem_sql.storage.segment.contract import ReadableSegment
from audiomem_sql.storage.segment.label_catalog import contradiction
from audiomem_sql.storage.segment.label_search import find_labels
from audiomem_sql.storage.segment.reader import Segment
from audiomem_sql.storage.segment.unlisted import UnlistedSegment

#: Segments that cannot be read for which the headers of all pages in front of them are read.
_MOST_COVERS = 8
#: A segment in front of another: its first page, and a page header of it.
_Place = tuple[int, PageHeader]


@dataclass
class SalvagedFile:
    """The segments of a file that can be read, oldest first.

    unreadable: what was not read, in words. is_based: whether the oldest of its segments is among them.
    """

    segments: list[ReadableSegment] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    is_based: bool = True

    def close(self) -> None:
        """Close the segments."""
        for segment in self.segments:
            segment.close()


def salvaged_file(path: str, cache: BlockCache, check: Callable[[ReadableSegment], None]) -> SalvagedFile:
    """Open what there is of the file at ``path``.

    check: raises an AudioMemError for a segment that is of no use; the one at page 0, of which nothing before
    it could be deleted, is not asked about. Errors are those of ``PagedFile.open``, and DamagedFileError if
    no segment can be read.
    """
    identity = file_identity(path)
    found = opened(path)
    pages = SharedPages(found.source).take()
    salvaged = SalvagedFile()
    failed: list[AudioMemError] = []

    def segment(file: PagedFile) -> ReadableSegment | None:
        try:
            made = _readable(file, cache, identity)
        except AudioMemError as error:
            file.close()
            failed.append(error.with_traceback(None))
            salvaged.unreadable.append(_sentence(file, error))
            return None
        try:
            if file.first > 0:
                check(made)
        except AudioMemError as error:
            made.close()
            salvaged.unreadable.append(_sentence(file, error))
            return None
        return made

    try:
        newest = segment(_newest(found, pages))
        tried = 1
        while newest is None:
            if found.first == 0:
                error = failed[-1]
                raise error if error.file else contradiction(path, error.what)
            below = find_newest(found.source, found.first)
            found = Opened(found.source, below, checked_level(below.header, found.source))
            newest = segment(_newest(found, pages, covers=tried < _MOST_COVERS))
            tried += 1
        salvaged.segments.append(newest)
        _add_earlier(salvaged, found, pages, segment)
        salvaged.is_based = salvaged.segments[0].file.first == 0
    except BaseException:
        salvaged.close()
        raise
    finally:
        pages.release()
    return salvaged


def _sentence(file: PagedFile, error: AudioMemError) -> str:
    return f"segment {file.header.segment_id.hex()} from page {file.first} on: {error.what}"


def _newest(found: Opened, pages: SharedPages, *, covers: bool = True) -> PagedFile:
    covered = segments_in_front(found.source, found.first) if covers and found.header.is_whole else ()
    return PagedFile(pages, found.header, found.level, found.first, covered)


def _readable(file: PagedFile, cache: BlockCache, identity: Hashable | None) -> ReadableSegment:
    """The segment in ``file``, if need be without its catalog. DamagedFileError that says what was tried."""
    try:
        return Segment.of(file, cache, identity)
    except DamagedFileError as error:
        first = error.with_traceback(None)
    try:
        return UnlistedSegment(file, find_labels(file), cache, identity)
    except DamagedFileError as error:
        raise error from first


def _add_earlier(
    salvaged: SalvagedFile,
    found: Opened,
    pages: SharedPages,
    opener: Callable[[PagedFile], ReadableSegment | None],
) -> None:
    """Add the segments in front of the newest that can be read."""
    newest = salvaged.segments[0]
    places = _places(newest, found)
    cover = newest.file if newest.file.header.is_whole else None
    for number in range(len(places) - 1, -1, -1):
        first, header = places[number]
        covered = tuple((at, each.segment_id) for at, each in places[:number])
        own = header.is_whole and cover is None
        file = PagedFile(pages, header, found.level, first, covered if own else (), cover)
        segment = opener(file)
        cover = file if own else cover
        if segment is None:
            continue
        if segment.catalog.last_version < salvaged.segments[0].catalog.first_version:
            salvaged.segments.insert(0, segment)
        else:
            segment.close()  # its rows are in a later one


def _places(newest: ReadableSegment, found: Opened) -> list[_Place]:
    """The segments in front of the newest: by its seal, or by their page headers."""
    seal = newest.catalog.seal
    if seal is not None and not isinstance(newest, UnlistedSegment):
        like = replace(newest.file.header, kind=int(PageKind.CATALOG), page_number=0)
        return [
            (
                each.first,
                replace(
                    like,
                    segment_id=each.segment_id,
                    page_count=each.pages,
                    index=each.index,
                    flags=each.flags,
                ),
            )
            for each in seal.earlier
        ]
    places = []
    for first, identity in segments_in_front(found.source, found.first):
        headers = (header_at(found.source, page) for page in range(first, found.first))
        header = next((each for each in headers if each is not None and each.segment_id == identity), None)
        if header is not None and header.kind != PageKind.ANNOUNCE:
            places.append((first, header))
    return places
