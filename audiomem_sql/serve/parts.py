"""What an answer is made of: parts of its rows, as lists of values and as record batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from audiomem_sql.columns.shown import shown_array
from audiomem_sql.columns.types import STORED, ColumnType, arrow_type
from audiomem_sql.errors import DataTypeError, LimitError
from audiomem_sql.serve.values import column_lists, distinct, json_value

#: Rows of a part of a result of SQL, and the bytes at which one ends.
_ROWS, _BYTES = 512, 1 << 20


class Part(Protocol):
    """Some rows."""

    @property
    def count(self) -> int:
        """How many."""

    def lists(self) -> list[list[Any]]:
        """A list of values for each column, as JSON has them."""

    def batch(self) -> pa.RecordBatch:
        """The rows in Arrow, all parts with the same schema. DataTypeError where that cannot be."""


@dataclass(frozen=True, slots=True)
class BatchPart:
    """Rows of the engine, or as users get them."""

    rows: pa.RecordBatch
    types: Sequence[ColumnType]

    @property
    def count(self) -> int:
        """How many."""
        return int(self.rows.num_rows)

    def lists(self) -> list[list[Any]]:
        """A list of values for each column."""
        return column_lists(self.rows, self.types)

    def batch(self) -> pa.RecordBatch:
        """The rows, as users get them."""
        if all(each.logical is None for each in self.types):
            return self.rows
        schema = self.rows.schema
        arrays = []
        for number, (array, each) in enumerate(zip(self.rows.columns, self.types, strict=True)):
            if each.logical is not None and array.type == arrow_type(each):
                array = shown_array(array, each)
            arrays.append(array)
            field = schema.field(number)
            told = {key: text for key, text in (field.metadata or {}).items() if key != STORED}
            schema = schema.set(number, field.with_type(array.type).with_metadata(told))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


class SqlColumns:
    """The columns of a statement's result, whose Arrow types the first part decides.

    SQLite has a type for each value, not for each column. So, as in ADBC's driver for SQLite, the first rows
    decide: int64, double (where there are both), string or binary; what is NULL there as it was declared, or
    else string. A later value that does not fit is an error.
    """

    def __init__(self, names: Sequence[str], declared: Sequence[str | None]) -> None:
        self.names = distinct(names)
        self._declared = list(declared)
        self._types: list[pa.DataType] = []

    def schema(self, rows: Sequence[Sequence[Any]]) -> pa.Schema:
        """The schema, which ``rows`` decide if they are the first."""
        if not self._types:
            columns = zip(*rows, strict=True) if rows else ((),) * len(self.names)
            self._types = [
                _type_of(values, declared, name)
                for values, declared, name in zip(columns, self._declared, self.names, strict=True)
            ]
        return pa.schema(list(zip(self.names, self._types, strict=True)))

    def batch(self, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
        """Rows in Arrow."""
        schema = self.schema(rows)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self.names)
        arrays = []
        for field, values in zip(schema, columns, strict=True):
            try:
                arrays.append(_array(values, field.type))
            except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError):
                raise _mixed(field.name) from None
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


@dataclass(frozen=True, slots=True)
class SqlPart:
    """Rows of a statement of SQL."""

    rows: Sequence[Sequence[Any]]
    columns: SqlColumns

    @property
    def count(self) -> int:
        """How many."""
        return len(self.rows)

    def lists(self) -> list[list[Any]]:
        """A list of values for each column."""
        return [[json_value(value) for value in values] for values in zip(*self.rows, strict=True)]

    def batch(self) -> pa.RecordBatch:
        """The rows in Arrow."""
        return self.columns.batch(self.rows)


def sql_parts(rows: Iterable[Sequence[Any]], columns: SqlColumns) -> Iterator[SqlPart]:
    """The rows of a statement, in parts of some hundred rows, or about a megabyte. At least one part."""
    held: list[Sequence[Any]] = []
    size, first = 0, True
    for row in rows:
        held.append(row)
        size += sum(len(value) for value in row if type(value) is str or type(value) is bytes)
        if len(held) >= _ROWS or size >= _BYTES:
            yield SqlPart(held, columns)
            held, size, first = [], 0, False
    if held or first:
        yield SqlPart(held, columns)


def limited(parts: Iterable[Part], most: int) -> Iterator[Part]:
    """The parts; LimitError at the one with which they have more than ``most`` rows."""
    count = 0
    for part in parts:
        count += part.count
        if count > most:
            raise LimitError(
                f"the result has more than {most:,} rows", remedy="Ask for less, with LIMIT or limit=."
            )
        yield part


def _type_of(values: Sequence[Any], declared: str | None, name: str) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return _declared_type(declared)
    if kinds == {int}:
        return pa.float64() if _declared_type(declared) == pa.float64() else pa.int64()
    if kinds <= {int, float}:
        return pa.float64()
    if kinds == {str}:
        return pa.string()
    if kinds == {bytes}:
        return pa.binary()
    raise _mixed(name)


def _declared_type(declared: str | None) -> pa.DataType:
    text = (declared or "").upper()
    if "INT" in text or "BOOL" in text:
        return pa.int64()
    if "BLOB" in text:
        return pa.binary()
    if "REAL" in text or "DOUB" in text or text == "FLOAT":
        return pa.float64()
    return pa.string()


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.float64():
        for value in values:
            if type(value) is int and int(float(value)) != value:
                raise TypeError
        return pa.array([None if value is None else float(value) for value in values], kind)
    wanted = {pa.int64(): int, pa.string(): str, pa.binary(): bytes}[kind]
    if any(value is not None and type(value) is not wanted for value in values):
        raise TypeError
    return pa.array(values, kind)


def _mixed(name: str) -> DataTypeError:
    return DataTypeError(
        "its values are of several types",
        place=f"column {name}",
        remedy="Arrow and Parquet have one for a column: write CAST(… AS TEXT), or ask for JSON.",
    )
