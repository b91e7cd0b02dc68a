"""A table as a ``pyarrow.dataset.Dataset``: only the columns and blocks of a query are decoded.

DuckDB (by the name of a Python variable or with ``register``), polars (``scan_pyarrow_dataset``), pyarrow and
whatever else takes a dataset hand over which columns they want and a filter; both reach the scan. A filter is
applied exactly as Arrow means it (see ``arrow_filter``), since DuckDB does not look again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from audiomem_sql.blocks.encoding import Encoding
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError, UnsupportedError
from audiomem_sql.table.arrow_form import COMMON, Form
from audiomem_sql.table.arrow_scanner import Columns, FlacScanner
from audiomem_sql.table.contract import ReadableTable
from audiomem_sql.versions import Snapshot

_CODED = (Encoding.DICTIONARY, Encoding.NULLS)
#: What DuckDB's threads share out among each other: as many rows as a row group of its own has.
_BATCH_ROWS = 122_880


class FlacDataset(ds.Dataset):  # type: ignore[misc]
    """The rows of one snapshot of a table, or, with ``live``, of the newest at each look at the schema.

    What was committed counts, not what an open transaction added. Scans hold the snapshot that they began
    with.
    """

    def __init__(
        self,
        table: ReadableTable,
        *,
        snapshot: Snapshot | None = None,
        live: bool = False,
        coded: bool = False,
        evolving: bool = False,
        form: Form = COMMON,
        expression: pc.Expression | None = None,
    ) -> None:
        """snapshot: one of the table's, by default the one that was loaded last.

        form: how logical types are given.

        coded: give texts of which many are the same as dictionary arrays, where the file has them as such.

        evolving: who asks for the schema asks anew before each scan, so columns may come and go.
        """
        # Dataset.__init__ refuses everybody; what it would set up is used by none of the methods here
        self._table = table
        self._live = live
        self._coded = coded
        self._evolving = evolving
        self._form = form
        self._expression = expression
        self._snapshot: Snapshot = table.snapshot if snapshot is None else snapshot
        #: The columns that somebody was told of.
        self._told: Schema | None = None
        #: Whether the texts of a column, by its id, are given as dictionary arrays.
        self._codes: dict[int, bool] = {}

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def table(self) -> ReadableTable:
        """The table that is read."""
        return self._table

    @property
    def version(self) -> int:
        """The number of the newest commit that is seen."""
        return self._snapshot.version

    @property
    def schema(self) -> pa.Schema:
        """The columns.

        QueryError if they are others than somebody was told of before, who may keep to those.
        """
        self._look()
        if self._told is None or self._evolving:
            self._told = self._snapshot.schema
        elif not self._snapshot.schema.is_same(self._told):
            raise self._changed()
        return self._arrow_schema()

    def _changed(self) -> QueryError:
        return QueryError(
            "the columns of the table have changed",
            file=self._table.path,
            remedy="Attach or register it again.",
        )

    def _arrow_schema(self) -> pa.Schema:
        """The columns as Arrow types them, of the snapshot."""
        visible = self._snapshot.schema.visible
        whole = visible.shown()
        for position, column in enumerate(visible.columns):
            if column.type.logical is not None:
                whole = whole.set(position, self._form.field(whole.field(position), column.type))
        for position in self._coded_columns():
            field = whole.field(position)
            whole = whole.set(position, field.with_type(pa.dictionary(pa.int32(), field.type)))
        return whole

    def _coded_columns(self) -> frozenset[int]:
        """The places of the columns that are given as dictionary arrays.

        Once told, this stays for as long as the dataset lives: DuckDB 1.5 asks for the types when a table is
        registered, and reads the arrays of every later scan as such.
        """
        if not self._coded:
            return frozenset()
        schema = self._snapshot.schema.visible
        for position, column in enumerate(schema.columns):
            is_text = column.type.kind is Kind.TEXT and column.type.logical is None
            if is_text and column.id not in self._codes:
                self._codes[column.id] = _repeats(self._snapshot, position)
        return frozenset(
            position for position, column in enumerate(schema.columns) if self._codes.get(column.id)
        )

    def _look(self) -> None:
        """Look for commits of others, if that is wanted."""
        if self._live:
            self._table.refresh()
            self._snapshot = self._table.snapshot

    @property
    def partition_expression(self) -> pc.Expression:
        """True: the rows have nothing in common that a directory would tell."""
        return pc.scalar(True)

    def __repr__(self) -> str:
        return f"<FlacDataset {self._table.path!r}: version {self.version}>"

    def __reduce__(self) -> tuple[Any, ...]:
        opener, path = self._table.opener, self._table.path
        return _reopened, (opener, path, self.version, self._live, self._coded, self._expression, self._form)

    def close(self) -> None:
        """Close the table; scans that are still running fail."""
        self._table.close()

    def replace_schema(self, schema: pa.Schema) -> FlacDataset:
        """This dataset, if ``schema`` is its own: the types are those of the file."""
        if not schema.equals(self.schema):
            raise UnsupportedError(
                "a table cannot be read with another schema",
                file=self._table.path,
                remedy="Cast what to_table() gives.",
            )
        return self

    def filter(self, expression: pc.Expression) -> FlacDataset:
        """The same rows, but for those for which ``expression`` is not true."""
        made = FlacDataset(
            self._table,
            snapshot=self._snapshot,
            live=self._live,
            coded=self._coded,
            evolving=self._evolving,
            form=self._form,
            expression=self._both(expression),
        )
        made._codes = self._codes
        return made

    def _both(self, expression: pc.Expression | None) -> pc.Expression | None:
        if self._expression is None or expression is None:
            return self._expression if expression is None else expression
        return self._expression & expression

    # -- rows ------------------------------------------------------------------------------------------------

    def scanner(
        self,
        columns: Columns = None,
        filter: pc.Expression | None = None,
        batch_size: int = _BATCH_ROWS,
        batch_readahead: int | None = None,
        fragment_readahead: int | None = None,
        fragment_scan_options: Any = None,
        use_threads: bool = True,
        cache_metadata: bool = True,
        memory_pool: pa.MemoryPool | None = None,
    ) -> FlacScanner:
        """What reads ``columns`` (names, or expressions by name) of the rows for which ``filter`` is true.

        batch_size: most rows in a batch. use_threads: decode ahead on other threads. The remaining options
        are those of files that pyarrow reads, and change nothing here. QueryError for columns that are not
        there.
        """
        self._look()
        if self._told is not None and not self._still_has(columns, self._told):
            raise self._changed()
        return FlacScanner(
            self._table.path,
            self._snapshot,
            self._arrow_schema(),
            columns,
            self._both(filter),
            coded=self._coded_columns(),
            form=self._form,
            batch_size=batch_size,
            use_threads=use_threads,
        )

    def _still_has(self, columns: Columns, expected: Schema) -> bool:
        """Whether columns are what ``expected`` says.

        Names that nobody was told of do not matter.
        """
        now = self._snapshot.schema
        if columns is None or isinstance(columns, Mapping):
            return now.is_same(expected)
        return all(
            now[name].type == expected[name].type for name in columns if name in expected and name in now
        )

    def to_batches(
        self, columns: Columns = None, filter: pc.Expression | None = None, **options: Any
    ) -> Iterator[pa.RecordBatch]:
        """The rows as record batches, decoded as they are asked for; arguments as in :meth:`scanner`."""
        return self.scanner(columns, filter, **options).to_batches()

    def to_table(
        self, columns: Columns = None, filter: pc.Expression | None = None, **options: Any
    ) -> pa.Table:
        """The rows as an Arrow table; arguments as in :meth:`scanner`."""
        return self.scanner(columns, filter, **options).to_table()

    def head(
        self, num_rows: int, columns: Columns = None, filter: pc.Expression | None = None, **options: Any
    ) -> pa.Table:
        """The first ``num_rows`` rows; arguments as in :meth:`scanner`.

        No more blocks are read than it takes.
        """
        return self.scanner(columns, filter, **options).head(num_rows)

    def take(
        self, indices: Any, columns: Columns = None, filter: pc.Expression | None = None, **options: Any
    ) -> pa.Table:
        """The rows at places ``indices`` among those that are asked for; arguments as in :meth:`scanner`."""
        return self.scanner(columns, filter, **options).take(indices)

    def count_rows(self, filter: pc.Expression | None = None, **options: Any) -> int:
        """How many rows there are, for which ``filter`` is true."""
        return self.scanner([], filter, **options).count_rows()

    def sort_by(self, sorting: Any, **options: Any) -> ds.InMemoryDataset:
        """All rows in order, in memory, see ``pyarrow.Table.sort_by``."""
        return ds.InMemoryDataset(self.to_table().sort_by(sorting, **options))

    def join(self, right_dataset: Any, keys: Any, *arguments: Any, **options: Any) -> ds.InMemoryDataset:
        """The join with another dataset, in memory, see ``pyarrow.Table.join``."""
        joined = self.to_table().join(right_dataset.to_table(), keys, *arguments, **options)
        return ds.InMemoryDataset(joined)

    def join_asof(self, right_dataset: Any, *arguments: Any, **options: Any) -> ds.InMemoryDataset:
        """The join with the nearest rows of another dataset, in memory, see ``pyarrow.Table.join_asof``."""
        return ds.InMemoryDataset(self.to_table().join_asof(right_dataset.to_table(), *arguments, **options))

    def get_fragments(self, filter: pc.Expression | None = None) -> Iterator[Any]:
        """UnsupportedError: pyarrow's own engine cannot read pieces of this file."""
        raise UnsupportedError(
            "a FLAC table has no fragments that pyarrow's engine could read",
            file=self._table.path,
            remedy="Use scanner(), to_batches(), or pyarrow.RecordBatchReader.from_stream(dataset).",
        )

    _get_fragments = get_fragments

    def _scan_options(self, options: Any = None) -> Any:
        return self.get_fragments()

    def _scanner_options(self, options: Any = None) -> Any:
        return self.get_fragments()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow PyCapsule interface: the rows, batch by batch."""
        return self.scanner().to_reader().__arrow_c_stream__(requested_schema)


def _reopened(
    opener: Callable[..., ReadableTable],
    path: str,
    version: int,
    live: bool,
    coded: bool,
    expression: pc.Expression | None,
    form: Form,
) -> FlacDataset:
    """A dataset of another process."""
    made = FlacDataset(opener(path, version=None if live else version), live=live, coded=coded, form=form)
    return made if expression is None else made.filter(expression)


def _repeats(snapshot: Snapshot, position: int) -> bool:
    """Whether nearly all rows of a column are stored as codes for few texts."""
    coded = rows = 0
    for view in snapshot.views:
        directory = view.segment.directory(position)
        if directory is not None:
            own, stored = directory.rows_encoded(_CODED)
            coded, rows = coded + own, rows + stored
    return rows > 0 and coded >= 0.9 * rows
