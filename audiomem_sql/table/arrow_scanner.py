"""One scan of a dataset: the columns and rows that it was asked for, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from audiomem_sql.errors import QueryError, SchemaError, UnsupportedError
from audiomem_sql.scan import Filter, RowFilter, count_rows, scan
from audiomem_sql.scan.arrow_filter import filters_of_expression
from audiomem_sql.table.arrow_form import Form
from audiomem_sql.versions import Snapshot

#: Names of columns, or expressions by name; all columns if there is none.
Columns: TypeAlias = Sequence[str] | Mapping[str, pc.Expression] | None


class FlacScanner:
    """A scan that was asked for: the methods of ``pyarrow.dataset.Scanner``. May be run again."""

    def __init__(
        self,
        path: str,
        snapshot: Snapshot,
        dataset_schema: pa.Schema,
        columns: Columns,
        expression: pc.Expression | None,
        *,
        coded: frozenset[int],
        form: Form,
        batch_size: int,
        use_threads: bool,
    ) -> None:
        """dataset_schema: all columns of the table.

        ``coded``: the numbers of those that are given as dictionary arrays. form: how logical types
        are given.
        """
        if batch_size < 1:
            raise QueryError(f"a batch of {batch_size} rows", file=path, remedy="Ask for 1 or more.")
        self._snapshot = snapshot
        self._batch_size, self._use_threads = batch_size, use_threads
        self._path, self._coded, self._form = path, coded, form
        schema = snapshot.schema.visible
        #: The columns before anything is worked out of them.
        self.dataset_schema = dataset_schema
        self._computed: Mapping[str, pc.Expression] | None = None
        if isinstance(columns, Mapping):
            self._computed, columns = columns, None
        names = list(schema.names) if columns is None else list(columns)
        self._filters: list[Filter] = []
        self._row_filter: RowFilter | None = None
        try:
            self._places = [schema.index(name) for name in names]
            if expression is not None:
                self._filters, self._row_filter = filters_of_expression(expression, schema)
        except (SchemaError, QueryError) as error:
            raise QueryError(error.what, file=self._path, remedy=error.remedy) from None
        self._types = [schema.columns[place].type for place in self._places]
        complete = columns is None and self._computed is None
        self._read_schema = pa.schema(
            [dataset_schema.field(position) for position in self._places],
            dataset_schema.metadata if complete else None,
        )
        #: The columns of the batches.
        self.projected_schema: pa.Schema = self._read_schema
        if self._computed is not None:
            self.projected_schema = self._compute(self._read_schema.empty_table()).schema

    def _compute(self, rows: pa.Table | pa.RecordBatch) -> pa.Table:
        try:
            return ds.InMemoryDataset(rows).to_table(columns=dict(self._computed or {}), use_threads=False)
        except pa.ArrowException as error:
            raise QueryError(f"Arrow cannot evaluate the columns: {error}", file=self._path) from None

    def to_batches(self, *, whole: bool = True) -> Iterator[pa.RecordBatch]:
        """The rows, decoded as they are asked for; never an empty batch.

        whole: all of them will be asked for, most likely.
        """
        batches = scan(
            self._snapshot,
            self._places,
            self._filters,
            row_filter=self._row_filter,
            ahead=_threads() if self._use_threads else 0,
            whole=whole,
            coded=self._coded,
        )
        try:
            for batch in batches:
                if self._places:
                    arrays = list(map(self._form.array, batch.arrays, self._types))
                    rows = pa.RecordBatch.from_arrays(arrays, schema=self._read_schema)
                else:
                    rows = pa.RecordBatch.from_struct_array(pa.array([{}] * len(batch), pa.struct([])))
                for start in range(0, len(batch), self._batch_size):
                    part = rows.slice(start, self._batch_size)
                    if self._computed is None:
                        yield part
                    else:
                        yield from self._compute(part).combine_chunks().to_batches()
        except QueryError as error:
            error.at(file=self._path)
            raise

    def scan_batches(self) -> Iterator[ds.TaggedRecordBatch]:
        """UnsupportedError: the batches belong to no fragment."""
        raise UnsupportedError(
            "the batches of a FLAC table belong to no fragment", file=self._path, remedy="Use to_batches()."
        )

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows as a stream."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self.to_batches())

    def to_table(self) -> pa.Table:
        """All rows."""
        return pa.Table.from_batches(list(self.to_batches()), self.projected_schema)

    def head(self, num_rows: int) -> pa.Table:
        """The first ``num_rows`` rows."""
        found: list[pa.RecordBatch] = []
        remaining = num_rows
        batches: Iterable[pa.RecordBatch] = self.to_batches(whole=False) if remaining > 0 else ()
        for batch in batches:
            found.append(batch.slice(0, remaining))
            remaining -= batch.num_rows
            if remaining <= 0:
                break
        return pa.Table.from_batches(found, self.projected_schema)

    def take(self, indices: Any) -> pa.Table:
        """The rows at places ``indices``."""
        return self.to_table().take(indices)

    def count_rows(self) -> int:
        """How many rows there are."""
        if not self._filters and self._row_filter is None:
            return self._snapshot.rows
        return count_rows(self._snapshot, self._filters, self._row_filter)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow PyCapsule interface: the rows, batch by batch."""
        return self.to_reader().__arrow_c_stream__(requested_schema)


def _threads() -> int:
    return min(4, os.cpu_count() or 1)
