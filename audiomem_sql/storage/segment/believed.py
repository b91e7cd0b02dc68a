"""Which segment of a file is the newest that was finished.

A segment is appended in two steps: its pages, then the front of the file, which says that they are part of
it. A power loss in the first may leave any of the pages behind, the last one, too. The front says before that
a segment is about to come. So where it says that, or is lost, the segment is believed only if all of it is
there; where the front is lost, also if its cells can be recovered.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.pages import (
    MOST_LEFT_BEHIND,
    Opened,
    PagedFile,
    checked_level,
    find_newest,
    follows_announcement,
    is_unsealed,
    too_much_left_behind,
)
from audiomem_sql.storage.segment.reader import Segment


def believed(found: Opened, newest_segment: Callable[[Opened], Segment]) -> tuple[Opened, Segment]:
    """The newest segment that was finished, and the file as it is without what is behind that.

    newest_segment: opens the one that was found. DamagedFileError if it cannot be read, but was finished.
    """
    for _ in range(MOST_LEFT_BEHIND):
        doubtful = _is_doubtful(found)
        try:
            segment = newest_segment(found)
        except DamagedFileError:
            if not doubtful:
                raise
        else:
            intact = found.newest.front is not None  # a crash left the log, or nothing that was acknowledged
            if not doubtful or _is_whole(segment.file, intact=intact):
                return found, segment
            segment.close()
        newest = find_newest(found.source, found.first)
        found = Opened(found.source, newest, checked_level(newest.header, found.source))
    raise too_much_left_behind(found.source.path)


def _is_doubtful(found: Opened) -> bool:
    """Whether the newest segment may have been written in part.

    One whose parity covers the pages in front of it came with the whole file. Where the front is lost, a
    segment behind an announcement is one that a log was folded into, and the log is there until the front is
    written.
    """
    newest, source = found.newest, found.source
    if newest.first == 0 or newest.header.is_whole or newest.header.format_version == 1:
        return False
    if newest.announced is not None and newest.announced.segment_id == newest.header.segment_id:
        return False  # a log was announced behind it: it was finished before
    if newest.front is not None:
        return is_unsealed(source, newest.front, newest.first, newest.stop)
    return follows_announcement(source, newest.first)


def _is_whole(file: PagedFile, *, intact: bool) -> bool:
    """Whether all cells of a segment are intact, or can be recovered; intact: all that it has."""
    if file.truncated:
        return False
    for damage in file.damage():
        if intact:
            return False
        if damage.cells:
            numbers = damage.page * file.layout.cells + np.array(damage.cells, np.int64)
            recovered, _ = file.recover(numbers)
            if not recovered.all() and file.holds(numbers[~recovered]).any():
                return False
    return True
