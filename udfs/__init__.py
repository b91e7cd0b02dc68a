"""Scalar functions of SQLite, one family a module."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import apsw

    from audiomem_sql.udfs.function import Function


def functions() -> tuple[Function, ...]:
    """Those of values, which DuckDB has as well."""
    from audiomem_sql.udfs import about, meaning, vectors, words

    return (*about.FUNCTIONS, *meaning.FUNCTIONS, *vectors.FUNCTIONS, *words.FUNCTIONS)


def all_functions() -> tuple[Function, ...]:
    """Those of values, those that DuckDB needs none of, and those of the row that a cursor is at."""
    from audiomem_sql.udfs import decimals, words

    return (*functions(), *decimals.FUNCTIONS, *words.ROW_FUNCTIONS)


def aggregates() -> tuple[tuple[str, Callable[[], Any]], ...]:
    """Names of aggregates of one argument, and what makes the state of a group: it can add and remove."""
    from audiomem_sql.udfs import decimals

    return decimals.AGGREGATES


def register(connection: apsw.Connection) -> None:
    """Make all functions known to an apsw connection."""
    from audiomem_sql.udfs.function import DETERMINISTIC, INNOCUOUS

    for function in all_functions():
        for count in function.counts:
            connection.create_scalar_function(
                function.name, function.call, count, deterministic=True, flags=function.flags
            )
    for name, make in aggregates():
        connection.create_window_function(name, partial(_window, make), 1, flags=INNOCUOUS | DETERMINISTIC)


def _window(make: Callable[[], Any]) -> tuple[Any, ...]:
    """A new state, as apsw takes one apart."""
    return (
        make(),
        lambda state, value: state.add(value),
        lambda state: state.result(),
        lambda state: state.result(),
        lambda state, value: state.remove(value),
    )
