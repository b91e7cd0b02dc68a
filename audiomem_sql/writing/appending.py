"""Rows that arrive as an Arrow table: numbered, and their keys checked, without a Python value a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array, U64Array
from audiomem_sql.blocks.bloom import BloomFilter, hash_array
from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.checks import checks_of
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import as_sql, integer_array, nan_as_null
from audiomem_sql.columns.types import Kind
from audiomem_sql.columns.views import integers, strings, valid
from audiomem_sql.errors import ConstraintError, LimitError
from audiomem_sql.indexes.keys.combined import folded, hash_rows
from audiomem_sql.scan import Filter, RowFilter, scan
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing import transaction
from audiomem_sql.writing.transaction import MAX_ROWID, Transaction
from audiomem_sql.writing.unique_keys import KeyColumns

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


def number_rows(table: pa.Table, snapshot: Snapshot, high: int = 0) -> tuple[I64Array, pa.Table]:
    """Rowids for new rows, int64 (n,), ascending, and the rows in that order.

    They are the INTEGER PRIMARY KEY's values where the table has one and they are not NULL; otherwise they
    follow the greatest rowid so far. high: one that is given beside these.
    """
    key_column, count = snapshot.schema.rowid_column, table.num_rows
    following = max(snapshot.high_rowid, high, 0) + 1
    keys = None if key_column is None else table.column(key_column).combine_chunks()
    if keys is None or keys.null_count == count:
        rowids = following_rowids(following, count)
    else:
        missing = ~valid(keys)
        rowids = np.where(missing, 0, integers(keys))
        if missing.any():
            following = max(following, int(rowids[~missing].max()) + 1)
            rowids[missing] = following_rowids(following, int(missing.sum()))
        if (rowids[1:] <= rowids[:-1]).any():  # their differences may be more than 64 bits hold
            order = np.argsort(rowids, kind="stable")
            rowids, table = rowids[order], table.take(integer_array(order))
    if key_column is not None:
        table = table.set_column(key_column, table.schema.field(key_column), integer_array(rowids))
    return rowids, table


def following_rowids(first: int, count: int) -> I64Array:
    """Rowids from ``first`` on, int64 (count,). LimitError if there are not so many."""
    if first + count - 1 > MAX_ROWID:
        raise LimitError(
            "the greatest rowid there can be is taken", remedy="Give the rows keys of their own."
        )
    return np.arange(first, first + count, dtype=np.int64)


def matching_rowids(snapshot: Snapshot, filters: Sequence[Filter], row_filter: RowFilter | None) -> I64Array:
    """The rowids of the rows that pass a filter, int64 (n,), ascending."""
    rowids = [batch.rowids for batch in scan(snapshot, (), filters, row_filter=row_filter)]
    return np.sort(np.concatenate(rowids)) if rowids else NO_ROWIDS


def check_rows(rowids: I64Array, table: pa.Table, snapshot: Snapshot, path: str, deleted: I64Array) -> None:
    """ConstraintError if a CHECK fails, or a key of the new rows is there already, or twice among them.

    deleted: rowids that the same commit deletes, int64 (n,); their keys are free.
    """
    check_rowids(rowids, snapshot, path, deleted)
    checks = checks_of(snapshot.schema)
    if checks is not None:
        checks.check_table(rowids, table)
    check_keys(table, snapshot, path, deleted)


def check_rowids(rowids: I64Array, snapshot: Snapshot, path: str, deleted: I64Array) -> None:
    """ConstraintError if one of ``rowids``, int64 (n,), ascending, is taken, or there twice."""
    check_rowids_differ(rowids, snapshot.schema, path)
    if not len(rowids) or rowids[0] > snapshot.high_rowid:
        return  # those above were never given to a row
    name = _name_of_rowid(snapshot.schema)
    if snapshot.own_rows:
        own = np.array(sorted(snapshot.own_rows), np.int64)
        present = np.setdiff1d(np.intersect1d(rowids, own), deleted)
        if len(present):
            raise _not_unique(path, name, int(present[0]))
    new = np.setdiff1d(rowids, deleted, assume_unique=True) if len(deleted) else rowids
    for view in snapshot.views:
        if not view.segment.rows:
            continue
        taken = np.setdiff1d(view.segment.find_many(new), view.deleted, assume_unique=True)
        if len(taken):
            raise _not_unique(path, name, view.segment.rowid(int(taken[0])))


def check_rowids_differ(rowids: I64Array, schema: Schema, path: str) -> None:
    """ConstraintError if one of ``rowids``, int64 (n,), ascending, is there twice."""
    repeated = np.flatnonzero(np.diff(rowids) == 0)
    if len(repeated):
        raise _not_unique(path, _name_of_rowid(schema), int(rowids[repeated[0]]))


def _name_of_rowid(schema: Schema) -> str:
    return "rowid" if schema.rowid_column is None else schema.columns[schema.rowid_column].name


def check_keys(table: pa.Table, snapshot: Snapshot, path: str, deleted: I64Array) -> None:
    """ConstraintError if a key of the new rows is there already, or twice among them.

    Only columns of keys are looked at.
    """
    after = Transaction(path, snapshot)
    if not after.keys.all:
        return
    for rowid in deleted.tolist():
        after.delete(rowid)
    for key_columns in after.keys.all:
        if len(key_columns) == 1:
            _check_column(key_columns, table, after)
        else:
            _check_combined(key_columns, table, after)


def _check_column(key_columns: KeyColumns, table: pa.Table, after: Transaction) -> None:
    """A key of one column."""
    (number,) = key_columns
    column = after.schema.columns[number]
    array = table.column(number).combine_chunks()
    array = nan_as_null(array) if column.type.kind is Kind.REAL else array  # NaN equals no other
    present = array.drop_null()
    if column.type.kind is Kind.TIMESTAMP:
        present = present.cast(pa.int64())
    keys = present.to_pylist()
    folded_keys: set[Any] = set()
    for key in keys:
        folded_key = folded(key, column)
        if folded_key in folded_keys:
            raise _not_unique(after.path, column.name, as_sql(key, column.type))
        folded_keys.add(folded_key)
    suspects = keys
    segments = [view.segment for view in after.snapshot.views if view.segment.rows]
    blooms = [segment.bloom(number) for segment in segments]
    if column.collation == "BINARY" and keys and all(bloom is not None for bloom in blooms):
        logged = after.keys.logged(key_columns)
        suspects = [keys[row] for row in np.flatnonzero(_possibly_in(blooms, hash_array(array)))]
        suspects += [key for key in keys if (key,) in logged] if logged else []
    row: list[StoredValue] = [None] * len(after.schema)
    for key in suspects:
        row[number] = key
        if after.keys.find(key_columns, row) is not None:
            raise _not_unique(after.path, column.name, as_sql(key, column.type))


def _check_combined(key_columns: KeyColumns, table: pa.Table, after: Transaction) -> None:
    """A key of several columns: first by hashes, then the few rows that share one."""
    columns = [after.schema.columns[column] for column in key_columns]
    rows, hashes = hash_rows([table.column(column).combine_chunks() for column in key_columns], columns)
    order = np.argsort(hashes, kind="stable")
    equal_hashes = np.flatnonzero(np.diff(hashes[order].view(np.int64)) == 0)
    folded_keys: set[Any] = set()
    for row in rows[order[np.union1d(equal_hashes, equal_hashes + 1)]].tolist():
        values = _row(table, key_columns, row, after.schema)
        key = after.keys.fold(key_columns, values)
        if key in folded_keys:
            raise _key_not_unique(key_columns, values, after)
        folded_keys.add(key)
    number = after.schema.combined_keys.index(key_columns)
    blooms = [view.segment.key_bloom(number) for view in after.snapshot.views if view.segment.rows]
    unknown = bool(after.snapshot.own_rows) or any(bloom is None for bloom in blooms)
    possible = np.ones(len(rows), bool) if unknown else _possibly_in(blooms, hashes)
    for row in rows[possible].tolist():
        values = _row(table, key_columns, row, after.schema)
        if after.keys.find(key_columns, values) is not None:
            raise _key_not_unique(key_columns, values, after)


def _possibly_in(blooms: Sequence[BloomFilter | None], hashes: U64Array) -> BoolArray:
    """Whether one of the filters may contain each hash, bool (n,)."""
    possible = np.zeros(len(hashes), bool)
    for bloom in blooms:
        if bloom is not None:
            possible |= bloom.may_contain(hashes)
    return possible


def _row(table: pa.Table, key_columns: KeyColumns, row: int, schema: Schema) -> list[StoredValue]:
    """A row as stored values, of which only those of a key are looked up."""
    values: list[StoredValue] = [None] * len(schema)
    for number in key_columns:
        value = table.column(number)[row]
        is_time = schema.columns[number].type.kind is Kind.TIMESTAMP
        values[number] = value.cast(pa.int64()).as_py() if is_time else value.as_py()
    return values


def _key_not_unique(
    key_columns: KeyColumns, row: Sequence[StoredValue], after: Transaction
) -> ConstraintError:
    return ConstraintError(
        f"UNIQUE constraint failed: {after.keys.names(key_columns)}",
        file=after.path,
        place=after.keys.key_text(key_columns, row),
        remedy="Remove the row, or give it another key.",
    )


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
