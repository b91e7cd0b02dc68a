"""Parquet, zstd: with the definitions of the columns as metadata, which make the same table again."""

from __future__ import annotations

from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from audiomem_sql.exporting.contract import Shape

#: Bytes and rows of a row group.
_GROUP_BYTES, _GROUP_ROWS = 64 << 20, 1 << 17


class ParquetWriter:
    """Row groups of some megabytes."""

    def __init__(self, stream: IO[bytes], shape: Shape) -> None:
        self._schema = shape.schema
        self._writer = pq.ParquetWriter(stream, shape.schema, compression="zstd")
        self._held: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
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
        if self._held:
            self._writer.write_table(
                pa.Table.from_batches(self._held, self._schema), row_group_size=_GROUP_ROWS
            )
            self._held = []
