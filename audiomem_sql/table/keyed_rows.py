"""Rows that somebody brings to a table, each with the key by which it is matched with a row that is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.column import check_key_type, fold
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import as_sql, stored_rows
from audiomem_sql.errors import ConstraintError, DataTypeError, QueryError, SchemaError
from audiomem_sql.indexes.keys.combined import folded
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, scan
from audiomem_sql.writing.transaction import Transaction

#: Keys that are named to a scan, which then reads fewer blocks; it reads all of the columns for more.
_NAMED_KEYS = 1000


@dataclass(frozen=True, slots=True)
class KeyedRows:
    """Rows as stored values of ``schema``, and their keys, which differ.

    table: the rows, with defaults where a column was not given, and NULL where that is not allowed, too.
    places: of the columns of the key. given: the places of the columns that each row brought. numbers: of the
    rows, from 0, by their keys.
    """

    schema: Schema
    rows: list[tuple[StoredValue, ...]]
    places: tuple[int, ...]
    given: list[frozenset[int]]
    numbers: dict[tuple[StoredValue, ...], int]

    @classmethod
    def of(cls, data: Any, schema: Schema, on: str | Sequence[str] | None) -> KeyedRows:
        """The rows of ``data``, whatever ``append`` takes.

        on: the columns of the key, by default those of the table's. SchemaError for columns that are not
        there, DataTypeError for values that do not fit; ConstraintError, with the row from 0, for a key that
        is NULL or there twice; QueryError for a row without it.
        """
        places = _key_places(schema, on)
        data, names = _with_names(data, schema)
        table, _ = to_table(data, schema.nullable(range(len(schema))))
        places_of = cache(partial(_places_of, schema))
        given = [places_of(tuple(map(str, row))) for row in names]
        if len(given) != table.num_rows:
            given = (given or [frozenset(range(len(schema)))]) * table.num_rows
        rows = list(stored_rows(table, schema))
        return cls(schema, rows, places, given, _numbered(schema, rows, places, given))

    def key(self, row: Sequence[StoredValue]) -> tuple[StoredValue, ...]:
        """The key of a row, as the collations of its columns compare it."""
        return tuple(folded(row[place], self.schema.columns[place]) for place in self.places)

    def key_text(self, number: int) -> str:
        """The key of a row for messages."""
        return _key_text(self.schema, self.places, self.rows[number])

    def matches(self, transaction: Transaction) -> list[tuple[int, int]]:
        """(rowid, number) of each row of the table that has the key of a row here."""
        if self.places == (self.schema.rowid_column,):
            keys = [(row[self.places[0]], number) for number, row in enumerate(self.rows)]
            return [(rowid, number) for rowid, number in keys if transaction.contains(rowid)]  # type: ignore[arg-type,misc]
        for places in transaction.keys.all:
            if sorted(places) == sorted(self.places):
                found = ((transaction.keys.find(places, row), number) for number, row in enumerate(self.rows))
                return [(rowid, number) for rowid, number in found if rowid is not None]
        return list(self._scanned(transaction))

    def _scanned(self, transaction: Transaction) -> Iterator[tuple[int, int]]:
        """The same, for columns that are no key of the table: several of its rows may have the same one."""
        columns = [self.schema.columns[place] for place in self.places]
        filters = []
        if len(self.rows) <= _NAMED_KEYS:
            for place, column in zip(self.places, columns, strict=True):
                if column.type.logical is not None:
                    continue
                values = [as_sql(row[place], column.type) for row in self.rows]
                filters.append(
                    Filter(place, bind(Predicate(place, Op.IN, values), column.type, column.collation))
                )
        alone = Schema(tuple(columns))
        for batch in scan(transaction.snapshot, self.places, filters):
            table = pa.Table.from_arrays(list(batch.arrays), names=list(alone.names))
            for rowid, row in zip(batch.rowids.tolist(), stored_rows(table, alone), strict=True):
                key = tuple(folded(value, column) for value, column in zip(row, columns, strict=True))
                number = self.numbers.get(key)
                if number is not None:
                    yield rowid, number


def _key_places(schema: Schema, on: str | Sequence[str] | None) -> tuple[int, ...]:
    """The places of the columns of a key."""
    names = _table_key(schema) if on is None else (on,) if isinstance(on, str) else tuple(on)
    places = tuple(map(schema.index, names))
    if not places or len(set(places)) < len(places):
        raise QueryError(f"{list(names)!r:.200} is no key", remedy="Name each of its columns once.")
    for place in places:
        check_key_type(schema.columns[place])
    return places


def _table_key(schema: Schema) -> tuple[str, ...]:
    """The columns of the primary key, or else of the only UNIQUE key."""
    unique: list[tuple[str, ...]] = []
    for column in schema.columns:
        if column.primary_key:
            return (column.name,)
        if column.unique:
            unique.append((column.name,))
    for key in schema.keys:
        if key.primary:
            return key.columns
        unique.append(key.columns)
    if len(unique) == 1:
        return unique[0]
    raise QueryError(
        f"the table has {'several keys' if unique else 'no key'} that could tell which rows are meant",
        remedy=f"Name the columns that do, such as key={list(unique[0] if unique else schema.names[:1])!r}.",
    )


def _with_names(data: Any, schema: Schema) -> tuple[Any, list[Any]]:
    """What ``to_table`` takes, and the names of the columns: of each dict of a list, or once for all rows.

    There are none for what is no table, which ``to_table`` refuses. Levels of the index of a frame of pandas
    that are called as columns of the table become columns.
    """
    if isinstance(data, list | tuple):
        return data, list(data) if all(isinstance(row, Mapping) for row in data) else []
    if isinstance(data, Mapping):
        return data, [list(data)]
    if hasattr(data, "collect") and hasattr(data, "collect_schema"):  # a LazyFrame
        data = data.collect()
    if isinstance(getattr(data, "schema", None), pa.Schema):
        return data, [data.schema.names]
    if hasattr(data, "reset_index"):
        levels = [name for name in data.index.names if name in schema and name not in data.columns]
        data = data.reset_index(level=levels) if levels else data
    if hasattr(data, "columns"):
        return data, [[str(name) for name in data.columns]]
    if hasattr(data, "__arrow_c_stream__"):
        try:
            data = pa.RecordBatchReader.from_stream(data)
        except pa.ArrowException as error:
            raise DataTypeError(f"the Arrow data cannot be read: {error}") from error
        return data, [data.schema.names]
    return data, []


def _places_of(schema: Schema, names: tuple[str, ...]) -> frozenset[int]:
    folded_names = {fold(name) for name in names}
    return frozenset(place for place, name in enumerate(schema.names) if fold(name) in folded_names)


def _numbered(
    schema: Schema,
    rows: Sequence[Sequence[StoredValue]],
    places: tuple[int, ...],
    given: Sequence[frozenset[int]],
) -> dict[tuple[StoredValue, ...], int]:
    """The numbers of the rows by their keys."""
    columns = [schema.columns[place] for place in places]
    numbers: dict[tuple[StoredValue, ...], int] = {}
    for number, row in enumerate(rows):
        for place, column in zip(places, columns, strict=True):
            if place not in given[number]:
                raise SchemaError(
                    f"column {column.name} is missing, by which rows are matched", place=f"row {number}"
                )
            if row[place] is None:
                raise ConstraintError(
                    f"NULL in column {column.name}, by which rows are matched",
                    place=f"row {number}",
                    remedy="Give the row a key, or append it.",
                )
        key = tuple(folded(row[place], column) for place, column in zip(places, columns, strict=True))
        first = numbers.setdefault(key, number)
        if first != number:
            raise ConstraintError(
                f"{_key_text(schema, places, row)} is there twice, in row {first}, too",
                place=f"row {number}",
                remedy="Give each key once.",
            )
    return numbers


def _key_text(schema: Schema, places: tuple[int, ...], row: Sequence[StoredValue]) -> str:
    parts = [
        f"{schema.columns[place].name} = {as_sql(row[place], schema.columns[place].type)!r:.60}"
        for place in places
    ]
    return f"the key {', '.join(parts)}"
