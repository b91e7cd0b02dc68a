"""The rows of a plan that are in no segment: those of the log and of an open transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.scan import Filter as BoundTerm
from audiomem_sql.scan import narrowed, scan
from audiomem_sql.shards import SomeShards
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.narrowed import NarrowedTransaction
from audiomem_sql.writing.transaction import Transaction


def own_rows(
    transaction: Transaction | Snapshot, filters: list[BoundTerm]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows outside the segments that pass."""
    less = transaction if type(transaction) is Snapshot else narrowed(transaction, filters)
    if less is not transaction and isinstance(less, SomeShards | NarrowedTransaction):
        yield from _passing(less.own_rows.items(), transaction.schema, filters)
        return
    alias = transaction.schema.rowid_column
    candidates: Sequence[int] | None = None
    for item in filters:
        known = item.bound.lookup
        if known is None:
            continue
        if item.column == ROWID or item.column == alias:
            candidates = sorted(set(known[1]))
            break
        if candidates is None:
            candidates = transaction.own_rowids_by_key(item.column, *known)
    rowids = transaction.own_rowids() if candidates is None else candidates
    rows = ((rowid, transaction.own_row(rowid)) for rowid in rowids)
    yield from _passing(rows, transaction.schema, filters)


def _passing(
    rows: Iterable[tuple[int, tuple[Any, ...] | None]], schema: Schema, filters: list[BoundTerm]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Those of the rows that are there and pass."""
    columns = schema.columns
    for rowid, row in rows:
        if row is not None and all(
            item.bound.test(
                rowid if item.column == ROWID else as_sql(row[item.column], columns[item.column].type)
            )
            for item in filters
        ):
            yield rowid, row


def own_batches(
    readable: Transaction | Snapshot, columns: Sequence[int], filters: list[BoundTerm]
) -> Iterator[Batch]:
    """The rows outside the segments that pass, as batches."""
    return scan(_OwnRows(readable.schema, narrowed(readable, filters).pending), columns, filters)


@dataclass(frozen=True, slots=True)
class _OwnRows:
    """The rows outside the segments alone; see :class:`~audiomem_sql.scan.readable.Readable`."""

    schema: Schema
    pending: Batch | None
    views: tuple[()] = ()
    ordered: bool = False
