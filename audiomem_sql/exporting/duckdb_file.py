"""A new DuckDB file with one table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from audiomem_sql.columns.column import Column, quote
from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import DataTypeError, MissingExtraError
from audiomem_sql.exporting.contract import Shape
from audiomem_sql.vtab.duckdb.in_arrow import DUCKDB_FORM
from audiomem_sql.vtab.duckdb.native_types import described, spelled
from audiomem_sql.vtab.duckdb.native_values import native

#: Rows that are inserted at once.
_ROWS = 1 << 17


class DuckDBWriter:
    """The rows of one table."""

    def __init__(self, path: str, shape: Shape) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError(
                "duckdb is not installed, which writes such files",
                remedy="pip install 'audiomem-sql[duckdb]'.",
            ) from None
        self._columns, self._table = shape.columns, quote(shape.name)
        self._schema = _schema(shape)
        self._connection = duckdb.connect(path)
        self._refusal = (
            duckdb.DataError,
            duckdb.IntegrityError,
            duckdb.InvalidInputException,
            duckdb.NotSupportedError,
        )
        self._connection.execute("SET TimeZone='UTC'; BEGIN")
        self._shown = ", ".join(map(_shown, shape.columns))
        statement = f"CREATE TABLE {self._table} AS SELECT {self._shown} FROM rows"
        self._run(statement, pa.Table.from_batches([], self._schema))
        self._held: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows. DataTypeError for a value that no type of DuckDB holds."""
        arrays = [_array(column, array) for column, array in zip(self._columns, batch.columns, strict=True)]
        self._held.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        if sum(each.num_rows for each in self._held) >= _ROWS:
            self._put()

    def close(self) -> None:
        """The last rows, the key, and the file."""
        self._put()
        keys = [quote(column.name) for column in self._columns if column.primary_key]
        self._connection.execute("COMMIT")
        if keys:
            self._execute(f"ALTER TABLE {self._table} ADD PRIMARY KEY ({', '.join(keys)})")
        self._connection.close()

    def abandon(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _put(self) -> None:
        if self._held:
            rows = pa.Table.from_batches(self._held, self._schema)
            self._run(f"INSERT INTO {self._table} SELECT {self._shown} FROM rows", rows)
            self._held = []

    def _run(self, statement: str, rows: Any) -> None:
        self._connection.register("rows", rows)
        self._execute(statement)
        self._connection.unregister("rows")

    def _execute(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except self._refusal as error:  # such as a key of a map that is there twice
            raise DataTypeError(
                f"DuckDB says: {' '.join(str(error).split())[:200]}",
                remedy="Leave the column out, or write SQLite or JSON Lines.",
            ) from error


def _schema(shape: Shape) -> pa.Schema:
    """The columns as DuckDB's Python package reads them."""
    fields = []
    for column, field in zip(shape.columns, shape.schema, strict=True):
        node = column.type.logical
        if node is None:
            fields.append(field)
        elif node.name == "ENUM":
            fields.append(pa.field(column.name, pa.string()))
        else:
            fields.append(pa.field(column.name, DUCKDB_FORM.type(column.type)))
    return pa.schema(fields)


def _shown(column: Column) -> str:
    """The column as the file has it, an expression."""
    name, node = quote(column.name), column.type.logical
    if column.type.kind is Kind.JSON:
        return f"CAST({name} AS JSON) AS {name}"
    if node is not None and (node.is_nested or node.name in ("ENUM", "BIGNUM")):  # some come as texts
        return f"CAST({name} AS {spelled(described(node))}) AS {name}"
    return name


def _array(column: Column, array: Any) -> Any:
    node = column.type.logical
    if node is None:
        return array
    stored = stored_form(node, array)
    if node.name == "ENUM":
        return stored
    try:
        if node.name.startswith("DURATION"):
            native(node, stored)
        return DUCKDB_FORM.array(stored, column.type)
    except DataTypeError as error:
        raise error.at(place=f"column {column.name}") from error.__cause__
