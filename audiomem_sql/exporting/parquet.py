"""Parquet, zstd: with the definitions of the columns as metadata, which make the same table again.

An INTERVAL, alone or in another type, is the text that SQL sees: pyarrow writes none.
"""

from __future__ import annotations

from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from audiomem_sql.columns.shown import shown_images
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import DataTypeError
from audiomem_sql.exporting.contract import Shape
from audiomem_sql.importing.taken_types import has_interval

#: Bytes and rows of a row group.
_GROUP_BYTES, _GROUP_ROWS = 64 << 20, 1 << 17


class ParquetWriter:
    """Row groups of some megabytes."""

    def __init__(self, stream: IO[bytes], shape: Shape) -> None:
        self._types = [column.type for column in shape.columns]
        self._schema = shape.schema
        for place, column in enumerate(shape.columns):
            if _is_text(column.type):
                self._schema = self._schema.set(place, shape.schema.field(place).with_type(pa.string()))
        self._writer = pq.ParquetWriter(stream, self._schema, compression="zstd")
        self._held: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        arrays = [
            pa.array(shown_images(array, each), pa.string()) if _is_text(each) else array
            for array, each in zip(batch.columns, self._types, strict=True)
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._held.append(batch)
        bytes_held = sum(each.nbytes for each in self._held)
        if bytes_held >= _GROUP_BYTES or sum(each.num_rows for each in self._held) >= _GROUP_ROWS:
            self._put()

    def close(self) -> None:
        """The last row group, and the footer."""
        self._put()
        self._writer.close()

    def abandon(self) -> None:
        """End the writer, which would else do it at some other time."""
        self._writer.close()

    def _put(self) -> None:
        if not self._held:
            return
        rows = pa.Table.from_batches(self._held, self._schema)
        try:
            self._writer.write_table(rows, row_group_size=_GROUP_ROWS)
        except pa.ArrowInvalid as error:
            raise DataTypeError(
                f"Parquet does not hold a value ({error})",
                remedy="Write CSV or JSON Lines, or leave the column out.",
            ) from error
        self._held = []


def _is_text(column_type: ColumnType) -> bool:
    return column_type.logical is not None and has_interval(column_type.logical)
