"""What an UPDATE in Python writes: constants, functions and expressions of Arrow, expressions of SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.affinity import StoredValue, converter
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.shown import shown_arrays
from audiomem_sql.columns.stored_values import integer_array, stored_rows
from audiomem_sql.errors import AudioMemError, DataTypeError, QueryError, SchemaError, did_you_mean
from audiomem_sql.predicates import ROWID
from audiomem_sql.predicates.predicate import SqlPredicate
from audiomem_sql.scan.sql_rows import SqlRows

if TYPE_CHECKING:
    import pyarrow.compute as pc

#: What a column is set to: a constant, or what gives a value for each of the rows.
NewValue: TypeAlias = "Callable[[pa.Table], Any] | pc.Expression | Any"
#: What gives the values of a column for rows: their rowids, int64 (n,), and the rows as stored and as shown.
_Values: TypeAlias = Callable[[I64Array, pa.Table, pa.Table], list[StoredValue]]


class NewValues:
    """The new values of some columns of ``schema``, ready for rows.

    values: by column. sql: expressions by column, as texts. SchemaError for columns that are not there, or
    there twice; DataTypeError for a constant that does not fit; QueryError for what is no expression, and
    where nothing is set.
    """

    def __init__(self, values: Mapping[str, NewValue], sql: Mapping[str, str], schema: Schema) -> None:
        for given, name in ((values, "values"), (sql, "sql")):
            if not isinstance(given, Mapping):
                raise QueryError(
                    f"{name} is a dict of columns, not {given!r:.60}", remedy="Write {'year': 2020}."
                )
        if not values and not sql:
            raise QueryError("no column is set", remedy="Write values={'year': 2020}.")
        self._schema = schema
        self._sources: dict[int, _Values] = {}
        for name, value in values.items():
            self._set(name, partial(_source, value, schema))
        for name, text in sql.items():
            self._set(name, partial(self._sql, text))

    def _set(self, name: object, source: Callable[[Column], _Values]) -> None:
        if not isinstance(name, str):
            raise SchemaError(f"the name of a column is a text, not {name!r:.60}")
        place = self._schema.index(name)
        if place in self._sources:
            raise SchemaError(f"column {self._schema.columns[place].name} is set twice")
        self._sources[place] = source(self._schema.columns[place])

    def rows(self, rowids: I64Array, table: pa.Table) -> list[list[StoredValue]]:
        """The rows of ``table``, which are as they are stored, with the new values.

        Each value is made of the row as it was.
        """
        types = [column.type for column in self._schema.columns]
        shown = pa.Table.from_arrays(shown_arrays(table.columns, types), schema=self._schema.shown())
        new = {place: source(rowids, table, shown) for place, source in self._sources.items()}
        rows = [list(row) for row in stored_rows(table, self._schema)]
        for place, values in new.items():
            for row, value in zip(rows, values, strict=True):
                row[place] = value
        return rows

    def _sql(self, text: str, column: Column) -> _Values:
        """An expression of SQL, converted as SQL's own UPDATE does."""
        if not isinstance(text, str):
            raise QueryError(
                f"an expression of SQL is a text, not {text!r:.60}",
                place=f"column {column.name}",
                remedy="Pass constants and functions as values.",
            )
        try:
            expression = SqlRows(SqlPredicate.of(text), self._schema, text, "expression")
        except AudioMemError as error:
            error.at(place=f"column {column.name}")
            raise
        convert = converter(column)

        def values(rowids: I64Array, table: pa.Table, shown: pa.Table) -> list[StoredValue]:
            def load(number: int) -> pa.Array:
                return integer_array(rowids) if number == ROWID else table.column(number).combine_chunks()

            made: list[StoredValue] = []
            for rowid, value in zip(rowids.tolist(), expression.values(load), strict=True):
                try:
                    made.append(convert(value))
                except DataTypeError as error:
                    error.at(place=f"row {rowid}")
                    raise
            return made

        return values


def _source(value: NewValue, schema: Schema, column: Column) -> _Values:
    """What gives the values of ``column``, whatever it is set to."""
    if callable(value):
        return lambda rowids, table, shown: _array_values(_called(value, shown, column), table, column)
    if type(value).__name__ == "Expression" and type(value).__module__.startswith("pyarrow"):
        _check_names(value, column, schema)
        return lambda rowids, table, shown: _array_values(_evaluated(value, shown, column), table, column)
    stored = converter(column)(value.as_py() if isinstance(value, pa.Scalar) else value)
    return lambda rowids, table, shown: [stored] * len(rowids)


def _called(function: Callable[[pa.Table], Any], table: pa.Table, column: Column) -> Any:
    try:
        return function(table)
    except AudioMemError:
        raise
    except Exception as error:
        raise QueryError(
            f"the function for column {column.name} fails: {type(error).__name__}: {error!s:.200}",
            remedy="It is given the rows as an Arrow table, and returns a value for each.",
        ) from error


def _check_names(expression: pc.Expression, column: Column, schema: Schema) -> None:
    """QueryError if an expression names a column that is not there; it is asked before rows are read."""
    from audiomem_sql.scan.arrow_expression import names_in, parse_expression

    node = parse_expression(expression)
    for name in sorted(names_in(node)) if node is not None else ():
        if name not in schema.names:
            raise QueryError(
                f"there is no column {name!r}",
                place=f"column {column.name}",
                remedy=f"{did_you_mean(name, schema.names)}The columns are {', '.join(schema.names)}",
            )


def _evaluated(expression: pc.Expression, table: pa.Table, column: Column) -> Any:
    import pyarrow.dataset as ds

    try:
        made = ds.InMemoryDataset(table).to_table({column.name: expression}, use_threads=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise QueryError(
            f"Arrow cannot evaluate the expression for column {column.name}: {error!s:.300}"
        ) from error
    return made.column(0)


def _array_values(made: Any, table: pa.Table, column: Column) -> list[StoredValue]:
    """An array or list of a value for each row, or one value for all, as stored values."""
    rows = table.num_rows
    if isinstance(made, pa.Scalar) or made is None or isinstance(made, str | bytes | int | float):
        return [converter(column)(made.as_py() if isinstance(made, pa.Scalar) else made)] * rows
    alone = Schema((column,)).nullable((0,))  # what may not be NULL is told with the row
    new, _ = to_table({column.name: made}, alone)
    if new.num_rows != rows:
        raise DataTypeError(
            f"column {column.name} is given {new.num_rows:,} values for {rows:,} rows",
            remedy="Return a value for each row, in the order of the rows.",
        )
    return [value for (value,) in stored_rows(new, alone)]
