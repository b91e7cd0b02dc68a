"""Rows that are appended to a table in a store, as its manifest takes them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.stored_values import stored_rows
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.unique_keys import Folded, KeyColumns, UniqueKeys

#: Rows, and bytes before compression, that are tried as a record.
_RECORD_ROWS = 1 << 12
_RECORD_BYTES = 64 << 10
#: Rows whose keys are named to other writers one by one.
_FEW = 64


class StoredRows:
    """The rows of ``given``, with ``rowids`` as ``table``, and the rowids that the same commit deletes.

    are_new: no row has a key of its own, so that the manifest numbers all of them.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        given: pa.Table,
        table: pa.Table,
        rowids: I64Array,
        deleted: I64Array,
    ) -> None:
        self._snapshot = snapshot
        self._table = table
        self._rowids = rowids
        self._deleted = deleted
        alias = snapshot.schema.rowid_column
        self.are_new = bool(len(rowids)) and (
            alias is None or given.column(alias).null_count == given.num_rows
        )

    @property
    def count_of_new(self) -> int:
        """How many rows the manifest numbers."""
        return len(self._rowids) if self.are_new else 0

    @property
    def high_rowid(self) -> int:
        """The greatest rowid that was given to a row here; 0 for none."""
        return 0 if self.are_new or not len(self._rowids) else int(self._rowids[-1])

    @property
    def written(self) -> set[int] | None:
        """The rowids that others may have written, too; None: any."""
        own = 0 if self.are_new else len(self._rowids)
        if own + len(self._deleted) > _FEW:
            return None
        return {*self._deleted.tolist(), *([] if self.are_new else self._rowids.tolist())}

    def keys(self) -> set[tuple[KeyColumns, Folded]] | None:
        """The unique keys of the rows; None: any."""
        unique = UniqueKeys(self._snapshot, set())
        if not unique.all or not len(self._rowids):
            return set()
        if len(self._rowids) > _FEW:
            return None
        return set(self._keys(unique))

    def _keys(self, unique: UniqueKeys) -> Iterator[tuple[KeyColumns, Folded]]:
        for row in stored_rows(self._table, self._snapshot.schema):
            for columns in unique.all:
                key = unique.fold(columns, row)
                if key is not None:
                    yield columns, key

    def record(self, message: str | None, sources: bytes | None) -> bytes | None:
        """The commit as a record of the manifest; None if it is too large for one."""
        if len(self._rowids) > _RECORD_ROWS or self._table.nbytes + 9 * len(self._deleted) > _RECORD_BYTES:
            return None
        rowids = range(len(self._rowids)) if self.are_new else self._rowids.tolist()
        rows = list(zip(rowids, stored_rows(self._table, self._snapshot.schema), strict=True))
        packed = LogRecord(0, 0, rows, self._deleted.tolist(), message, sources).pack()
        return packed if len(packed) <= _RECORD_BYTES else None
