"""SQL that Django asks its backend for."""

from __future__ import annotations

from typing import Any

from django.db.backends.sqlite3 import operations


class DatabaseOperations(operations.DatabaseOperations):
    """SQLite's, without its sequences: the next key of an empty table is 1."""

    def sequence_reset_by_name_sql(self, style: Any, sequences: Any) -> list[str]:
        """Nothing."""
        return []
