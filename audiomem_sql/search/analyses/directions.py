"""The directions of all vectors of a table, in memory or in a temporary file."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.errors import StorageError
from audiomem_sql.machine.limits import limits_of
from audiomem_sql.machine.spooled_arrays import SpooledRows
from audiomem_sql.search.embedding.stored_vectors import Searched, vector_pieces


class Vectors(Protocol):
    """Vectors float32 (n, d): an array, or what reads those that are wanted."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: I64Array, /) -> F32Array: ...


class Directions:
    """The vectors of a table that have a length, at length 1.

    rowids: int64 (n,), rising; the vectors are in their order. StorageError where
    the folder for temporary files has no room.
    """

    def __init__(self, table: Searched, column: int) -> None:
        limits = limits_of(table.options.profile)
        self._spool = SpooledRows(table.schema.columns[column].type.width, "<f4", limits.vector_bytes)
        rowids: list[I64Array] = [np.empty(0, np.int64)]
        for piece_rowids, vectors in vector_pieces(table, column):
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
            directed = lengths > 0
            self._append(vectors[directed] / lengths[directed, None].astype(np.float32), table.path)
            rowids.append(piece_rowids[directed])
        self.rowids = np.concatenate(rowids)
        #: Where each row is in the spool; None: in this order.
        self._order: I64Array | None = None
        if not (self.rowids[1:] > self.rowids[:-1]).all():
            self._order = np.argsort(self.rowids, kind="stable")
            self.rowids = self.rowids[self._order]

    def _append(self, vectors: F32Array, path: str) -> None:
        try:
            self._spool.append(vectors)
        except OSError as error:
            self.close()
            raise StorageError(
                f"the vectors cannot be kept in a temporary file: {error}",
                file=path,
                remedy="Make room, or set TMPDIR to a folder that has some.",
            ) from error

    def __len__(self) -> int:
        return len(self.rowids)

    def __getitem__(self, rows: I64Array) -> F32Array:
        return self._spool.scattered(rows if self._order is None else self._order[rows])

    def close(self) -> None:
        """Let go of the file."""
        self._spool.close()
