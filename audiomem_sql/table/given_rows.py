"""Vectors or texts that somebody brings to a table, in any form, as a column of Arrow arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.arrow_types import is_list
from audiomem_sql.columns.column import fold
from audiomem_sql.errors import DataTypeError, QueryError, did_you_mean
from audiomem_sql.search import Given

#: What a column is called that comes without a name.
UNNAMED = "vector"


def given_rows(data: Any, column: str | None = None) -> Given:
    """The vectors or texts of ``data``.

    data: an array (n, d) or a list of vectors; a list of texts; an Arrow array, table, reader or dataset; a
    data frame of pandas or polars, or one column of it; a relation of DuckDB and whatever else has
    ``__arrow_c_stream__``; a dict of columns, or a list of dicts. column: the one that is meant of several;
    by default the only one, or the only one of vectors. What comes in batches is read a batch at a time.
    QueryError, DataTypeError for what has no such column.
    """
    if isinstance(data, Mapping):
        data = _table_of_columns(data)
    elif isinstance(data, list | tuple) and data and all(isinstance(row, Mapping) for row in data):
        data = _arrow(pa.Table.from_pylist, list(data))
    elif isinstance(data, list | tuple | np.ndarray):
        return Given(UNNAMED if column is None else column, [_array_of(data)])
    if hasattr(data, "collect") and hasattr(data, "collect_schema"):  # a LazyFrame
        data = data.collect()
    elif hasattr(data, "reset_index"):  # of pandas, whose index would be a column
        data = data.reset_index(drop=True)
    reader = _reader(data)
    if isinstance(reader, pa.ChunkedArray):
        return Given(UNNAMED if column is None else column, reader.chunks)
    place = _place(reader.schema, column)
    return Given(reader.schema.names[place], _column(reader, place))


def _reader(data: Any) -> pa.RecordBatchReader | pa.ChunkedArray:
    """What reads a table, or the chunks of a single column."""
    if isinstance(data, pa.Array):
        return pa.chunked_array([data])
    if isinstance(data, pa.ChunkedArray | pa.RecordBatchReader):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(data.schema, [data])
    if hasattr(data, "scanner") and hasattr(data, "to_table"):  # a dataset
        return data.scanner().to_reader()
    if hasattr(data, "__arrow_c_stream__"):
        try:
            return pa.RecordBatchReader.from_stream(data)
        except (pa.ArrowException, TypeError, ValueError):  # one column of a data frame
            return _arrow(pa.chunked_array, data)
    raise QueryError(
        f"a {type(data).__name__} has no rows to look for",
        remedy="Pass an array of vectors (n, d), an Arrow table or reader, or a data frame.",
    )


def _column(reader: pa.RecordBatchReader, place: int) -> Iterator[pa.Array]:
    """One column, batch by batch."""
    while True:
        batch = _arrow(next, reader, None)
        if batch is None:
            return
        yield batch.column(place)


def _place(schema: pa.Schema, column: str | None) -> int:
    """The place of the column that is meant."""
    names = [str(name) for name in schema.names]
    if column is not None:
        places = [place for place, name in enumerate(names) if fold(name) == fold(str(column))]
        if len(places) == 1:
            return places[0]
        raise QueryError(
            f"the rows have {'two columns' if places else 'no column'} {column!s:.60}",
            remedy=f"{did_you_mean(str(column), names)}Their columns are {', '.join(names)}.",
        )
    places = list(range(len(names)))
    if len(places) > 1:
        places = [place for place in places if is_list(schema.types[place])]
    if len(places) == 1:
        return places[0]
    raise QueryError(
        f"which column has the vectors is not told: {', '.join(names) or 'there is none'}",
        remedy="Name one of them.",
    )


def _array_of(data: Any) -> pa.Array:
    """An array (n, d) of numbers, or a list of vectors or texts, as an Arrow array."""
    if isinstance(data, np.ndarray) and data.ndim == 2 and data.dtype.kind in "iuf":
        return _matrix(data)
    values = list(data)
    if not values:
        return pa.nulls(0)
    if all(value is None or isinstance(value, str | bytes) for value in values):
        return _arrow(pa.array, values)
    if all(isinstance(value, Real) for value in values):
        raise DataTypeError(
            "these are the numbers of one vector", remedy="Pass an array (n, d), or a list of vectors."
        )
    made = _arrow(pa.array, [value.tolist() if isinstance(value, np.ndarray) else value for value in values])
    if not is_list(made.type) or is_list(made.type.value_type):
        raise DataTypeError(
            f"an array of shape {np.shape(data)} is none of vectors", remedy="Pass an array (n, d)."
        )
    return made


def _matrix(array: np.ndarray[Any, Any]) -> pa.Array:
    with np.errstate(over="ignore"):  # infinity is refused by whoever searches
        flat = np.ascontiguousarray(array, np.float32).ravel()
    if not array.shape[1]:
        return pa.array([[]] * len(array), pa.list_(pa.float32()))
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), array.shape[1])


def _table_of_columns(data: Mapping[Any, Any]) -> pa.Table:
    columns = {
        str(name): _array_of(values) if isinstance(values, np.ndarray) and values.ndim == 2 else values
        for name, values in data.items()
    }
    return _arrow(pa.table, columns)


def _arrow(function: Any, *arguments: Any) -> Any:
    """What a function of Arrow's gives. DataTypeError for what it cannot read."""
    try:
        return function(*arguments)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataTypeError(
            f"the rows cannot be read as Arrow: {error!s:.200}",
            remedy="Pass an array of vectors (n, d), an Arrow table, or a data frame.",
        ) from error
