"""pandas' door: importing this module gives every data frame ``df.audiomem``.

And answers of SQL as data frames.

``import audiomem_sql`` alone does not import pandas, so it cannot register anything with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apsw
import pyarrow as pa

from audiomem_sql.columns.arrow_cast import cast_values
from audiomem_sql.columns.arrow_types import ArrowArray
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.to_pandas import frame_of
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.connections import bindable, connect
from audiomem_sql.errors import AudioMemError, MissingExtraError, QueryError
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.table.table import Table

try:
    import pandas as pd
except ImportError:
    raise MissingExtraError(
        "pandas is not installed", remedy="Run: pip install 'audiomem-sql[pandas]'"
    ) from None

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["DataFrameAccessor", "read_sql"]


@pd.api.extensions.register_dataframe_accessor("audiomem")
class DataFrameAccessor:
    """``df.audiomem``."""

    def __init__(self, frame: DataFrame) -> None:
        self._frame = frame

    def to_flac(
        self,
        path: str | os.PathLike[str],
        *,
        index: bool | None = None,
        primary_key: str | None = None,
        semantic: str | Iterable[str] = (),
        if_exists: str = "fail",
        **options: Any,
    ) -> None:
        """Write the frame to a FLAC file.

        The arguments are those of :func:`audiomem_sql.write_flac`, whose table this closes: columns and the
        index keep their dtypes, and a column of a type that no column has is refused by its name.
        """
        write_flac(
            self._frame,
            path,
            primary_key=primary_key,
            semantic=semantic,
            if_exists=if_exists,
            index=index,
            **options,
        ).close()

    def append_to(self, table: Table | str | os.PathLike[str], *, message: str | None = None) -> int:
        """Add the rows to a table, or to the table in a file, in one commit; the new version."""
        if isinstance(table, Table):
            return table.append(self._frame, message=message)
        with Table(table) as opened:
            return opened.append(self._frame, message=message)


def read_sql(
    query: str,
    connection: apsw.Connection | str | os.PathLike[str],
    parameters: Sequence[Any] | Mapping[str, Any] = (),
    *,
    dtype_backend: str | None = None,
    categories: Sequence[str] | None = None,
    **options: Any,
) -> DataFrame:
    """What a query answers, as a data frame.

    connection: of apsw, or the path of a FLAC file, whose table is then called like the file. parameters: for
    the query's question marks, or by name; dates, times and numbers of numpy as well. dtype_backend,
    categories, options: as in :func:`audiomem_sql.read_flac`.

    A column of the answer that is a column of a table has that one's type, so a TIMESTAMP comes as a time and
    a BOOLEAN as a truth; of an expression the values decide, and where they are of several types it is a
    column of objects.

    Raises QueryError for a text with several queries, and what apsw raises for one that it cannot run.
    """
    if not isinstance(connection, apsw.Connection):
        opened = connect(connection)
        try:
            return read_sql(
                query, opened, parameters, dtype_backend=dtype_backend, categories=categories, **options
            )
        finally:
            opened.close()
    described: list[Sequence[tuple[str, str | None]]] = []

    def describe(cursor: apsw.Cursor, text: str, bindings: Any) -> bool:
        if columns := cursor.get_description():
            described.append(columns)
        if len(described) > 1:
            raise QueryError("the text has several queries", remedy="Ask one at a time.")
        return True

    cursor = connection.cursor()
    cursor.exec_trace = describe
    rows = cursor.execute(query, bindable(parameters)).fetchall()
    if not described:
        return pd.DataFrame()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(described[0])
    arrays, objects = [], []
    for place, ((name, declared), values) in enumerate(zip(described[0], columns, strict=True)):
        array = _array(name, declared, values)
        if array is None:
            objects.append(place)
        arrays.append(pa.chunked_array([pa.nulls(len(rows))]) if array is None else array)
    table = pa.Table.from_arrays(arrays, names=[column[0] for column in described[0]])
    frame = frame_of(table, [None] * len(arrays), dtype_backend, categories, **options)
    for place in objects:
        frame.isetitem(place, pd.Series(columns[place], dtype=object))
    return frame


def _array(name: str, declared: str | None, values: Sequence[Any]) -> ArrowArray | None:
    """The values of a column, chunked; None if they are of several types."""
    if declared:
        try:
            return cast_values(Column(name, ColumnType.parse(declared.split(" ")[0])), values)
        except AudioMemError:
            pass  # a table of SQLite itself, which may say of its columns what it likes
    try:
        return pa.chunked_array([pa.array(values)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
