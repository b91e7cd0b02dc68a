"""Scalar functions of SQLite, one family a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

    from audiomem_sql.udfs.function import Function


def functions() -> tuple[Function, ...]:
    """All of them."""
    from audiomem_sql.udfs import about, meaning, vectors, words

    return (*about.FUNCTIONS, *meaning.FUNCTIONS, *vectors.FUNCTIONS, *words.FUNCTIONS)


def register(connection: apsw.Connection) -> None:
    """Make all functions known to an apsw connection."""
    for function in functions():
        for count in function.counts:
            connection.create_scalar_function(
                function.name, function.call, count, deterministic=True, flags=function.flags
            )
