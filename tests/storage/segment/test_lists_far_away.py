"""Lists of vectors in a file that is far away: which are read along, and what is told before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from audiomem_sql.storage.segment.catalog import Extent
from audiomem_sql.storage.segment.vector_extents import LIST_GAP_BYTES, ExtentsAhead

STREAM = bytes(range(60))


def read(extents: Sequence[Extent]) -> list[bytes]:
    return [STREAM[extent.offset : extent.offset + extent.stored] for extent in extents]


def along(extents: list[Extent], visited: list[int]) -> list[int]:
    marks = np.zeros(len(extents), bool)
    marks[visited] = True
    found = ExtentsAhead(extents, lambda ranges: None, read, 0.5).along(marks)
    assert np.flatnonzero(marks).tolist() == sorted(visited)  # what was asked stays as it is
    return np.flatnonzero(found).tolist()


def test_lists_between_two_are_read_where_they_cost_less_than_a_request() -> None:
    half = LIST_GAP_BYTES // 2
    extents = [Extent(100 + half * number, half, half) for number in range(9)]
    assert along(extents, []) == []
    assert along(extents, [4]) == [4]
    assert along(extents, [1, 2]) == [1, 2]
    assert along(extents, [1, 3]) == [1, 2, 3]
    assert along(extents, [1, 4, 8]) == [1, 2, 3, 4, 8]
    longer = [Extent(100 + (half + 1) * number, half + 1, half) for number in range(9)]
    assert along(longer, [1, 4]) == [1, 4]
    assert along(longer, [8, 6, 0]) == [0, 6, 7, 8]


def test_what_lies_where_counts_rather_than_its_number() -> None:
    places = [700, 0, 300, 100, 200_000, 500]
    extents = [Extent(place, 90, 90) for place in places]
    assert along(extents, [1, 2]) == [1, 2, 3]
    assert along(extents, [1, 0]) == [0, 1, 2, 3, 5]
    assert along(extents, [0, 4]) == [0, 4]


def test_lists_are_told_by_place_and_length() -> None:
    told: list[tuple[int, int]] = []

    def ahead(ranges: Iterable[tuple[int, int]]) -> None:
        told.extend(ranges)

    lists = ExtentsAhead([Extent(5, 7, 70), Extent(12, 3, 30), Extent(40, 2, 20)], ahead, read, 0.5)
    lists.prefetch([2, 0])
    assert told == [(40, 2), (5, 7)]
    assert lists.read([2, 0]) == [STREAM[40:42], STREAM[5:12]]
    assert lists.reach == 0.5
