"""The contract of what a query reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.scan.filters import Filter
from audiomem_sql.versions import SegmentView, Snapshot


class Readable(Protocol):
    """What can be scanned: a snapshot, or a snapshot as a transaction sees it.

    ``pending`` holds rows that are not in a segment yet, with an array for every column of the schema.
    """

    @property
    def schema(self) -> Schema:
        """The columns."""

    @property
    def views(self) -> Sequence[SegmentView]:
        """The segments, each with its deleted rows."""

    @property
    def pending(self) -> Batch | None:
        """Rows outside the segments."""

    @property
    def ordered(self) -> bool:
        """Whether segments, then pending rows, are in rowid order."""


def narrowed(readable: Readable, filters: Sequence[Filter]) -> Readable:
    """What has all rows of ``readable`` that pass ``filters``: itself, or less where there are many files."""
    if not filters or type(readable) is Snapshot:
        return readable
    narrow = getattr(readable, "narrowed", None)
    if narrow is None:
        return readable
    less: Readable = narrow(filters)
    return less
