"""What is searched, part by part: a segment has its own indexes, the rows outside the segments have none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.machine.memory import check_room
from audiomem_sql.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.versions import SegmentView


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of what is searched, or the rows outside the segments; see scan.Readable."""

    schema: Schema
    views: tuple[SegmentView, ...]
    pending: Batch | None
    ordered: bool = True


def parts(readable: Readable) -> Iterator[Part]:
    """The segments that have rows, in order; then the rows outside the segments."""
    for view in readable.views:
        if view.live_rows:
            yield Part(readable.schema, (view,), None)
    if readable.pending is not None:
        yield Part(readable.schema, (), readable.pending)


def allowed_rows(part: Part, filters: Sequence[Filter], row_filter: RowFilter | None) -> BoolArray | None:
    """Which rows of the segment of ``part`` may be results, bool (rows,); None for all."""
    view = part.views[0]
    live = view.live(0, view.segment.rows)
    if not filters and row_filter is None:
        return live
    check_room(view.segment.rows, view.segment.path)
    allowed = np.zeros(view.segment.rows, bool)
    for batch in scan(part, (), filters, row_filter=row_filter):
        allowed[view.segment.find_many(batch.rowids)] = True
    return allowed if live is None else allowed & live
