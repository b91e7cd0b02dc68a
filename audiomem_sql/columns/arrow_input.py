"""Tables that users bring, in any form, as Arrow tables that fit a schema exactly.

Taken are a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, a pandas DataFrame, a polars DataFrame
or LazyFrame, whatever has ``__arrow_c_stream__`` (DuckDB, …), a list of dicts, and a dict of lists or arrays.
Of the index of a DataFrame see ``pandas_frames``. In messages, rows are counted from 0.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.arrow_cast import cast_column, cast_values, default_arrays, stored_column
from audiomem_sql.columns.arrow_types import ArrowArray, ArrowField, infer, told_by, told_together
from audiomem_sql.columns.checks import Checks
from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.constraints import Check
from audiomem_sql.columns.defaults import sql_values_of
from audiomem_sql.columns.list_input import common_width, without_false_vectors
from audiomem_sql.columns.origins import BACKEND, origin_of
from audiomem_sql.columns.own_metadata import given_back, kept, kept_of_field
from audiomem_sql.columns.pandas_frames import backend_of, columns_of
from audiomem_sql.columns.polars_series import arrow_of_series
from audiomem_sql.columns.python_values import array_of_values
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.tokenizers import AUTO
from audiomem_sql.columns.types import is_stored, shown_type
from audiomem_sql.errors import DataTypeError, OptionError, SchemaError, did_you_mean

#: A column as it came: Arrow data with its field, or Python values.
_Source: TypeAlias = tuple[ArrowField, list[ArrowArray]] | list[Any]


#: In the metadata of a field: Arrow found its type in Python objects.
_OBJECTS = b"audiomem:objects"


class _Missing(Enum):
    """Stands in the place of a column that one dict of a list lacks."""

    VALUE = "missing"


def to_table(
    data: object,
    schema: Schema | None = None,
    primary_key: str | None = None,
    semantic: str | Iterable[str] = (),
    index: bool | None = None,
) -> tuple[pa.Table, Schema]:
    """The rows of ``data`` as a table of ``schema.to_arrow()``, and the schema.

    With a schema, columns are matched by name without regard to case, and those that are missing take their
    default, or else NULL. A NULL that is there stays one. Without a schema it is inferred, as in
    ``schema_of_arrow``, with ``primary_key`` and ``semantic``; a list of vectors of variable length takes its
    width from its first vector. index: of a data frame of pandas, see ``pandas_frames``.

    Raises
    ------
    SchemaError: a column that the schema does not have, a name given twice, a type that no column has.
    DataTypeError: a value that does not fit its column; the message names the column and the first such row.
    ConstraintError: a NULL in a NOT NULL column. A rowid may be NULL: it asks for the next one.
    OptionError: ``primary_key`` or ``semantic`` beside a schema.
    """
    if schema is not None and (primary_key is not None or semantic):
        raise OptionError(
            "primary_key and semantic belong to a new table", remedy="The schema says both already"
        )
    rows, sources, metadata = _sources(data, schema, index)
    folded: dict[str, str] = {}
    for name in sources:
        if (other := folded.setdefault(fold(name), name)) != name:
            raise SchemaError(
                f"the data has the columns {other} and {name}",
                remedy="Capitals make no difference: rename one",
            )
    if schema is None:
        arrow = {name: without_false_vectors(*_inferred(name, source)) for name, source in sources.items()}
        own = given_back(kept(metadata, "the table"))
        typed = {name for name, source in sources.items() if _is_typed(source)}
        schema, sources = _schema_of(arrow, typed, own, primary_key, semantic), dict(arrow)
    if unknown := [name for name in sources if name not in schema]:
        raise SchemaError(
            f"the table has no column {', '.join(unknown)}",
            remedy=f"Its columns are {', '.join(schema.names)}",
        )
    cast = []
    for column in schema.columns:
        source = sources[folded[fold(column.name)]] if fold(column.name) in folded else None
        if source is None:
            cast.append(stored_column(column, default_arrays(column, rows)))
        elif isinstance(source, tuple):
            known = column.type.logical is not None and is_stored(source[0].metadata)
            cast.append(stored_column(column, source[1]) if known else cast_column(column, source[1]))
        else:
            cast.append(cast_values(column, _with_defaults(column, source)))
    return pa.Table.from_arrays(cast, schema=schema.to_arrow()), schema


def _schema_of(
    arrow: Mapping[str, tuple[ArrowField, list[ArrowArray]]],
    typed: Collection[str],
    metadata: Mapping[bytes, bytes],
    primary_key: str | None,
    semantic: str | Iterable[str],
) -> Schema:
    """The schema of columns of Arrow data, with what they were made of. typed: those that came as such."""
    widths = {
        name: width
        for name, (_, chunks) in arrow.items()
        if (width := common_width(chunks, typed=name in typed))
    }
    fields = pa.schema([item.with_name(name) for name, (item, _) in arrow.items()], metadata)
    schema = schema_of_arrow(fields, primary_key, semantic, widths)
    return schema.changed(
        [
            replace(column, origin=origin_of(item, arrow[column.name][1], column.type))
            for column, item in zip(schema.columns, fields, strict=True)
        ]
    )


def schema_of_arrow(
    schema: pa.Schema,
    primary_key: str | None = None,
    semantic: str | Iterable[str] = (),
    widths: Mapping[str, int] | None = None,
) -> Schema:
    """The schema that holds data of an Arrow schema.

    Parameters
    ----------
    schema: names, types, nullability, and the metadata that ``to_arrow`` writes, where it still fits the
        types and the columns that are there.
    primary_key: the column that is the key, instead of the one in the metadata.
    semantic: the columns to search by meaning, instead of those in the metadata.
    widths: numbers per vector for lists of variable length, by column.

    Raises SchemaError, naming the column and its Arrow type, for a type that no column has.
    """
    wanted = [semantic] if isinstance(semantic, str) else list(semantic)
    folded = {fold(name) for name in schema.names}
    for name in [*wanted, *([primary_key] if primary_key is not None else [])]:
        if fold(name) not in folded:
            raise SchemaError(
                f"there is no column {name}",
                remedy=f"{did_you_mean(name, schema.names)}The columns are {', '.join(schema.names)}",
            )
    semantic_names = {fold(name) for name in wanted}
    columns = []
    for item in schema:
        declared = told_by(item)
        width = (widths or {}).get(item.name, 0)
        key = (
            declared.get("primary_key", False)
            if primary_key is None
            else fold(item.name) == fold(primary_key)
        )
        column = Column(
            item.name,
            declared.get("type") or infer(item.name, item.type, width),
            not_null=declared.get("not_null", False) or not item.nullable,
            unique=declared.get("unique", False),
            primary_key=key,
            collation=declared.get("collation", "BINARY"),
            semantic=fold(item.name) in semantic_names if wanted else declared.get("semantic", False),
            indexed=declared.get("indexed", False),
            default=declared.get("default"),
            no_alias=primary_key is None and declared.get("no_alias", False),
            autoincrement=declared.get("autoincrement", False),
            null_conflict=declared.get("null_conflict", "ABORT"),
            key_conflict=declared.get("key_conflict", "ABORT"),
            tokenize=declared.get("tokenize", AUTO),
            vector_index=declared.get("vector_index"),
        )
        told = kept_of_field(item, item.name, shown_type(column.type))
        columns.append(replace(column, metadata=told))
    checks, keys = told_together(schema.metadata, [column.name for column in columns])
    if primary_key is not None or any(column.primary_key for column in columns):
        keys = tuple(key for key in keys if not key.primary)
    understood = tuple(check for check in checks if _is_understood(check, columns))
    return Schema(tuple(columns), understood, keys, kept(schema.metadata, "the table"))


def _is_understood(check: Check, columns: Sequence[Column]) -> bool:
    """Whether SQLite understands a CHECK that came with Arrow data, with the columns that are there."""
    try:
        Checks(Schema(tuple(columns), (check,)))
    except SchemaError:
        return False
    return True


def _sources(
    data: Any, schema: Schema | None, index: bool | None
) -> tuple[int, dict[str, _Source], Mapping[bytes, bytes] | None]:
    """The number of rows, the columns, and the metadata of all.

    Python values stay what they are where there is a schema, as that will tell.
    """
    typed = schema is not None
    # Another thread may be in the middle of importing it: what has no DataFrame yet has made no data frame.
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    polars = sys.modules.get("polars")
    polars = polars if hasattr(polars, "LazyFrame") else None
    try:
        if frame is not None and isinstance(data, frame):
            return _from_pandas(data, schema, index)
        if isinstance(data, pa.Table):
            table = data
        elif isinstance(data, pa.RecordBatch):
            table = pa.Table.from_batches([data])
        elif isinstance(data, pa.RecordBatchReader):
            table = data.read_all()
        elif polars is not None and isinstance(data, polars.DataFrame):
            return data.height, _named((series.name, arrow_of_series(series)) for series in data), None
        elif polars is not None and isinstance(data, polars.LazyFrame):
            return _sources(data.collect(), schema, index)
        elif hasattr(data, "scanner") and hasattr(data, "to_table"):
            table = data.to_table()
        elif hasattr(data, "__arrow_c_stream__"):
            table = pa.RecordBatchReader.from_stream(data).read_all()
        elif isinstance(data, Mapping):
            return *_from_columns(data), None
        elif isinstance(data, list | tuple):
            return *_from_rows(data, typed), None
        else:
            raise DataTypeError(
                f"a value of type {type(data).__name__} is no table",
                remedy="Pass a DataFrame, an Arrow table, a list of dicts or a dict of lists",
            )
    except pa.ArrowException as error:
        raise DataTypeError(f"the Arrow data cannot be read: {error}") from error
    columns = _named((item.name, (item, table.column(i).chunks)) for i, item in enumerate(table.schema))
    return table.num_rows, columns, table.schema.metadata


def _named(columns: Iterable[tuple[str, _Source]]) -> dict[str, _Source]:
    named: dict[str, _Source] = {}
    for name, source in columns:
        if name in named:
            raise SchemaError(f"the data has two columns {name}", remedy="Rename one")
        named[name] = source
    return named


def _from_pandas(
    frame: Any, schema: Schema | None, index: bool | None
) -> tuple[int, dict[str, _Source], Mapping[bytes, bytes] | None]:
    def source(name: str, series: Any) -> _Source:
        objects = series.dtype == object
        if schema is None or not objects:
            try:
                made = (
                    array_of_values(name, list(series), nan_is_null=True)
                    if objects
                    else pa.Array.from_pandas(series)
                )
                item, chunks = _arrow(made)
                told = {BACKEND: backend_of(series.dtype, item.type)}
                told |= {_OBJECTS: b"1"} if objects else {}
                return item.with_metadata(told), chunks
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                pass  # the schema, or the error of the inference, will tell
        return [None if _is_nan(value) else value for value in series]

    columns, metadata = columns_of(frame, schema, index)
    return len(frame), _named((name, source(name, series)) for name, series in columns), metadata


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _from_columns(data: Mapping[Any, Any]) -> tuple[int, dict[str, _Source]]:
    series, of_polars = (getattr(sys.modules.get(name), "Series", None) for name in ("pandas", "polars"))

    def source(name: str, values: Any) -> _Source:
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return _arrow(values)
        if of_polars is not None and isinstance(values, of_polars):
            return arrow_of_series(values.alias(name))
        if series is not None and isinstance(values, series):
            return [None if _is_nan(value) else value for value in values]  # as in a data frame
        if isinstance(values, np.ndarray):
            if values.ndim == 2 and values.dtype.kind == "f" and values.shape[1]:
                flat = pa.array(np.ascontiguousarray(values).ravel())
                return _arrow(pa.FixedSizeListArray.from_arrays(flat, values.shape[1]))
            if values.ndim == 1 and values.dtype.kind in "iufb":
                return _arrow(pa.array(values))
            return list(values)
        if hasattr(values, "__arrow_c_stream__") and not hasattr(values, "tolist"):
            return _arrow(pa.chunked_array(values))
        if type(values).__module__.partition(".")[0] == "pandas":  # whose NaN is a NULL
            return [None if isinstance(value, float) and value != value else value for value in values]
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise DataTypeError(f"the values of column {name} are no list, but a {type(values).__name__}")
        return list(values)

    columns = _named((_name(key), source(_name(key), values)) for key, values in data.items())
    lengths = {name: _length(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataTypeError(f"the columns have different numbers of rows: {counts}")
    return next(iter(lengths.values()), 0), columns


def _from_rows(data: Sequence[Any], typed: bool) -> tuple[int, dict[str, _Source]]:
    names: dict[Any, None] = {}
    for row, values in enumerate(data):
        if not isinstance(values, Mapping):
            raise DataTypeError(f"the row is no dict, but a {type(values).__name__}", place=f"row {row}")
        names.update(dict.fromkeys(values))
    missing = _Missing.VALUE if typed else None
    return len(data), {_name(key): [row.get(key, missing) for row in data] for key in names}


def _with_defaults(column: Column, values: list[Any]) -> list[Any]:
    """Python values, with the column's default where a row did not name the column."""
    count = sum(value is _Missing.VALUE for value in values)
    if not count:
        return values
    fill = iter(sql_values_of(column, count))
    return [next(fill) if value is _Missing.VALUE else value for value in values]


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise SchemaError(f"the name of a column is a text, not {key!r}")
    return key


def _arrow(array: Any) -> tuple[ArrowField, list[ArrowArray]]:
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return pa.field("", array.type), chunks


def _length(source: _Source) -> int:
    return sum(len(chunk) for chunk in source[1]) if isinstance(source, tuple) else len(source)


def _inferred(name: str, source: _Source) -> tuple[ArrowField, list[ArrowArray]]:
    """Python values as Arrow infers them."""
    if isinstance(source, tuple):
        return source
    return _arrow(array_of_values(name, source))


def _is_typed(source: _Source) -> bool:
    """Whether a column came with a type, which was not found in Python's values."""
    return isinstance(source, tuple) and _OBJECTS not in (source[0].metadata or {})
