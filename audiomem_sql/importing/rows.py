"""The rows of a source as the stream that the engine takes, counted and checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.schema import Schema
from audiomem_sql.importing.contract import RowSource
from audiomem_sql.importing.inputs import Inputs


class UnsortedError(Exception):
    """The keys of ``column`` do not rise: they are asked for in order. It never leaves the room."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class Rows:
    """A stream of the rows, as an Arrow dataset gives one.

    Its ``schema`` and ``scanner`` are what `append_stream` asks for; ``to_table`` is for a table whose rows
    are checked together. At its end it says whether the files are still the same. key: of the rowid, if the
    source can sort by it. told: called with bytes done and in all.
    """

    def __init__(
        self,
        source: RowSource,
        schema: pa.Schema,
        table: Schema,
        inputs: Inputs,
        key: str | None,
        told: Callable[[int, int | None], object],
    ) -> None:
        self.schema = schema
        self.count = 0
        self._source, self._table, self._inputs, self._key, self._told = source, table, inputs, key, told

    def scanner(self, **options: Any) -> Rows:
        """What gives a reader; see ``pyarrow.dataset.Dataset``."""
        return self

    def to_reader(self) -> Reader:
        """The rows from the first on."""
        return Reader(self._batches())

    def to_table(self, **options: Any) -> pa.Table:
        """All rows, each as the column that it goes to."""
        parts = [to_table(batch, self._table)[0] for batch in self._batches()]
        return pa.concat_tables(parts) if parts else self._table.to_arrow().empty_table()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        self.count, last = 0, None
        for batch in self._source.batches():
            if self._key is not None and batch.num_rows:
                keys = np.asarray(batch.column(self._key).fill_null(0), np.int64)
                if (last is not None and keys[0] < last) or (keys[1:] < keys[:-1]).any():
                    raise UnsortedError(self._key)
                last = keys[-1]
            self.count += batch.num_rows
            self._told(*self._source.done())
            yield batch
        self._inputs.check_unchanged()


class Reader:
    """Batches one by one, as ``pyarrow.RecordBatchReader`` gives them; errors come through as they are."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches

    def read_next_batch(self) -> pa.RecordBatch:
        """The next batch; StopIteration behind the last."""
        return next(self._batches)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
