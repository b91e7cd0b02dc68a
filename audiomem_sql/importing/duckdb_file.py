"""A table of a DuckDB file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.arrow_cast import cast_column
from audiomem_sql.columns.column import Column, quote
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import AudioMemError, DamagedFileError, DataTypeError, SchemaError
from audiomem_sql.importing.bad_lines import BadLines
from audiomem_sql.importing.contract import Wishes
from audiomem_sql.importing.duckdb_connection import (
    SORT_MEMORY,
    connection,
    literal,
    reader,
    share_done,
)
from audiomem_sql.importing.inputs import Inputs
from audiomem_sql.importing.tables import chosen_table
from audiomem_sql.importing.taken_types import TYPE, cast, combined, taken, takes, told

_INTERVAL = Column("interval", ColumnType.parse("INTERVAL"))
_TABLES = (
    "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'source' UNION ALL "
    "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = 'source' AND NOT internal"
)
_KEY = (
    "SELECT constraint_column_names FROM duckdb_constraints() WHERE database_name = 'source' "
    "AND schema_name = ? AND table_name = ? AND constraint_type = 'PRIMARY KEY'"
)


@contextlib.contextmanager
def open_rows(inputs: Inputs, wishes: Wishes, bad: BadLines) -> Iterator[DuckDBRows]:
    """The rows of a table of a DuckDB file."""
    (file,) = inputs.files
    with connection("files of DuckDB") as made:
        with _reading(file.label):
            made.execute("SET arrow_lossless_conversion=true")
            made.execute(f"ATTACH {literal(file.path)} AS source (READ_ONLY, TYPE duckdb)")
            found = made.execute(_TABLES).fetchall()
            names = [name if schema == "main" else f"{schema}.{name}" for schema, name in found]
        schema, name = found[names.index(chosen_table(names, wishes.table, file.label))]
        keys = made.execute(_KEY, [schema, name]).fetchall()
        key = keys[0][0][0] if len(keys) == 1 and len(keys[0][0]) == 1 else None
        yield DuckDBRows(made, inputs, wishes, f"source.{quote(schema)}.{quote(name)}", key)


class DuckDBRows:
    """Rows of a table of DuckDB; see ``RowSource``."""

    sorts = True

    def __init__(self, made: Any, inputs: Inputs, wishes: Wishes, table: str, key: str | None) -> None:
        self.key = key
        self._made, self._inputs, self._wishes, self._table = made, inputs, wishes, table
        self._share = 0.0
        with _reading(inputs.label):
            enums = self._enums()
        with _reading(inputs.label), reader(made, f"SELECT * FROM {table} LIMIT 0") as none:
            fields = []
            shown = []
            for item in none.schema:
                is_interval = item.type == pa.month_day_nano_interval()
                is_text = is_interval or not (
                    takes(item.type) or pa.types.is_nested(item.type) or taken(item).type != pa.string()
                )
                name = quote(item.name)
                shown.append(f"CAST({name} AS VARCHAR) AS {name}" if is_text else name)
                if item.name in enums:
                    fields.append(told(item, enums[item.name]))
                elif is_interval:  # whose microseconds wrap in Arrow's nanoseconds
                    own = wishes.of(item.name) is None
                    fields.append(told(item, _INTERVAL.type) if own else item.with_type(pa.string()))
                else:
                    fields.append(taken(item))
            self._fields = pa.schema(fields)
            self._shown = ", ".join(shown)

    def _enums(self) -> dict[str, ColumnType]:
        """The columns that are an ENUM and have no other type by order, with its values."""
        enums: dict[str, ColumnType] = {}
        for name, spelled, *_ in self._made.execute(f"DESCRIBE {self._table}").fetchall():
            if spelled.startswith("ENUM(") and self._wishes.of(name) is None:
                with contextlib.suppress(SchemaError):  # too many values for a definition: texts
                    found = ColumnType.parse(spelled)
                    if found.logical is not None and found.logical.name == "ENUM":  # not a list of them
                        enums[name] = found
        return enums

    def schema(self, whole: bool) -> pa.Schema:
        """The columns; see ``RowSource``."""
        return self._fields

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; see ``RowSource``."""
        order = "" if self._wishes.sorted_by is None else f" ORDER BY {quote(self._wishes.sorted_by)}"
        if order:
            self._made.execute(f"SET memory_limit='{SORT_MEMORY}'")
        statement = f"SELECT {self._shown} FROM {self._table}{order}"
        before = 0
        with _reading(self._inputs.label), reader(self._made, statement) as batches:
            for batch in batches:
                self._share = share_done(self._made)
                arrays = [
                    self._array(array, item, before)
                    for array, item in zip(batch.columns, self._fields, strict=True)
                ]
                before += len(batch)
                yield pa.RecordBatch.from_arrays(arrays, schema=self._fields)

    def _array(self, array: Any, item: pa.Field, before: int) -> Any:
        if (item.metadata or {}).get(TYPE) != b"INTERVAL":
            return cast(array, item)
        try:
            return combined(cast_column(_INTERVAL, [array]))
        except DataTypeError as error:
            row = int((error.place or "row 0").removeprefix("row "))
            raise DataTypeError(
                f"the column {item.name} has an interval that is none here, {array[row].as_py()}",
                file=self._inputs.label,
                place=f"row {before + row + 1}",
                remedy=f"Read it as a text: --types {item.name}=TEXT.",
            ) from error

    def done(self) -> tuple[int, int]:
        """Bytes; see ``RowSource``."""
        return int(self._share * self._inputs.size), self._inputs.size


@contextlib.contextmanager
def _reading(label: str) -> Iterator[None]:
    try:
        yield
    except AudioMemError:
        raise
    except Exception as error:
        kind = type(error).__module__.lstrip("_").partition(".")[0]
        if kind != "duckdb" and not isinstance(error, OSError | pa.ArrowException):
            raise
        raise DamagedFileError(
            f"DuckDB says: {' '.join(str(error).split())[:200]}",
            file=label,
            remedy="Close the program that writes to it, and open it with the duckdb that wrote it.",
        ) from error
