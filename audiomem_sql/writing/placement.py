"""Where a new segment of a table goes.

    a file anew   earlier segments are copied page by page, the new one comes behind them, and the file takes
                  the place of the base by a rename: for small files, where that is as quick, and always where
                  the base is not as we wrote it
    appended      as further frames of the base: what is there is not touched

The first keeps STREAMINFO's MD5 true, and the promise of a protection level exact for the whole file. The
second costs what is new, however large the base is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.storage import segment as storing
from audiomem_sql.storage.pages import EarlierPages, pages_as_written
from audiomem_sql.versions import Snapshot

if TYPE_CHECKING:
    from audiomem_sql.storage.segment import Folded, Placement, ReadableSegment, TableFile, WriteOptions

#: Files up to these sizes, without and with protection, are written anew.
REWRITTEN_BYTES = 8 << 20
REWRITTEN_PROTECTED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment goes: the file at ``path``, how it is put there, what it says of those before it.

    write: the options to write it with, which are those of the pages around it. replaces: whether the file
    takes the place of the one at ``path``.
    """

    path: str
    placement: Placement
    seal: storing.Seal
    write: WriteOptions
    replaces: bool


def place_for(
    file: TableFile,
    kept: Sequence[ReadableSegment],
    write: WriteOptions,
    folded: Folded | None = None,
    target: str | None = None,
    newest: ReadableSegment | None = None,
    *,
    append: bool = False,
) -> Place:
    """Where the next segment of ``file`` goes.

    kept: the segments of the file that stay in front of it; what is in the others is in the new one. folded:
    the log that becomes the segment. target: the path of a copy with the segment, while the file stays as it
    is; by default the segment becomes part of the file. newest: the segment that
    it continues, if that is a delta beside the file. append: also to a small file, where that can be.
    """
    replaces = target is None
    target = target or file.path
    newest = newest or file.newest
    seal = newest.catalog.seal
    before = storing.Link(newest.catalog.segment_id, newest.digest, 0 if seal is None else seal.generation)
    generation = max(file.next_generation, generation_of(newest) + 1)
    if folded is None and seal is not None:
        folded = seal.folded
    if not kept:
        return Place(
            file.path,
            storing.NewFile(target, file.path),
            storing.Seal(generation, before, (), folded),
            write,
            replaces=replaces,
        )
    pages = newest.file
    like = replace(write, profile=pages.profile, mode=pages.mode, protection=pages.layout.level)
    limit = REWRITTEN_BYTES if pages.layout.level.share is None else REWRITTEN_PROTECTED_BYTES
    appended: tuple[storing.Seal, Placement] | None = None
    if replaces and storing.can_append(file) and not _leaves_uncovered(file, kept):
        earlier = tuple(_earlier(segment, segment.file.first) for segment in kept)
        appended = storing.Seal(generation, before, earlier, folded), storing.AppendedPages(file)
    if appended is not None and (append or file.state.size > limit):
        return Place(file.path, appended[1], appended[0], like, replaces=False)
    places, first = [], 0
    for segment in kept:
        places.append(_earlier(segment, first))
        first += segment.file.own_pages
    copied = EarlierPages(first, _Copied(kept).read)
    return Place(
        file.path,
        storing.NewFile(target, file.path, copied, appended),
        storing.Seal(generation, before, tuple(places), folded),
        like,
        replaces=replaces,
    )


def place_beside(
    file: TableFile,
    path: str,
    before: ReadableSegment,
    write: WriteOptions,
    folded: Folded | None,
    newest: ReadableSegment,
) -> Place:
    """Where the next delta of ``file`` goes, if it is a file of its own at ``path``.

    before: the segment that it continues. newest: the newest one, which a merge puts into it.
    """
    seal = before.catalog.seal
    link = storing.Link(before.catalog.segment_id, before.digest, 0 if seal is None else seal.generation)
    generation = max(file.next_generation, generation_of(newest) + 1)
    if folded is None and newest.catalog.seal is not None:
        folded = newest.catalog.seal.folded
    return Place(
        path,
        storing.NewFile(path, file.path),
        storing.Seal(generation, link, (), folded),
        write,
        replaces=False,
    )


def generation_of(segment: ReadableSegment) -> int:
    """The generation of a segment; 0 in format version 1."""
    seal = segment.catalog.seal
    return 0 if seal is None else seal.generation


def _leaves_uncovered(file: TableFile, kept: Sequence[ReadableSegment]) -> bool:
    """Whether the parity of segments that stay is in one that does not."""
    return any(segment.file.header.is_whole for segment in file.segments if segment not in kept)


def _earlier(segment: ReadableSegment, first: int) -> storing.EarlierSegment:
    """What the seal says of a segment whose page 0 is page ``first`` of the file."""
    catalog, header = segment.catalog, segment.file.header
    return storing.EarlierSegment(
        catalog.segment_id,
        first,
        segment.file.own_pages,
        header.index,
        int(header.flags),
        catalog.first_version,
        catalog.last_version,
        segment.digest,
    )


class _Copied:
    """The own pages of segments, one after another."""

    def __init__(self, segments: Sequence[ReadableSegment]) -> None:
        self._segments = segments
        self._stops = np.cumsum([segment.file.own_pages for segment in segments])

    def read(self, first: int, count: int) -> U8Array:
        """Pages, uint8 (count, page_size)."""
        parts = []
        while count:
            number = int(np.searchsorted(self._stops, first, side="right"))
            file = self._segments[number].file
            start = first - (int(self._stops[number]) - file.own_pages)
            step = min(count, file.own_pages - start)
            parts.append(pages_as_written(file, start, step, parity=False))
            first, count = first + step, count - step
        return np.concatenate(parts) if len(parts) != 1 else parts[0]


def is_empty(snapshot: Snapshot) -> bool:
    """Whether the base is the only segment, and has no rows: the first ones are written into it."""
    return len(snapshot.segments) == 1 and not snapshot.segments[0].rows
