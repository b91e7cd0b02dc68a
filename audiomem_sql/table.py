"""A table: the newest snapshot of a FLAC file and its deltas, read, scanned and appended to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from audiomem_sql.appending import NO_ROWIDS, as_batches, check_keys, matching_rowids, number_rows
from audiomem_sql.block_cache import SHARED, BlockCache
from audiomem_sql.catalog import Version
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.commit import Commit, PendingCommit, Progress, write_commit
from audiomem_sql.errors import DamagedFileError, MissingExtraError, StorageError
from audiomem_sql.lookup import value_at
from audiomem_sql.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.segment_writer import SegmentWriter
from audiomem_sql.snapshot import Snapshot
from audiomem_sql.sources import known_sources, pack_sources
from audiomem_sql.table_files import TableFiles
from audiomem_sql.table_options import TableOptions
from audiomem_sql.transaction import Transaction
from audiomem_sql.types import I64Array

if TYPE_CHECKING:
    import pandas as pd

BUSY_TIMEOUT = 5.0


class Table:
    """An open table.

    ``schema``, ``version`` and ``len(table)`` speak of the newest snapshot that was looked at; :meth:`refresh` looks
    again. Use :func:`audiomem_sql.open` or :meth:`create`; a context manager, closing its files at the end.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, cache: BlockCache = SHARED, busy_timeout: float = BUSY_TIMEOUT
    ) -> None:
        self.path = os.fspath(path)
        self.busy_timeout = busy_timeout
        self._cache = cache
        self.files = TableFiles(os.path.abspath(self.path))
        self.snapshot: Snapshot = self.files.load(cache)
        self.options = self._read_options()
        self._lock: int | None = None
        self._swept = False
        self._prepared: PendingCommit | None = None
        self.transaction: Transaction | None = None

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        columns: Schema | Sequence[str],
        options: Mapping[str, Any] | None = None,
        *,
        cache: BlockCache = SHARED,
    ) -> Table:
        """Create an empty table at ``path``, which must be free.

        columns: a schema, or definitions such as ``"id INTEGER PRIMARY KEY"``. options: see TableOptions.
        """
        schema = columns if isinstance(columns, Schema) else parse_columns(columns)
        files = TableFiles(os.path.abspath(path))
        if files.exists():
            raise StorageError(
                "the file exists already", file=files.base, remedy="Open it, or choose another name."
            )
        folder = os.path.dirname(files.base)
        if not os.path.isdir(folder):
            raise StorageError(
                "there is no such folder", file=folder, remedy="Create it first, or choose another path."
            )
        if files.deltas():
            raise StorageError(
                "deltas of another table are in the way", file=files.folder, remedy="Move that folder away."
            )
        chosen = TableOptions.parse(options or {}, folder)
        writer = SegmentWriter(files.base, schema, chosen.write_options(), table_id=os.urandom(16))
        try:
            writer.finish([Version(1, _now(), 0, 0)], options=chosen.to_catalog())
            writer.publish(replace=False)
        except BaseException:
            writer.abandon()
            raise
        return cls(path, cache=cache)

    def _read_options(self) -> TableOptions:
        try:
            return TableOptions.from_catalog(self.snapshot.segments[-1].catalog.options)
        except DamagedFileError as error:
            self.snapshot.close()
            raise DamagedFileError(error.what, file=self.path, place="catalog") from None

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the table: the file's, without folder and extension."""
        return os.path.splitext(os.path.basename(self.path))[0]

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self.snapshot.schema

    @property
    def version(self) -> int:
        """The number of the newest commit seen."""
        return self.snapshot.version

    @property
    def versions(self) -> list[Version]:
        """Every commit in the files, oldest first."""
        return self.snapshot.versions

    @property
    def sources(self) -> dict[str, bytes]:
        """What was ingested: the digest of every source, by name."""
        return known_sources(self.snapshot)

    def __len__(self) -> int:
        return self.readable.rows

    def __repr__(self) -> str:
        return f"<Table {self.path!r}: {len(self)} rows, {len(self.schema)} columns, version {self.version}>"

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any. Nothing happens inside a transaction."""
        if self.transaction is not None or not self.files.changed(self.snapshot):
            return False
        self.snapshot = self.files.load(self._cache, self.snapshot.segments)
        self.options = self._read_options()
        return True

    def close(self) -> None:
        """Roll back what is not committed, and close the files."""
        self.rollback()
        self.snapshot.close()

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def readable(self) -> Transaction | Snapshot:
        """What a query reads now: the open transaction's view, or the snapshot."""
        return self.snapshot if self.transaction is None else self.transaction

    def scan(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        *,
        limit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """The rows as record batches, decoded as they are asked for.

        columns: names, in the order wanted; all by default. where: a filter such as ``"year > ? AND title LIKE 'a%'"``
        with ``parameters`` for its question marks. limit: most rows.
        """
        numbers, schema = self._projection(columns)
        filters, row_filter = self._where(where, parameters)
        return self._batches(self.readable, numbers, schema, filters, row_filter, limit)

    def _batches(
        self,
        readable: Readable,
        numbers: list[int],
        schema: pa.Schema,
        filters: list[Filter],
        row_filter: RowFilter | None,
        limit: int | None,
    ) -> Iterator[pa.RecordBatch]:
        left = limit
        if left is not None and left <= 0:
            return
        for batch in scan(readable, numbers, filters, row_filter=row_filter):
            arrays = list(batch.arrays)
            if left is not None and left < len(batch):
                arrays = [array.slice(0, left) for array in arrays]
            yield _record_batch(arrays, min(len(batch), left if left is not None else len(batch)), schema)
            if left is not None:
                left -= len(batch)
                if left <= 0:
                    return

    def _projection(self, columns: Sequence[str] | None) -> tuple[list[int], pa.Schema]:
        names = list(self.schema.names) if columns is None else list(columns)
        numbers = [self.schema.index(name) for name in names]
        arrow = self.schema.to_arrow()
        return numbers, pa.schema([arrow.field(number) for number in numbers])

    def _where(self, where: str | None, parameters: Sequence[Any]) -> tuple[list[Filter], RowFilter | None]:
        if where is None:
            return [], None
        from audiomem_sql.where import parse_where
        from audiomem_sql.where_filter import filters_of

        return filters_of(parse_where(where, self.schema.names, parameters), self.schema)

    def to_arrow(
        self, columns: Sequence[str] | None = None, where: str | None = None, parameters: Sequence[Any] = ()
    ) -> pa.Table:
        """The rows as an Arrow table; arguments as in :meth:`scan`."""
        _, schema = self._projection(columns)
        return pa.Table.from_batches(list(self.scan(columns, where, parameters)), schema)

    def to_pandas(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        **options: Any,
    ) -> pd.DataFrame:
        """The rows as a pandas data frame; ``options`` go to ``pyarrow.Table.to_pandas``."""
        try:
            import pandas  # noqa: F401
        except ImportError:
            raise MissingExtraError(
                "pandas is not installed", remedy="Run: pip install 'audiomem-sql[pandas]'"
            ) from None
        return self.to_arrow(columns, where, parameters).to_pandas(**options)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow PyCapsule interface: anything that reads Arrow reads the table, batch by batch."""
        _, schema = self._projection(None)
        reader = pa.RecordBatchReader.from_batches(schema, self.scan())
        return reader.__arrow_c_stream__(requested_schema)

    def get(self, rowid: int) -> dict[str, Any] | None:
        """The row with ``rowid`` as SQL sees it, by column name; None if there is none."""
        readable = self.readable
        if isinstance(readable, Transaction):
            own = readable.own_row(rowid)
            if own is not None:
                return {
                    c.name: as_sql(value, c.type) for c, value in zip(self.schema.columns, own, strict=True)
                }
        for view in reversed(readable.views):
            row = view.find(rowid)
            if row >= 0:
                return {
                    name: value_at(view.segment, place, row) for place, name in enumerate(self.schema.names)
                }
        return None

    # -- writing --------------------------------------------------------------------------------------------------

    def begin(self) -> Transaction:
        """Open a transaction: take the writer's lock, and look for commits of others.

        BusyError when another process keeps writing for longer than ``busy_timeout`` seconds.
        """
        if self.transaction is None:
            self._acquire()
            self.transaction = Transaction(self.path, self.snapshot)
        return self.transaction

    def prepare(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> None:
        """Make the transaction durable; until :meth:`commit` it can still be rolled back."""
        if (
            self.transaction is not None
            and self._prepared is None
            and (self.transaction.changed or sources is not None)
        ):
            content = self.transaction.commit_content(message, sources)
            self._prepared = write_commit(self.files, self.snapshot, self.options, content, progress)

    def commit(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> int:
        """End the transaction and keep its changes; the version that the table has now."""
        try:
            self.prepare(message=message, sources=sources, progress=progress)
        except BaseException:
            self.rollback()
            raise
        if self._prepared is not None:
            self._prepared.accept()
            self._prepared = None
        self._end()
        return self.version

    def rollback(self) -> None:
        """End the transaction and drop its changes."""
        try:
            if self._prepared is not None:
                self._prepared.take_back()
        finally:
            self._prepared = None
            if self._lock is not None:
                self._end()

    def append(
        self,
        data: Any,
        *,
        replace: str | None = None,
        parameters: Sequence[Any] = (),
        sources: Mapping[str, bytes] | None = None,
        message: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Add rows in one commit, all or none; the new version.

        data: an Arrow table, record batch or reader, a pandas data frame, anything with ``__arrow_c_stream__``, or a
        list of dicts. Columns are matched by name; missing ones are NULL. Errors name the column and the row.
        replace: a filter; the rows that match it (``parameters`` for its question marks) are deleted in the same commit.
        sources: what the rows were ingested from, see :mod:`audiomem_sql.sources`.
        """
        filters, row_filter = self._where(replace, parameters)

        def matching(snapshot: Snapshot) -> I64Array:
            return NO_ROWIDS if replace is None else matching_rowids(snapshot, filters, row_filter)

        return self.exchange(data, matching, sources=sources, message=message, progress=progress)

    def exchange(
        self,
        data: Any,
        deleted: Callable[[Snapshot], I64Array],
        *,
        sources: Mapping[str, bytes] | None = None,
        message: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Add and delete rows in one commit, as :meth:`append`; the new version.

        deleted: given the snapshot that the commit is made on, the rowids to delete from it, int64 (n,), ascending. It is
        called when nobody else can write.
        """
        table, _ = to_table(data, self.schema)
        if self.transaction is not None:
            raise StorageError("a transaction is open", file=self.path, remedy="Commit it first.")
        self._acquire()
        try:
            gone = deleted(self.snapshot)
            if not table.num_rows and not len(gone) and not sources:
                return self.version
            rowids, table = number_rows(table, self.snapshot)
            check_keys(rowids, table, self.snapshot, self.path, gone)
            packed = None if sources is None else pack_sources(sources)
            content = Commit(as_batches(rowids, table), table.num_rows, gone, message, packed)
            write_commit(self.files, self.snapshot, self.options, content, progress).accept()
        finally:
            self._end()
        return self.version

    def _acquire(self) -> None:
        self.files.check_writable()
        self._lock = self.files.lock(self.busy_timeout)
        try:
            if not self._swept:
                self.files.sweep()
                self._swept = True
            self.refresh()
            for segment in self.snapshot.segments:
                if segment.file.truncated:
                    raise DamagedFileError(
                        "pages are missing at the end",
                        file=segment.path,
                        remedy="Restore the file before writing to it.",
                    )
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self.transaction = None
        if self._lock is not None:
            self.files.unlock(self._lock)
            self._lock = None
        self.refresh()


def _record_batch(arrays: list[pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    if arrays:
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _now() -> int:
    return time.time_ns() // 1000
