"""Parquet to numbered rows, through pyarrow, a batch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import DamagedFileError, DataTypeError, SchemaError
from audiomem_sql.ingest.contents import open_bytes
from audiomem_sql.ingest.record_columns import Choose, NumberedRows
from audiomem_sql.ingest.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024


def read_parquet(source: Source, choose: Choose, *, plain_only: bool) -> NumberedRows:
    """The rows as Python values, timestamps cut to microseconds; rows count from 1.

    `plain_only` leaves out columns of bytes, lists and structures, unless `choose` names them. Raises
    `DamagedFileError` for what pyarrow cannot read, `SchemaError` for columns of the same name,
    `DataTypeError` for a value that Python cannot hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    with open_bytes(source.path, source.label) as stream:
        try:
            file = pq.ParquetFile(stream)
            schema = file.schema_arrow
            names = list(schema.names)
            double = next((name for name in names if names.count(name) > 1), None)
            if double is not None:
                raise SchemaError(
                    f"two columns are called {double!r}", file=source.label, remedy="Rename one."
                )
            chosen = set(choose(names).values())
            if plain_only:
                names = [n for n in names if n in chosen or _is_plain(schema.field(n).type)]
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                for row in _python_rows(source, batch, number):
                    number += 1
                    yield row, f"row {number}"
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedFileError(
                f"the Parquet data cannot be read ({' '.join(str(error).split())[:200]})",
                file=source.label,
                place=f"after row {number}" if number else None,
                remedy="Write the file again from its source.",
            ) from error


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    return not (is_bytes or types.is_nested(kind))


def _python_rows(source: Source, batch: pa.RecordBatch, before: int) -> list[dict[str, Any]]:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        try:
            columns[name] = column.to_pylist()
        except (ValueError, OverflowError):
            columns[name] = [
                _python_value(source, value, before + i, name) for i, value in enumerate(column, 1)
            ]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _python_value(source: Source, value: Any, number: int, name: str) -> Any:
    try:
        return value.as_py()
    except (ValueError, OverflowError) as error:
        raise DataTypeError(
            f"the value cannot be used ({error})",
            file=source.label,
            place=f"row {number}, column {name!r}",
            remedy="Convert the column to text before.",
        ) from error
