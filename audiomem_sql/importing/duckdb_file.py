"""A table of a DuckDB file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.column import quote
from audiomem_sql.columns.logical.arrow_forms import node_of
from audiomem_sql.columns.logical.casting import UnfitError
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.types import ColumnType, Kind
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
from audiomem_sql.importing.taken_types import (
    cast,
    has_enum,
    has_interval,
    spelled_with,
    taken,
    takes,
    told,
)
from audiomem_sql.writing.relations import asked, asked_type, stored_of_asked

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
        self._nodes: dict[str, Node] = {}
        with _reading(inputs.label):
            spelled = {name: kind for name, kind, *_ in made.execute(f"DESCRIBE {table}").fetchall()}
        with _reading(inputs.label), reader(made, f"SELECT * FROM {table} LIMIT 0") as none:
            fields = []
            shown = []
            for item in none.schema:
                asked_as, field = self._column(item, _named(spelled[item.name], item))
                name = quote(item.name)
                shown.append(name if asked_as is None else f"CAST({name} AS {asked_as}) AS {name}")
                fields.append(field)
            self._shown = ", ".join(shown)
            self._fields = pa.schema(fields)

    def _column(self, item: pa.Field, node: Node | None) -> tuple[str | None, pa.Field]:
        """As what DuckDB is asked for a column, None for as it is, and the field of what becomes of it.

        node: its type, where Arrow does not tell it.
        """
        wished = self._wishes.of(item.name)
        if node is not None and wished is None:
            self._nodes[item.name] = node
            return asked(node), told(item, ColumnType.of(node))
        if node is not None and wished is not None and node.name != "ENUM":
            is_text = not node.is_nested or (wished.type.kind is Kind.TEXT and wished.type.logical is None)
            return (
                ("VARCHAR", item.with_type(pa.string()))
                if is_text
                else (asked(node), item.with_type(asked_type(node)))
            )
        is_taken = takes(item.type) or pa.types.is_nested(item.type) or taken(item).type != pa.string()
        return None if is_taken else "VARCHAR", taken(item)

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
        node = self._nodes.get(item.name)
        if node is None:
            same = pa.types.is_nested(item.type) and array.type != item.type  # but for truth values
            return array.cast(item.type) if same else cast(array, item)
        try:
            return stored_of_asked(node, array)
        except UnfitError as error:
            raise DataTypeError(
                f"the column {item.name} has a value that is none here, {array[error.row].as_py()}: {error}",
                file=self._inputs.label,
                place=f"row {before + error.row + 1}",
                remedy=f"Read it as a text: --types {item.name}=TEXT.",
            ) from error

    def done(self) -> tuple[int, int]:
        """Bytes; see ``RowSource``."""
        return int(self._share * self._inputs.size), self._inputs.size


def _named(spelled: str, item: pa.Field) -> Node | None:
    """The type of a column that is or has an ENUM or INTERVAL; None for others, which Arrow tells.

    Of an ENUM Arrow does not know the values, and microseconds of an INTERVAL wrap in its nanoseconds.
    """
    try:
        named = ColumnType.parse(spelled).logical
        if named is None or not (has_enum(named) or has_interval(named)):
            return None
        own = node_of(item.type)
        found = named if not named.is_nested or own is None else spelled_with(named, own)
        return None if found is None else ColumnType.of(found).logical
    except SchemaError:  # too many values for a definition: texts; or a union
        return None


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
