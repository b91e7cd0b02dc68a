"""Rows of one schema seen through another: columns are told by their ids, whatever their names and places.

A column that was added after the rows were written has its DEFAULT in them. One that was dropped is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.defaults import constant
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError


def places_in(stored: Schema, schema: Schema) -> tuple[int | None, ...]:
    """For each column of ``schema`` its place in ``stored``; None for one that is not there.

    DamagedFileError, without a file, if a column has another type there, or is the rowid in one of the two
    only.
    """
    by_id = {column.id: position for position, column in enumerate(stored.columns)}
    positions = tuple(by_id.get(column.id) for column in schema.columns)
    for column, position in zip(schema.columns, positions, strict=True):
        if position is None:
            changed = column.is_rowid
        else:
            other = stored.columns[position]
            changed = other.type != column.type or other.is_rowid != column.is_rowid
        if changed:
            raise DamagedFileError(f"column {column.name} has another type in an older version")
    return positions


def initial_value(column: Column) -> StoredValue:
    """The value of ``column`` in rows that were written before it was added: its DEFAULT, as it is stored.

    SchemaError if the default has no such value, which no column that was added has.
    """
    return constant(column)


def row_translation(
    stored: Schema, schema: Schema
) -> Callable[[Sequence[StoredValue]], tuple[StoredValue, ...]]:
    """A function from a row of ``stored`` to the same row of ``schema``."""
    positions = places_in(stored, schema)
    initial = [initial_value(column) for column in schema.columns]

    def translate(row: Sequence[StoredValue]) -> tuple[StoredValue, ...]:
        return tuple(
            value if position is None else row[position]
            for position, value in zip(positions, initial, strict=True)
        )

    return translate


def union(newest: Schema, older: Iterable[Schema]) -> Schema:
    """A schema with the columns of ``newest``, and behind them those of ``older`` that were dropped since.

    The latter promise nothing: rows that were written after them have nothing there. One whose name is in use
    by now gets its id behind it. A column that was searched by meaning still is: it has vectors.
    """
    older = list(older)
    semantic = {column.id for schema in older for column in schema.columns if column.semantic}
    columns = [
        replace(column, semantic=True) if column.id in semantic else column for column in newest.columns
    ]
    ids = set(newest.ids)
    names = {fold(column.name) for column in columns}
    for schema in older:
        for column in schema.columns:
            if column.id in ids:
                continue
            ids.add(column.id)
            name = f"{column.name}#{column.id}" if fold(column.name) in names else column.name
            names.add(fold(name))
            columns.append(replace(column, name=name, not_null=False, unique=False, primary_key=False))
    if len(columns) == len(newest) and tuple(columns) == newest.columns:
        return newest
    columns.sort(key=lambda column: column.is_hidden)  # columns of vectors are behind all others
    return newest.changed(columns)
