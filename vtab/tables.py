"""The audiomem tables that a connection has in use, by name."""

from __future__ import annotations

from audiomem_sql.columns.column import fold
from audiomem_sql.errors import QueryError
from audiomem_sql.vtab.interface import Table


class Tables:
    """The audiomem tables that a connection has in use."""

    def __init__(self) -> None:
        self._tables: list[Table] = []

    def add(self, table: Table) -> None:
        """The connection uses a table from now on."""
        self._tables.append(table)

    def find(self, name: str) -> Table:
        """The table called ``name``; QueryError if the connection has none."""
        for table in self._tables:
            if fold(table.name) == fold(name):
                return table
        known = ", ".join(table.name for table in self._tables) or "none"
        raise QueryError(f"there is no audiomem table {name}", remedy=f"Tables in use: {known}.")

    def forget(self, table: Table) -> None:
        """The connection is done with a table."""
        if table in self._tables:
            self._tables.remove(table)
