"""Doors for databases: each module translates between one database and the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw


def register(connection: apsw.Connection) -> None:
    """Make module ``audiomem`` and the table functions known to an apsw connection."""
    from audiomem_sql.vtab.apsw import table as sqlite

    sqlite.register_functions(connection, sqlite.register(connection))
