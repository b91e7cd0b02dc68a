"""Rows that arrive as an Arrow table: numbering them, and checking their keys, without a Python value a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql import transaction
from audiomem_sql.batch import Batch
from audiomem_sql.bloom import hash_array
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.columns.types import Kind
from audiomem_sql.columns.views import strings, valid
from audiomem_sql.errors import ConstraintError, LimitError
from audiomem_sql.scan import Filter, RowFilter, scan
from audiomem_sql.snapshot import Snapshot
from audiomem_sql.transaction import MAX_ROWID, Transaction
from audiomem_sql.types import I64Array

#: Rows in a batch that is handed to the writer.
BATCH_ROWS = 1 << 16
NO_ROWIDS: I64Array = np.empty(0, np.int64)


def check_sizes(table: pa.Table, path: str) -> None:
    """LimitError, naming the row (from 0), if the texts and blobs of one are over the limit together."""
    if table.nbytes <= transaction.MAX_ROW_BYTES:
        return
    sizes = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            sizes += np.concatenate([strings(chunk).lengths * valid(chunk) for chunk in column.chunks])
    largest = int(sizes.argmax())
    if sizes[largest] > transaction.MAX_ROW_BYTES:
        raise LimitError(
            f"a row of {int(sizes[largest]):,} bytes is over the limit of {transaction.MAX_ROW_BYTES:,}",
            file=path,
            place=f"row {largest}",
            remedy="Divide it into several rows.",
        )


def number_rows(table: pa.Table, snapshot: Snapshot) -> tuple[I64Array, pa.Table]:
    """Rowids for new rows, int64 (n,), ascending, and the rows in that order.

    They are the INTEGER PRIMARY KEY's values where the table has one and they are not NULL; otherwise they follow the
    greatest rowid so far.
    """
    place, count = snapshot.schema.rowid_column, table.num_rows
    following = max(snapshot.high_rowid, 0) + 1
    given = None if place is None else table.column(place).combine_chunks()
    if given is None or given.null_count == count:
        rowids = _following(following, count)
    else:
        missing = np.asarray(given.is_null())
        rowids = np.array(given.fill_null(0), dtype=np.int64)
        if missing.any():
            following = max(following, int(rowids[~missing].max()) + 1)
            rowids[missing] = _following(following, int(missing.sum()))
        if (np.diff(rowids) <= 0).any():
            order = np.argsort(rowids, kind="stable")
            rowids, table = rowids[order], table.take(pa.array(order))
    if place is not None:
        table = table.set_column(place, table.schema.field(place), pa.array(rowids))
    return rowids, table


def _following(first: int, count: int) -> I64Array:
    if first + count - 1 > MAX_ROWID:
        raise LimitError(
            "the greatest rowid there can be is taken", remedy="Give the rows keys of their own."
        )
    return np.arange(first, first + count, dtype=np.int64)


def matching_rowids(snapshot: Snapshot, filters: Sequence[Filter], row_filter: RowFilter | None) -> I64Array:
    """The rowids of the rows that pass a filter, int64 (n,), ascending."""
    found = [batch.rowids for batch in scan(snapshot, (), filters, row_filter=row_filter)]
    return np.sort(np.concatenate(found)) if found else NO_ROWIDS


def check_keys(rowids: I64Array, table: pa.Table, snapshot: Snapshot, path: str, deleted: I64Array) -> None:
    """ConstraintError if a key of the new rows is there already, or twice among them.

    deleted: rowids that the same commit deletes, int64 (n,); their keys are free.
    """
    schema = snapshot.schema
    name = "rowid" if schema.rowid_column is None else schema.columns[schema.rowid_column].name
    twice = np.flatnonzero(np.diff(rowids) == 0)
    if len(twice):
        raise _not_unique(path, name, int(rowids[twice[0]]))
    for view in snapshot.views:
        taken = np.setdiff1d(view.segment.find_many(np.setdiff1d(rowids, deleted)), view.deleted)
        if len(taken):
            raise _not_unique(path, name, view.segment.rowid(int(taken[0])))
    for place in schema.key_columns:
        _check_unique(place, table.column(place).combine_chunks(), snapshot, path, deleted)


def _check_unique(place: int, array: pa.Array, snapshot: Snapshot, path: str, deleted: I64Array) -> None:
    column = snapshot.schema.columns[place]
    present = array.drop_null()
    if column.type.kind is Kind.TIMESTAMP:
        present = present.cast(pa.int64())
    keys = present.to_pylist()
    view = Transaction(path, snapshot)
    for rowid in deleted.tolist():
        view.delete(rowid)
    seen: set[Any] = set()
    for key in keys:
        folded = view.fold(place, key)
        if folded in seen:
            raise _not_unique(path, column.name, as_sql(key, column.type))
        seen.add(folded)
    suspects = keys
    segments = [view.segment for view in snapshot.views if view.segment.rows]
    blooms = [segment.bloom(place) for segment in segments]
    if column.collation == "BINARY" and keys and all(bloom is not None for bloom in blooms):
        hashes = hash_array(array)
        maybe = np.zeros(len(keys), bool)
        for bloom in blooms:
            if bloom is not None:
                maybe |= bloom.may_contain(hashes)
        suspects = [keys[row] for row in np.flatnonzero(maybe)]
    for key in suspects:
        if view.find_key(place, key) is not None:
            raise _not_unique(path, column.name, as_sql(key, column.type))


def _not_unique(path: str, column: str, key: Any) -> ConstraintError:
    return ConstraintError(
        f"UNIQUE constraint failed: {column}",
        file=path,
        place=f"key {key!r}",
        remedy="Remove the row, or give it another key.",
    )


def as_batches(rowids: I64Array, table: pa.Table) -> Iterator[Batch]:
    """The rows in batches of a bounded size."""
    start = 0
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        stop = start + batch.num_rows
        if stop > start:
            yield Batch(rowids[start:stop], tuple(batch.columns))
        start = stop
