"""A table: read it, write to it, keep it in shape."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from audiomem_sql import search, upkeep
from audiomem_sql.arrays import I64Array
from audiomem_sql.audio import Picture
from audiomem_sql.columns.hidden import check_new_name
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import AudioMemError, InFile
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.segment import DEFAULT_MODEL, default_backend
from audiomem_sql.table.appends import Appends
from audiomem_sql.table.changing import Changing
from audiomem_sql.table.copying import Copying
from audiomem_sql.table.creation import write_salvaged
from audiomem_sql.table.editing import Editing
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.rows import Current
from audiomem_sql.table.schema_changes import SchemaChanges
from audiomem_sql.table.sessions import session_of
from audiomem_sql.table.sharded_creation import create_new, create_salvaged, remove_new
from audiomem_sql.table.sharded_upkeep import upkeep_of
from audiomem_sql.table.staging import remove_abandoned
from audiomem_sql.table.transactions import Transactions
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.transaction import Transaction

if TYPE_CHECKING:
    from audiomem_sql.search import KnownVectors
    from audiomem_sql.upkeep import Repair
    from audiomem_sql.versions import Tiers

BUSY_TIMEOUT = 5.0


class Table(TableReader, Copying, Changing, Editing):
    """An open table.

    Use :func:`audiomem_sql.open` or :meth:`create`. Commits go to the log, and from there into segments: by
    :meth:`checkpoint`, which comes by itself, by :meth:`merge` and by :meth:`vacuum`.

    Threads may share it: :meth:`append` from any of them, and each sees the newest snapshot, or, while it has
    a transaction open, its own changes. A thread that writes keeps the others waiting, up to the busy
    timeout; then they get a BusyError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        cache: BlockCache | Tiers | None = SHARED,
        busy_timeout: float = BUSY_TIMEOUT,
        salvage: bool = False,
        on_damage: str = "fail",
        durability: str = "sync",
        partial: bool = False,
        replicas: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            path,
            version=version,
            as_of=as_of,
            cache=cache,
            salvage=salvage,
            on_damage=on_damage,
            partial=partial,
            replicas=replicas,
        )
        self._session = session_of(self._opened, busy_timeout, durability)
        self._transactions = Transactions(self._session)
        self._appends = Appends(self._session)
        self._upkeep = upkeep_of(self._session)
        self._schema_changes = SchemaChanges(self._session, self._transactions)

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

        columns: a schema, or definitions such as ``"id INTEGER PRIMARY KEY"``. options: see TableOptions;
        ``shards`` or a name that ends in ``.shards`` make it a folder of several files (docs/SHARDS.md).
        """
        chosen = options or {}
        with InFile(path):
            schema = columns if isinstance(columns, Schema) else parse_columns(columns)
            for name in schema.names:
                check_new_name(name)
            # who makes the table names it, or takes the default
            model = str(chosen.get("model", DEFAULT_MODEL))
            search.allow_model(model)
            if schema.semantic_columns and "model_backend" not in chosen:
                chosen = {**chosen, "model_backend": default_backend(model)}
            create_new(path, schema, chosen)
        return cls(path, cache=cache)

    @classmethod
    def salvaged(
        cls, broken: TableReader, path: str | os.PathLike[str], options: Mapping[str, Any] | None = None
    ) -> Table:
        """A new table of the rows that can be read of ``broken``, with their rowids, and as private.

        path: must be free; one that ends in ``.shards`` becomes as many shards as ``broken`` has. With
        ``on_damage="null"`` also of the rows that can be read in part; columns that lost values may then be
        NULL, and are no longer a primary key. Vectors are kept as they are. options: instead of those that it
        had, but for the model. DamagedFileError if there are rows, and not one of them can be read; then, as
        after any other error, there is no new table.
        """
        kept = broken.options.to_catalog() | dict(options or {})
        model_digest = str(kept.pop("model_digest", ""))
        # a delta, where the base is lost
        like = None if broken.files.is_remote else broken.snapshot.segments[0].path
        create_salvaged(path, broken, kept, like)  # its model is the file's word, not the user's
        table = cls(path)
        try:
            write_salvaged(table._session, broken, model_digest)
        except BaseException:
            table.close()
            with contextlib.suppress(OSError):
                remove_new(table.files)  # created above, and empty
            raise
        return table

    def take_back_creation(self) -> None:
        """Close a table that was just created, and delete its file unless others have committed to it."""
        session = self._session
        with contextlib.suppress(AudioMemError, OSError):
            session.enter()
            try:
                if self._opened.snapshot.newest == 1:
                    remove_new(self.files)
            finally:
                session.leave()
        self.close()

    def checkout(self, version: int | str | None = None, as_of: str | datetime | None = None) -> TableReader:
        """The table as it was, to read: by number, by tag, or by time."""
        opened = self._opened
        place = opened.files.address if opened.files.is_remote else opened.path
        return TableReader(place, version=version, as_of=as_of, **opened.how)

    # -- sharing ---------------------------------------------------------------------------------------------

    @property
    def busy_timeout(self) -> float:
        """Seconds that a writer waits for other threads and processes."""
        return self._session.busy_timeout

    @busy_timeout.setter
    def busy_timeout(self, seconds: float) -> None:
        self._session.busy_timeout = seconds

    @property
    def transaction(self) -> Transaction | None:
        """The transaction that is open, of whichever thread."""
        return self._session.transaction

    @property
    def readable(self) -> Current:
        """What a query reads now: the view of this thread's open transaction, or the snapshot."""
        return self._session.readable

    def flush(self) -> None:
        """Wait for appends of ``durability="async"``; raises why one of them was refused, or is lost."""
        self._session.flush()

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any.

        Nothing happens while a thread writes through this table. A store is asked at most once in
        ``AUDIOMEM_REMOTE_REFRESH`` seconds; in between there are none.
        """
        return self._session.refresh()

    def close(self) -> None:
        """Roll back what is not committed, turn what this table logged into a delta, and close the files.

        What other threads are appending is waited for; a transaction that one has open is rolled back. The
        log is left alone when another process is writing: it is as durable, and will be turned into a delta
        by that.
        """
        if not self._session.turn.closed:
            self._transactions.rollback_any()
            self._session.close()

    # -- transactions ----------------------------------------------------------------------------------------

    def begin(self, *, any_thread: bool = False) -> Transaction:
        """Open a transaction: take the writer's lock, and look for commits of others.

        This thread's open one is returned.

        BusyError when another thread or process keeps writing for longer than ``busy_timeout`` seconds.
        any_thread: calls of all threads belong to the transaction; the caller sees to it that they come one
        at a time, as SQLite does.
        """
        return self._transactions.begin(any_thread=any_thread)

    def prepare(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> None:
        """Make the transaction durable; until :meth:`commit` it can still be rolled back.

        Few bytes go to the log; many become a delta at once.
        """
        self._transactions.prepare(message=message, sources=sources, progress=progress)

    def embed_pending(self) -> None:
        """Make the vectors of what the open transaction has added so far."""
        self._transactions.embed_pending()

    def commit(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> int:
        """End the transaction and keep its changes; the version that the table has now."""
        return self._transactions.commit(message=message, sources=sources, progress=progress)

    def rollback(self) -> None:
        """End this thread's transaction and drop its changes."""
        self._transactions.rollback()

    def restore(self, version: int | str | None = None, as_of: str | datetime | None = None) -> int:
        """Make the rows of an old version, as of :meth:`at`, the newest, in a commit; the new version."""
        return self._transactions.restore(version, as_of)

    def tag(self, name: str, version: int | None = None) -> None:
        """Name a version, by default the newest; vacuum keeps it. An empty commit holds the name."""
        self._transactions.tag(name, version)

    # -- appends ---------------------------------------------------------------------------------------------

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
        """Add rows in one commit, all or none; the new version. When it returns they are durable.

        data: an Arrow table, record batch or reader, a pandas data frame, anything with
        ``__arrow_c_stream__``, or a list of dicts. Columns are matched by name; missing ones take their
        default. Errors name the column and the row. replace: a filter; the rows that match it (``parameters``
        for its question marks) are deleted in the same commit. sources: what the rows were ingested from, see
        :mod:`audiomem_sql.versions.ingested`.

        Several threads may append at the same time: few rows share a flush, see
        :mod:`audiomem_sql.writing.group_commit`. Each has a version and errors of its own.
        """
        return self._appends.append(
            data, replace=replace, parameters=parameters, sources=sources, message=message, progress=progress
        )

    def overwrite(
        self,
        data: Any,
        *,
        primary_key: str | None = None,
        semantic: str | Iterable[str] = (),
        index: bool | None = None,
        message: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Put the rows of ``data`` in the place of all that are there, in one commit; the new version.

        The old rows stay readable by their version. data: as in :meth:`append`. Columns that the new rows do
        not have are dropped, and those that only they have are added. One that both have, by name and type,
        stays what it is: its constraints, its index, its meaning. primary_key, semantic: as in
        :func:`audiomem_sql.write_flac`, in the place of those that the table has. index: of a data frame of
        pandas, as there.

        SchemaError if the rows do not have the INTEGER PRIMARY KEY that the table has, and if a sharded table
        has other columns than they.
        """
        from audiomem_sql.table.replacing import Replacing

        replacing = Replacing(self._session, self._appends)
        return replacing.overwrite(data, primary_key, semantic, index, message, progress)

    def append_stream(
        self, data: Any, *, message: str | None = None, progress: Progress | None = None
    ) -> int:
        """Add rows in one commit, as :meth:`append`.

        The rows of a new table, or those behind the rows of one local file, without having all of them in
        memory.

        That holds for a relation of DuckDB and for an Arrow dataset, if their rows come in the order of the
        INTEGER PRIMARY KEY, above those that are there, or there is none, and the table has no other key and
        no CHECK. Anything else is
        read first, as :meth:`append` does. What is made of SEMANTIC and INDEXED columns, their vectors and
        words, is held in memory.
        """
        return self._appends.append_stream(data, message=message, progress=progress)

    def exchange(
        self,
        data: Any,
        deleted: Callable[[Snapshot], I64Array],
        *,
        sources: Mapping[str, bytes] | None = None,
        message: str | None = None,
        progress: Progress | None = None,
        encoded: Sequence[str] = (),
        known: KnownVectors | None = None,
    ) -> int:
        """Add and delete rows in one commit, as :meth:`append`; the new version.

        deleted: given the snapshot that the commit is made on, the rowids to delete from it, int64 (n,),
        ascending. It is called when nobody else can write, by whichever thread does the writing. encoded:
        files of more rows for a sharded table (``ShardEncoder``). known: vectors of texts, not made again.
        """
        return self._appends.exchange(
            data, deleted, sources=sources, message=message, progress=progress, encoded=encoded, known=known
        )

    # -- upkeep ----------------------------------------------------------------------------------------------

    def checkpoint(self, *, timeout: float | None = None) -> bool:
        """Turn the log into a delta; False if there was nothing in it.

        BusyError after ``timeout`` seconds.
        """
        return self._upkeep.checkpoint(timeout)

    def merge(self) -> None:
        """Make one delta of all deltas and the log; cheap beside a vacuum, as the base stays as it is."""
        self._upkeep.merge()

    def vacuum(
        self,
        *,
        retain: upkeep.Retention | str | None = None,
        history: str | None = None,
        level: int | None = None,
        protection: str | None = None,
        layout: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Make one file of base, deltas and log, compressed harder; the oldest version that is kept.

        retain: which versions to keep, by default all, also as text (``"30d"``); tagged ones are kept in any
        case. history: in a store, like retain: rows that no version after that shows go into an object that
        older versions alone are read from. level: zstd, 1 to 22, by default that of the profile. protection:
        the level that the table has from now on, by default the one that it had. layout: whom the order of
        the bytes serves from now on, ``local``, or ``remote``: who gets ranges of it out of an object store.
        progress: called with rows done and rows in all. Readers go on with the files that they have open.
        """
        with InFile(self.path):
            kept = upkeep.Retention.of(retain, history)
        oldest = self._upkeep.vacuum(kept, level, protection, layout, progress)
        remove_abandoned(self.files)
        return oldest

    def transcode(self, changes: Mapping[str, Any], *, progress: Progress | None = None) -> None:
        """Make one file that sounds otherwise.

        changes: new values of profile, modulation, band_plan, robustness, protection, compression_level. All
        versions are kept. OptionError, before anything is written, for options that do not exist or do not go
        together.
        """
        self._upkeep.transcode(changes, progress)

    def repair(self, *, progress: Progress | None = None) -> list[Repair]:
        """Make every damaged file what it was, byte for byte; what was done, a file each.

        Files that are whole stay as they are. UnsupportedError without protection. DamagedFileError when
        something cannot be recovered: then that file stays as it is. Readers go on with the files that they
        have open.
        """
        return self._upkeep.repair(progress)

    def set_cover(self, cover: Picture | None) -> None:
        """Make ``cover`` the front cover of the table's file, in place of one that is there.

        cover: None to have none. Rows, versions, deltas and the log stay as they are. Readers go on with the
        file that they have open.
        """
        self._upkeep.set_cover(cover)
