"""Scalar functions of SQLite, one family a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

    from audiomem_sql.udfs.function import Function


def functions() -> tuple[Function, ...]:
    """Those of values, which DuckDB has as well."""
    from audiomem_sql.udfs import about, meaning, vectors, words

    return (*about.FUNCTIONS, *meaning.FUNCTIONS, *vectors.FUNCTIONS, *words.FUNCTIONS)


def all_functions() -> tuple[Function, ...]:
    """Those of values, and of the row that a cursor of SQLite is at."""
    from audiomem_sql.udfs import words

    return (*functions(), *words.ROW_FUNCTIONS)


def register(connection: apsw.Connection) -> None:
    """Make all functions known to an apsw connection."""
    for function in all_functions():
        for count in function.counts:
            connection.create_scalar_function(
                function.name, function.call, count, deterministic=True, flags=function.flags
            )
