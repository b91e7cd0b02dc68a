"""A transaction on a table of several files, narrowed to the files that a condition leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np

from audiomem_sql.columns.batch import Batch, Row, batch_of
from audiomem_sql.scan import Filter, Readable
from audiomem_sql.shards import ShardedSnapshot, SomeShards
from audiomem_sql.versions import SegmentView, Snapshot


def without_rows(views: Sequence[SegmentView], deleted: Collection[int]) -> Sequence[SegmentView]:
    """The segments without the rows whose rowids are in ``deleted``."""
    if not deleted:
        return views
    rowids = np.array(sorted(deleted), np.int64)
    return tuple(
        SegmentView(view.segment, np.union1d(view.deleted, view.segment.find_many(rowids))) for view in views
    )


def narrowed_transaction(
    whole: Readable,
    snapshot: Snapshot,
    filters: Sequence[Filter],
    inserted: Mapping[int, Row],
    deleted: Collection[int],
) -> Readable:
    """``whole``, a transaction that inserted and deleted rows of ``snapshot``, or less of it."""
    less = snapshot.narrowed(filters) if isinstance(snapshot, ShardedSnapshot) else snapshot
    return NarrowedTransaction(less, inserted, deleted) if isinstance(less, SomeShards) else whole


class NarrowedTransaction:
    """Some shards without the rows that a transaction deleted, and all rows that it inserted."""

    def __init__(self, less: SomeShards, inserted: Mapping[int, Row], deleted: Collection[int]) -> None:
        self.schema = less.schema
        self._less = less
        self._inserted = inserted
        self._deleted = deleted

    @cached_property
    def views(self) -> Sequence[SegmentView]:
        """The segments, each with its deleted rows."""
        return without_rows(self._less.views, self._deleted)

    @cached_property
    def own_rows(self) -> dict[int, Row]:
        """The rows outside the segments."""
        logged = self._less.own_rows.items()
        return {rowid: row for rowid, row in logged if rowid not in self._deleted} | dict(self._inserted)

    @cached_property
    def pending(self) -> Batch | None:
        """The rows outside the segments, by rowid."""
        return batch_of(sorted(self.own_rows.items()), self.schema) if self.own_rows else None

    @property
    def ordered(self) -> bool:
        """Whether segments, then pending rows, are in rowid order."""
        return self._less.ordered and not self._inserted
