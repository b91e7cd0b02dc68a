"""Scalar functions of SQLite, one family a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw


def register(connection: apsw.Connection) -> None:
    """Make all functions known to an apsw connection."""
    from audiomem_sql.udfs import about, meaning, vectors, words

    about.register(connection)
    meaning.register(connection)
    vectors.register(connection)
    words.register(connection)
