"""Which rows of a segment can pass filters, and which do, by zone maps, Bloom filters and range of rowids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.predicates import Bound
from audiomem_sql.predicates.bounds import Range
from audiomem_sql.scan.filters import Filter
from audiomem_sql.storage.segment import ReadableSegment


def candidate_rows(segment: ReadableSegment, filters: Sequence[Filter]) -> list[tuple[int, int]]:
    """The stretches of rows, (start, stop) ascending and apart, outside which no row can pass the filters."""
    spans = np.array([[0, segment.rows]], np.int64)
    for item in filters:
        if segment.is_index_only(item.column):
            continue
        directory = segment.directory(item.column)
        if directory is None:
            spans = _intersect(spans, _rowid_spans(segment, item.bound))
        else:
            keys = item.bound.keys
            if (
                keys is not None
                and len(keys) <= 16
                and not any(segment.may_contain(item.column, key) for key in keys)
            ):
                return []
            passing = directory.passing(item.bound.prune)
            if passing is not None:
                spans = _intersect(spans, passing)
        if not len(spans):
            return []
    return [(int(start), int(stop)) for start, stop in spans]


def undecided_rows(segment: ReadableSegment, item: Filter) -> I64Array:
    """The stretches of rows, int64 (n, 2) ascending, outside which all candidates pass a filter."""
    every = np.array([[0, segment.rows]], np.int64)
    if segment.is_index_only(item.column):
        return every
    directory = segment.directory(item.column)
    if directory is None:
        bound = item.bound
        is_range = isinstance(bound, Range) and not bound.negated and bound.bounds is not None
        return every[:0] if is_range else every
    # what is said of a block by its label alone is little
    if type(directory) is not BlockDirectory or directory.lost or directory.of_labels:
        return every
    undecided = directory.passing(lambda zones: item.bound.prune(zones) & ~item.bound.covers(zones))
    return every if undecided is None else undecided


def touches(stretches: I64Array, start: int, stop: int) -> bool:
    """Whether any of the rows start … stop - 1 is in one of ``stretches``."""
    place = int(np.searchsorted(stretches[:, 1], start, side="right"))
    return place < len(stretches) and int(stretches[place, 0]) < stop


def _rowid_spans(segment: ReadableSegment, bound: Bound) -> I64Array:
    """The rows of a segment without stored rowids that a bound on the rowid allows."""
    first = segment.catalog.first_rowid
    assert first is not None
    if bound.keys is not None:
        rows = distinct(np.array([key for key in bound.keys if isinstance(key, int)], np.int64)) - first
        rows = rows[(rows >= 0) & (rows < segment.rows)]
        return np.stack([rows, rows + 1], axis=1)
    if bound.bounds is None:
        return np.array([[0, segment.rows]], np.int64)
    low, high = (max(bound.bounds[0] - first, 0), min(bound.bounds[1] - first + 1, segment.rows))
    return np.array([[low, high]], np.int64) if low < high else np.empty((0, 2), np.int64)


def _intersect(left: I64Array, right: I64Array) -> I64Array:
    """The rows in both of two lists of stretches, int64 (n, 2)."""
    out: list[tuple[int, int]] = []
    i = j = 0
    a, b = left.tolist(), right.tolist()
    while i < len(a) and j < len(b):
        low, high = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if low < high:
            out.append((low, high))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return np.array(out, np.int64).reshape(-1, 2)
