"""One row that a commit changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """A row as one commit found it (delete, update_preimage) or left it (insert, update_postimage).

    values: one for each column of the schema that the table had then, see Snapshot.schema_at.
    """

    version: int
    rowid: int
    kind: str
    values: tuple[Any, ...]
