"""A directory page that cannot be read, by the labels of the blocks that it was of.

Labels tell all that a page does but what blocks can contain; of that, the catalog says something of all.
Blocks whose labels are lost, too, cannot be read: it is known how many there are, and which rows they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from audiomem_sql.blocks.directory import MAX_BLOCK_ROWS, MAX_SHARED_BLOCK_BYTES, BlockDirectory
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.directory_groups import Groups
from audiomem_sql.storage.segment.labels import Label, Labelled

_BLOCKS = (Labelled.BLOCK, Labelled.BLOCK_WITH_DICTIONARY)
#: First row in the group, rows, place in the group, stored bytes, bytes before compression, NULLs, encoding.
_Entry = tuple[int, int, int, int, int, int, int]


def page_of_labels(
    groups: Groups, group: int, column: int, found: Sequence[Label], error: DamagedFileError
) -> BlockDirectory:
    """What the page of a group says, as far as ``found`` labels tell. error: why it cannot be read.

    Blocks of which nothing is known are ``lost``.
    """
    reason = "what says where it is is lost: " + (f"{error.place}: " if error.place else "") + error.what
    first, stop = groups.numbers(group)
    rows, nulls = int(groups.zones.rows[group]), int(groups.zones.nulls[group])
    known = _known(groups, group, column, found)
    entries = _with_gaps(known, stop - first, rows)
    if entries is None or not _fits(known, stop - first, int(groups.raw[group]), nulls):
        entries, known = _with_gaps([], stop - first, rows), []
    assert entries is not None
    numbers = {entry[0] for entry in known}
    lost = {number: reason for number, entry in enumerate(entries) if entry[0] not in numbers}
    columns = np.array(entries, np.int64).T
    zones = groups.zones
    low, high = (
        None if bound is None else np.repeat(bound[group : group + 1], len(entries))
        for bound in (zones.low, zones.high)
    )
    return BlockDirectory(
        np.append(columns[0], rows),
        columns[2],
        columns[3],
        columns[4],
        columns[6].astype(np.uint8),
        Zones(columns[1], columns[5], low, high),
        lost,
        set(range(len(entries))),
    )


def _known(groups: Groups, group: int, column: int, found: Sequence[Label]) -> list[_Entry]:
    """The blocks of the group that labels tell of, by rows. Empty where they contradict each other."""
    before, place = int(groups.starts[group]), int(groups.offsets[group])
    rows, length = int(groups.zones.rows[group]), int(groups.lengths[group])
    known: list[_Entry] = []
    at = end = 0
    for label in sorted(found, key=lambda label: label.place):
        start, offset = label.first - before, label.place - place
        if label.kind not in _BLOCKS or label.column != column or not 0 <= start < rows:
            continue
        if (
            not 1 <= label.rows <= min(MAX_BLOCK_ROWS, rows - start)
            or label.nulls > label.rows
            or (label.rows > 1 and label.raw > MAX_SHARED_BLOCK_BYTES)
            or start < at
            or not end <= offset <= length - label.stored
        ):
            return []
        at, end = start + label.rows, offset + label.stored
        known.append((start, label.rows, offset, label.stored, label.raw, label.nulls, label.encoding))
    return known


def _fits(known: Sequence[_Entry], count: int, raw: int, nulls: int) -> bool:
    """Whether the blocks have the bytes and NULLs of a group of ``count``; a part of them at most those."""
    found = sum(entry[4] for entry in known), sum(entry[5] for entry in known)
    return found == (raw, nulls) if len(known) == count else found[0] <= raw and found[1] <= nulls


def _with_gaps(known: Sequence[_Entry], count: int, rows: int) -> list[_Entry] | None:
    """``known`` entries, and others for the rows in between: ``count`` in all. None if that cannot be."""
    edges = [0, *(edge for entry in known for edge in (entry[0], entry[0] + entry[1])), rows]
    gaps = [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if stop > start]
    spare = count - len(known) - len(gaps)
    if spare < 0 or (not gaps and spare):
        return None
    entries = list(known)
    for start, stop in gaps:
        more = min(spare, stop - start - 1)
        spare -= more
        cuts = np.linspace(start, stop, more + 2).astype(np.int64).tolist()
        entries += [(low, high - low, 0, 0, 0, 0, 0) for low, high in pairwise(cuts)]
    return None if spare else sorted(entries)
