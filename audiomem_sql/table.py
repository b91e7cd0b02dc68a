"""A table: the newest snapshot of a FLAC file and its deltas, read, scanned and appended to."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from audiomem_sql.appending import NO_ROWIDS, as_batches, check_keys, matching_rowids, number_rows
from audiomem_sql.block_cache import SHARED, BlockCache
from audiomem_sql.catalog import Version
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.stored_values import as_sql, stored_rows
from audiomem_sql.columns.timestamps import parse
from audiomem_sql.commit import Commit, LoggedCommit, PendingCommit, Progress, write_commit
from audiomem_sql.compaction import (
    SMALL_DELTAS,
    VACUUM_LEVEL,
    Retention,
    checkpoint,
    merge,
    small_deltas,
    vacuum,
)
from audiomem_sql.errors import (
    BusyError,
    DamagedFileError,
    MissingExtraError,
    OptionError,
    QueryError,
    StorageError,
)
from audiomem_sql.log import LogRecord, LogWriter
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
#: Commits of at most this size go to the log.
LOGGED_COMMIT_BYTES = 256 << 10
LOGGED_ROWS = 1 << 12
#: The log becomes a delta when it is larger than this, or holds so many commits.
CHECKPOINT_BYTES = 1 << 20
CHECKPOINT_COMMITS = 1000


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
        self._prepared: PendingCommit | LoggedCommit | None = None
        self._log: LogWriter | None = None
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
        return known_sources(self.snapshot.segments, self.snapshot.logged)

    def __len__(self) -> int:
        return self.readable.rows

    def __repr__(self) -> str:
        return f"<Table {self.path!r}: {len(self)} rows, {len(self.schema)} columns, version {self.version}>"

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any. Nothing happens inside a transaction."""
        if self.transaction is not None or not self.files.changed(self.snapshot):
            return False
        self.snapshot = self.files.load(self._cache, self.snapshot)
        self.options = self._read_options()
        return True

    def close(self) -> None:
        """Roll back what is not committed, turn what this table logged into a delta, and close the files.

        The log is left alone when another process is writing: it is as durable, and will be turned into one by that.
        """
        self.rollback()
        if self._log is not None:
            self._log.close()
            self._log = None
            with contextlib.suppress(BusyError, StorageError):
                self.checkpoint(timeout=0)
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
        own = readable.own_row(rowid)
        if own is not None:
            return {c.name: as_sql(value, c.type) for c, value in zip(self.schema.columns, own, strict=True)}
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
        """Make the transaction durable; until :meth:`commit` it can still be rolled back.

        Few bytes go to the log; many become a delta at once.
        """
        transaction = self.transaction
        if transaction is None or self._prepared is not None or not (transaction.changed or sources is not None):
            return
        if transaction.logged_size() <= LOGGED_COMMIT_BYTES:
            record = transaction.record(self.snapshot.newest + 1, _now(), message, sources)
            self._prepared = self._append_to_log(record)
        else:
            self._checkpoint()
            content = transaction.commit_content(message, sources)
            self._prepared = write_commit(self.files, self.snapshot, self.options, content, progress)

    def _append_to_log(self, record: LogRecord) -> LoggedCommit:
        snapshot = self.snapshot
        if self._log is None:
            self._log = LogWriter(self.files.log, snapshot.segments[0].catalog.table_id)
        after = self._log.append(snapshot.log, record, snapshot.newest)
        return LoggedCommit(record.version, self._log, snapshot.log, after)

    def commit(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> int:
        """End the transaction and keep its changes; the version that the table has now."""
        try:
            self.prepare(message=message, sources=sources, progress=progress)
        except BaseException:
            self.rollback()
            raise
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            prepared.accept()
            if not isinstance(prepared, LoggedCommit):
                self._reload()
        if isinstance(prepared, LoggedCommit):
            self.snapshot = self.snapshot.after(prepared.after)
            if prepared.after.end > CHECKPOINT_BYTES or prepared.after.count >= CHECKPOINT_COMMITS:
                self._checkpoint_after_commit()
        self._end()
        return self.version

    def _checkpoint_after_commit(self) -> None:
        """The commit is durable already: what fails here is tried again at the next one."""
        self.transaction = None
        with contextlib.suppress(StorageError):
            self._checkpoint()

    def checkpoint(self, *, timeout: float | None = None) -> bool:
        """Turn the log into a delta; False if there was nothing in it. BusyError after ``timeout`` seconds."""
        self._no_transaction()
        self._acquire(timeout)
        try:
            return self._checkpoint()
        finally:
            self._end()

    def _checkpoint(self) -> bool:
        """The same while the writer's lock is held; many small deltas are merged."""
        done = checkpoint(self.files, self.snapshot, self.options)
        if done:
            self._reload()
            small = small_deltas(self.snapshot)
            if len(small) >= SMALL_DELTAS:
                merge(self.files, self.snapshot, self.options, small)
                self._reload()
        return done

    def merge(self) -> None:
        """Make one delta of all deltas and the log; cheap beside a vacuum, because the base stays as it is."""
        self._no_transaction()
        self._acquire()
        try:
            self._checkpoint()
            if len(self.snapshot.segments) > 2:
                merge(self.files, self.snapshot, self.options, self.snapshot.segments[1:])
                self._reload()
        finally:
            self._end()

    def vacuum(
        self, *, retain: Retention | None = None, level: int = VACUUM_LEVEL, progress: Progress | None = None
    ) -> int:
        """Make one file of base, deltas and log, compressed harder; the oldest version that is kept.

        retain: which versions to keep, by default all; tagged ones are kept in any case. level: zstd, 1 to 22. progress:
        called with rows done and rows in all. Readers go on with the files that they have open.
        """
        self._no_transaction()
        self._acquire()
        try:
            self._checkpoint()
            oldest = (retain or Retention()).oldest(self.snapshot, _now())
            vacuum(self.files, self.snapshot, self.options, oldest, level=level, progress=progress)
            self._reload()
        finally:
            self._end()
        return oldest

    def tag(self, name: str, version: int | None = None) -> None:
        """Name a version, by default the newest; vacuum keeps it. An empty commit holds the name."""
        self._no_transaction()
        if not name or name.isdigit():
            raise OptionError(f"{name!r} is no name for a version", file=self.path, remedy="Use letters.")
        self._acquire()
        try:
            number = self.snapshot.newest if version is None else self.snapshot.at(version).version
            record = LogRecord(self.snapshot.newest + 1, _now(), message=f"tag {name}", tags={name: number})
            self.snapshot = self.snapshot.after(self._append_to_log(record).after)
        finally:
            self._end()

    @property
    def tags(self) -> dict[str, int]:
        """Names of versions."""
        return self.snapshot.tags

    def at(self, version: int | str | None = None, as_of: str | datetime | None = None) -> Snapshot:
        """The snapshot of a version: by number, by tag, or the newest at a time (UTC unless it says otherwise).

        QueryError, with the versions and tags that are kept, for one that is not.
        """
        if as_of is not None:
            moment = parse(as_of)
            numbers = [v.number for v in self.snapshot.versions if v.time <= moment]
            return self.snapshot.at(numbers[-1] if numbers else self.snapshot.versions[0].number - 1)
        if isinstance(version, str) and not version.isdigit():
            if version not in self.tags:
                known = ", ".join(sorted(self.tags)) or "none"
                raise QueryError(f"there is no tag {version!r}", file=self.path, remedy=f"Tags: {known}.")
            return self.snapshot.at(self.tags[version])
        return self.snapshot if version is None else self.snapshot.at(int(version))

    def _no_transaction(self) -> None:
        if self.transaction is not None:
            raise StorageError("a transaction is open", file=self.path, remedy="Commit it first.")

    def _reload(self) -> None:
        self.snapshot = self.files.load(self._cache, self.snapshot)

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
        self._no_transaction()
        self._acquire()
        try:
            gone = deleted(self.snapshot)
            if table.num_rows <= LOGGED_ROWS and table.nbytes + 9 * len(gone) <= LOGGED_COMMIT_BYTES:
                return self._exchange_few(table, gone, sources, message)
            self._checkpoint()
            if not table.num_rows and not len(gone) and not sources:
                return self.version
            rowids, table = number_rows(table, self.snapshot)
            check_keys(rowids, table, self.snapshot, self.path, gone)
            packed = None if sources is None else pack_sources(sources)
            content = Commit(as_batches(rowids, table), table.num_rows, gone, message, packed)
            write_commit(self.files, self.snapshot, self.options, content, progress).accept()
            self._reload()
        finally:
            self._end()
        return self.version

    def _exchange_few(
        self, table: pa.Table, gone: I64Array, sources: Mapping[str, bytes] | None, message: str | None
    ) -> int:
        """The same through the log."""
        self.transaction = Transaction(self.path, self.snapshot)
        try:
            for rowid in gone.tolist():
                self.transaction.delete(rowid)
            for row in stored_rows(table, self.schema):
                self.transaction.insert(None, row)
        except BaseException:
            self.rollback()
            raise
        return self.commit(message=message, sources=pack_sources(sources) if sources else None)

    def _acquire(self, timeout: float | None = None) -> None:
        self.files.check_writable()
        self._lock = self.files.lock(self.busy_timeout if timeout is None else timeout)
        try:
            if not self._swept:
                self.files.sweep()
                self._swept = True
            self.refresh()
            if self.snapshot.log is not None and not self.snapshot.logged:
                self.files.remove_log()  # all of it is in a segment: a crash came before its removal
                self._reload()
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


def _record_batch(arrays: list[pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    if arrays:
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _now() -> int:
    return time.time_ns() // 1000
