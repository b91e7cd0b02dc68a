"""The rows that a query reads: in Arrow batches, as tables and frames, by meaning, by order, by rowid."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from audiomem_sql import search
from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.columns.own_metadata import given_back
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.shown import shown_arrays
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import InFile, QueryError, SchemaError
from audiomem_sql.machine.memory import check_room, out_of_memory
from audiomem_sql.observe import hooks
from audiomem_sql.scan import (
    Filter,
    RowFilter,
    count_rows,
    fetch_rows,
    filters_of_text,
    first_rows,
    parse_order,
    scan,
)
from audiomem_sql.scan.lookup import value_at
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.picked_rows import (
    check_count,
    checked_seed,
    last_rowids,
    sample_size,
    sampled_rowids,
)
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.transaction import Transaction

if TYPE_CHECKING:
    import pandas as pd

    from audiomem_sql.search import Explained, Ranking

#: What a query reads: a snapshot, or a snapshot with the changes of an open transaction.
Current: TypeAlias = Snapshot | Transaction
#: Rows of a search, neighbours of a row, and words that are suggested, where it is not said how many.
USUAL_K = 10
USUAL_SUGGESTIONS = 5
_DEFAULT_RANKING = search.DEFAULT_RANKING
#: The least bytes that a value takes in Arrow; the text of strings comes on top, and others take less.
_LEAST_WIDTHS = {
    **dict.fromkeys((Kind.INTEGER, Kind.REAL, Kind.TIMESTAMP), 8),
    **dict.fromkeys((Kind.TEXT, Kind.JSON, Kind.BLOB), 4),
}


def _path(rows: Rows, *given: object, **named: object) -> str:
    return rows.path


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of ``current``. options: those of the table. path: names the table in messages.

    The arguments of the methods are those of the methods of :class:`~audiomem_sql.table.reader.TableReader`.
    """

    current: Current
    options: TableOptions
    path: str

    @property
    def schema(self) -> Schema:
        """The columns that users see."""
        return self.current.schema.visible

    def scan(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        limit: int | None = None,
        whole: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """The rows as record batches, decoded as they are asked for.

        whole: all of them will be asked for, most likely: as many are decoded ahead as there are processors.
        Wrong arguments are errors before the first batch.
        """
        with InFile(self.path):
            numbers, schema = self._projection(columns)
            filters, row_filter = filters_of_text(where, parameters, self.schema)
        if hooks.observer is None:
            return self._batches(numbers, schema, filters, row_filter, limit, whole)
        return hooks.each(
            "query", lambda: self._batches(numbers, schema, filters, row_filter, limit, whole), self.path
        )

    def _batches(
        self,
        numbers: list[int],
        schema: pa.Schema,
        filters: list[Filter],
        row_filter: RowFilter | None,
        limit: int | None,
        whole: bool,
    ) -> Iterator[pa.RecordBatch]:
        if limit is not None and limit <= 0:
            return
        ahead = min(4, os.cpu_count() or 1) if whole else 1
        batches = scan(self.current, numbers, filters, row_filter=row_filter, ahead=ahead, whole=whole)
        types = [self.schema.columns[number].type for number in numbers]
        while True:
            with InFile(self.path):
                batch = next(batches, None)
            if batch is None:
                return
            if limit is not None and limit <= len(batch):
                arrays = [array.slice(0, limit) for array in batch.arrays]
                yield _record_batch(shown_arrays(arrays, types), limit, schema)
                return
            yield _record_batch(shown_arrays(batch.arrays, types), len(batch), schema)
            if limit is not None:
                limit -= len(batch)

    def _projection(self, columns: Sequence[str] | None) -> tuple[list[int], pa.Schema]:
        """The numbers of ``columns`` (None: all), and their Arrow schema."""
        visible = self.schema
        if isinstance(columns, str):
            raise SchemaError(f"columns is a list of names, not {columns!r}", remedy=f"Write [{columns!r}].")
        names = list(visible.names) if columns is None else list(map(str, columns))
        numbers = [visible.index(name) for name in names]
        arrow = visible.shown()
        whole = len(set(numbers)) == len(visible)  # the metadata has constraints on several columns
        fields = [arrow.field(number) for number in numbers]
        return numbers, pa.schema(fields, arrow.metadata if whole else given_back(visible.metadata) or None)

    def head(self, count: Any, columns: Sequence[str] | None = None) -> pa.Table:
        """The first ``count`` rows."""
        with InFile(self.path):
            _, schema = self._projection(columns)
        limit = check_count(count, self.path)
        return pa.Table.from_batches(list(self.scan(columns, limit=limit)), schema)

    def tail(self, count: Any, columns: Sequence[str] | None = None) -> pa.Table:
        """The last ``count`` rows, in order."""
        with InFile(self.path):
            numbers, schema = self._projection(columns)
            rowids = last_rowids(self.current, check_count(count, self.path))
            return self._fetched(rowids, numbers, schema)

    @hooks.staged("query", _path)
    def sample(
        self,
        n: Any,
        fraction: Any,
        seed: Any,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
    ) -> pa.Table:
        """Rows by chance, of those that pass ``where``."""
        with InFile(self.path):
            numbers, schema = self._projection(columns)
            filters, row_filter = filters_of_text(where, parameters, self.schema)
            size = sample_size(n, fraction, self.current.rows if where is None else None, self.path)
            if size is None:
                counted = count_rows(self.current, filters, row_filter)
                size = sample_size(n, fraction, counted, self.path) or 0
            hashed = checked_seed(seed, self.path)
            return self._fetched(
                sampled_rowids(self.current, size, hashed, filters, row_filter), numbers, schema
            )

    def _fetched(self, rowids: I64Array, numbers: list[int], schema: pa.Schema) -> pa.Table:
        """The rows with ``rowids``, in that order, but for those that damage took."""
        readable, arrays = fetch_rows(self.current, rowids, numbers)
        if not readable.any():
            return schema.empty_table()
        types = [self.schema.columns[number].type for number in numbers]
        return pa.Table.from_arrays(shown_arrays(arrays, types), schema=schema)

    def to_arrow(
        self, columns: Sequence[str] | None = None, where: str | None = None, parameters: Sequence[Any] = ()
    ) -> pa.Table:
        """The rows as an Arrow table."""
        with InFile(self.path):
            numbers, schema = self._projection(columns)
        if where is None:
            widths = [_LEAST_WIDTHS.get(self.schema.columns[number].type.kind, 0) for number in numbers]
            check_room(self.current.rows * sum(widths), self.path)
        try:
            return pa.Table.from_batches(list(self.scan(columns, where, parameters, whole=True)), schema)
        except MemoryError:
            raise out_of_memory(self.path) from None

    def to_pandas(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        dtype_backend: str | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """The rows as a pandas data frame."""
        from audiomem_sql.columns.pandas_frames import index_names
        from audiomem_sql.columns.to_pandas import frame_of

        visible = self.schema
        if columns is not None and not isinstance(columns, str):
            levels = index_names(given_back(visible.metadata))
            columns = [*columns, *(name for name in levels if name in visible and name not in columns)]
        table = self.to_arrow(columns, where, parameters)
        origins = [visible[name].origin for name in table.column_names]
        return frame_of(table, origins, dtype_backend, **options)

    def to_stream(self) -> pa.RecordBatchReader:
        """All rows as a stream of record batches."""
        _, schema = self._projection(None)
        return pa.RecordBatchReader.from_batches(schema, self.scan())

    @hooks.staged("query", _path)
    def search(
        self,
        query: Any = None,
        k: int | None = USUAL_K,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        columns: Sequence[str] | None = None,
        column: str | None = None,
        vector: Any = None,
        weights: Mapping[str, float] | None = None,
        ranking: Ranking = _DEFAULT_RANKING,
    ) -> pa.Table:
        """The ``k`` rows that answer ``query`` best, the best first, with their distances.

        They are called ``distance``, or ``audiomem_distance`` where a column of the table is called so. Where
        long texts are cut, ``passage`` says where the best passage of each begins and ends.
        """
        k = self._count(k)
        full = self.current.schema
        with InFile(self.path):
            query, column = search.asked_of(full, query, column, vector, weights)
            number = search.WHOLE if column is None else full.index(column)
            filters, row_filter = filters_of_text(where, parameters, self.schema)
            numbers, schema = self._projection(columns)
            answers = list(
                search.results(
                    self.current,
                    full,
                    number,
                    query,
                    self.options,
                    self.path,
                    filters,
                    row_filter=row_filter,
                    k=k,
                    plain=True,
                    ranking=ranking,
                )
            )
            passages = (
                search.passage_finder(full, number, query, self.options, self.path) if full.passages else None
            )
        schema = schema.remove_metadata()
        for field in search.search_fields(full):
            schema = schema.append(field)
        if not answers:
            return schema.empty_table()
        rowids = np.concatenate([answer.rowids for answer in answers])
        readable, arrays = fetch_rows(self.current, rowids, numbers)
        if not readable.any():  # damage is passed over
            return schema.empty_table()
        arrays = shown_arrays(arrays, [self.schema.columns[number].type for number in numbers])
        distances = np.concatenate([answer.distances for answer in answers])[readable]
        arrays.append(_distances(distances))
        if full.passages:
            arrays.append(pa.array(search.shown_spans(passages, self.current, rowids[readable]), pa.string()))
        return pa.Table.from_arrays(arrays, schema=schema)

    def explain(
        self,
        query: Any,
        k: int | None = USUAL_K,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        column: str | None = None,
        vector: Any = None,
        weights: Mapping[str, float] | None = None,
        ranking: Ranking = _DEFAULT_RANKING,
        plain: bool = True,
    ) -> Iterator[Explained]:
        """Why the ``k`` rows are those that answer ``query`` best."""
        k = self._count(k)
        full = self.current.schema
        with InFile(self.path):
            query, column = search.asked_of(full, query, column, vector, weights)
            filters, row_filter = filters_of_text(where, parameters, self.schema)
            asked = search.asked_for(
                self.current,
                full,
                search.WHOLE if column is None else full.index(column),
                query,
                self.options,
                self.path,
                filters,
                row_filter=row_filter,
                k=k,
                plain=plain,
                ranking=ranking,
            )
            yield from search.explained(asked, k)

    def suggest(self, word: str, k: int | None, column: str | None) -> list[str]:
        """The words of the columns that are written most like ``word``."""
        word = search.checked_word(word, self.path)
        k = self._count(k, USUAL_SUGGESTIONS)
        with InFile(self.path):
            columns = search.keyword_columns(self.current.schema, column, self.path)
            return [found.word for found in search.suggestions(self.current, columns, word, k)]

    @hooks.staged("query", _path)
    def top(
        self,
        ordering: str,
        k: int | None = USUAL_K,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The first ``k`` rows in an order, of those that pass ``where``."""
        k = self._count(k)
        with InFile(self.path):
            filters, row_filter = filters_of_text(where, parameters, self.schema)
            numbers, schema = self._projection(columns)
            rowids = first_rows(self.current, parse_order(ordering, self.schema), k, filters, row_filter)
        return self._fetched(rowids, numbers, schema)

    def _count(self, k: Any, usual: int = USUAL_K) -> int:
        """``k``, or the usual number of rows for None. QueryError for what is no number of them."""
        count = usual if k is None else k
        if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
            raise QueryError(f"k = {k!r} is no number of rows", file=self.path, remedy="Ask for 1 or more.")
        return int(count)


def row_at(current: Current, rowid: int) -> dict[str, Any] | None:
    """The row with ``rowid`` as SQL sees it, by column name; None if there is none."""
    visible = current.schema.visible
    own = current.stored_row(rowid) if isinstance(current, ShardedSnapshot) else current.own_row(rowid)
    if own is not None:
        columns = visible.columns
        return {column.name: as_sql(value, column.type) for column, value in zip(columns, own, strict=False)}
    for view in reversed(current.views):
        row = view.find(rowid)
        if row >= 0:
            view.segment.prefetch(range(len(visible.names)), [row])
            return {name: value_at(view.segment, number, row) for number, name in enumerate(visible.names)}
    return None


def _record_batch(arrays: list[pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    """A record batch, which may have rows without a column."""
    if arrays:
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _distances(distances: F32Array) -> pa.Array:
    """An array of float32 (n,), NULL for NaN. ``pa.array`` of NumPy's would import pandas, if it is there."""
    values = np.ascontiguousarray(distances, np.float32)
    there = ~np.isnan(values)
    validity = pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.Array.from_buffers(pa.float32(), len(values), [validity, pa.py_buffer(values)])
