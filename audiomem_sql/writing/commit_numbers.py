"""Who numbers the new rows of a transaction in a store: the transaction, or the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiomem_sql.writing.stored_commit import footprint_of
from audiomem_sql.writing.transaction import MAX_ROWID, Transaction

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Footprint


@dataclass(frozen=True, slots=True)
class CommitNumbers:
    """What a commit says of numbers. new_rows: rows that the manifest numbers: all new ones, or none.

    high_rowid: the greatest rowid of a new row, if the manifest does not number them.
    """

    footprint: Footprint
    high_rowid: int = 0
    new_rows: int = 0

    @classmethod
    def of(cls, transaction: Transaction) -> CommitNumbers:
        """Those of a transaction. Rowids that it chose, and nobody knows, are left to the manifest."""
        rowids, high, keys = transaction.written()
        added, deleted = transaction.added_and_deleted()
        if _are_movable(transaction):
            return cls(footprint_of(set(deleted), keys), 0, len(added))
        return cls(footprint_of(rowids, keys), high)

    @property
    def are_new(self) -> bool:
        """Whether the manifest numbers its rows."""
        return self.new_rows > 0


def _are_movable(transaction: Transaction) -> bool:
    """Whether the new rows can get other rowids: one after the other, and nothing depends on them."""
    added, _ = transaction.added_and_deleted()
    first = max(transaction.snapshot.high_rowid, 0) + 1
    if not added or not added <= transaction.untold:
        return False
    if transaction.schema.checks or transaction.schema.rowid_keys:
        return False
    return min(added) == first and max(added) == first + len(added) - 1 < MAX_ROWID
