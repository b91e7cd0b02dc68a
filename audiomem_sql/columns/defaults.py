"""The values of DEFAULT: what a column holds where an INSERT says nothing about it.

A constant default has one value for ever, converted by the column's type; any other, such as
CURRENT_TIMESTAMP or (random()), is evaluated for each row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from audiomem_sql.columns.affinity import StoredValue, convert
from audiomem_sql.columns.column import Column, refusal
from audiomem_sql.columns.expressions import (
    DATE_FUNCTIONS,
    SqlValue,
    deterministic_functions,
    evaluate,
    functions_of,
)
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.errors import DataTypeError, SchemaError

_NUMBER = re.compile(r"([+-]?)\s*((?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]{1,5})?)")


def check_default(column: Column) -> None:
    """Raise SchemaError, naming the column, unless its default can be evaluated and fits its type."""
    if column.default is not None:
        values(column, 1)


def is_constant(column: Column) -> bool:
    """Whether the default, or its absence, has the same value for every row."""
    return column.default is None or _functions(column) <= deterministic_functions() - DATE_FUNCTIONS


@lru_cache(maxsize=1024)
def constant(column: Column) -> StoredValue:
    """The value of a constant default as the column stores it; NULL without a default.

    Raises SchemaError, naming the column, if the default is not constant or does not fit the column's type.
    """
    if column.default is None:
        return None
    if not is_constant(column):
        raise refusal(column.name, f"DEFAULT {column.default} is not constant", "Use a constant")
    return values(column, 1)[0]


def values(column: Column, count: int) -> list[StoredValue]:
    """The default evaluated for ``count`` rows, as the column stores it.

    Raises SchemaError, naming the column, if it has no value or one that does not fit the column's type.
    """
    if column.default is None:
        return [None] * count
    _functions(column)
    node = column.type.logical
    try:
        literal = _digits(column.default) if node is not None and node.is_number else None
        evaluated = evaluate(column.default, count) if literal is None else [literal] * count
        return [convert(value, column) for value in evaluated]
    except DataTypeError as error:
        raise refusal(column.name, f"the default {column.default}: {error.what}", error.remedy) from None
    except SchemaError as error:
        raise refusal(column.name, f"the default {column.default}: {error.what}") from None


def _digits(default: str) -> str | None:
    """A number as it is written, of which SQLite would keep 15 digits; None for any other expression."""
    found = _NUMBER.fullmatch(default.strip("() \t\r\n"))
    return None if found is None else (found[1] or "") + found[2].replace("_", "")


def sql_values_of(column: Column, count: int) -> list[SqlValue]:
    """What ``count`` rows hold that do not name the column, as SQL sees it.

    NULL for the rowid and without a default.
    """
    if column.default is None or column.is_rowid:
        return [None] * count
    evaluated = [constant(column)] * count if is_constant(column) else values(column, count)
    return [as_sql(value, column.type) for value in evaluated]


def fillers(schema: Schema) -> list[tuple[int, Callable[[], SqlValue]]]:
    """For each column with a default its place, and what gives the value for the next row as SQL sees it.

    INTEGER PRIMARY KEY is not among them: as in SQLite, NULL there asks for the next rowid.
    """
    return [
        (number, _filler(column))
        for number, column in enumerate(schema.columns)
        if column.default is not None and not column.is_rowid
    ]


def _filler(column: Column) -> Callable[[], SqlValue]:
    """What gives the default of one row after another; a constant is evaluated once, when it is needed."""
    kept: list[SqlValue] = []

    def value() -> SqlValue:
        if kept:
            return kept[0]
        evaluated = sql_values_of(column, 1)[0]
        if is_constant(column):
            kept.append(evaluated)
        return evaluated

    return value


@lru_cache(maxsize=1024)
def _functions(column: Column) -> frozenset[str]:
    assert column.default is not None
    try:
        return functions_of(column.default)
    except SchemaError as error:
        raise refusal(column.name, f"the default {column.default}: {error.what}") from None
