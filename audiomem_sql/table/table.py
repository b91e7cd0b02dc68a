"""A table: read it, write to it, keep it in shape."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from audiomem_sql.audio.flac.comments import Picture
from audiomem_sql.columns.creation import check_definitions
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import DamagedFileError, OptionError, SchemaError, StorageError
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.durable import replace_durably
from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.machine.malloc import spare
from audiomem_sql.machine.progress import Progress
from audiomem_sql.migrations.changes import SchemaChange, parse_change
from audiomem_sql.protection.levels import level_named
from audiomem_sql.scan.scan import in_rowid_order, scan
from audiomem_sql.search.embedding import dimensions_of, embedder_of, missing_vectors
from audiomem_sql.sound.cover import covered
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.segment.catalog import Migration, Version
from audiomem_sql.storage.segment.options import HASHING, TableOptions, check_backend
from audiomem_sql.storage.segment.writer import SegmentWriter
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.writer import TableWriter, now
from audiomem_sql.upkeep.compaction import Retention, merge, vacuum
from audiomem_sql.upkeep.repair import Repair, repaired
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.row_changes import changes
from audiomem_sql.writing.altering import altered_schema
from audiomem_sql.writing.commit import Commit, write_commit

#: Options that can be changed by writing a table anew.
TRANSCODED = ("profile", "modulation", "band_plan", "robustness", "protection", "compression_level")
#: Rows in a commit of :meth:`Table.reembed`.
_REEMBEDDED = 2000


class Table(TableWriter):
    """An open table.

    Use :func:`audiomem_sql.open` or :meth:`create`. Commits go to the log, and from there into segments: by
    :meth:`checkpoint`, which comes by itself, by :meth:`merge` and by :meth:`vacuum`.
    """

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
        check_definitions(schema)
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
        if os.path.lexists(files.log):
            raise StorageError(
                "the log of another table is in the way", file=files.log, remedy="Move it away."
            )
        chosen = TableOptions.parse(options or {}, folder)
        if LIMITS[chosen.profile].sparing:
            spare()
        if len(schema.vectors) < len(schema.semantic_columns):
            schema = schema.with_vectors(dimensions_of(chosen.model, chosen.model_backend))
        writer = SegmentWriter(
            files.base,
            schema,
            chosen.write_options(),
            table_id=os.urandom(16),
            table_options=chosen.to_catalog(),
        )
        try:
            writer.finish([Version(1, now(), 0, 0)])
            writer.publish(replace=False)
        except BaseException:
            writer.abandon()
            raise
        return cls(path, cache=cache)

    @classmethod
    def salvaged(
        cls, broken: TableReader, path: str | os.PathLike[str], options: Mapping[str, Any] | None = None
    ) -> Table:
        """A new table at ``path``, which must be free, of the rows that can be read of ``broken``, with their rowids.

        With ``on_damage="null"`` also of the rows that can be read in part; columns that lost values may then be NULL, and are
        no longer a primary key. Vectors are kept as they are. options: instead of those that it had, but for the model.
        DamagedFileError if there are rows, and not one of them
        can be read; then, as after any other error, there is no new table.
        """
        schema = broken.snapshot.schema
        if broken.on_damage == "null":
            columns = range(len(schema))
            lost = {
                c for batch in scan(broken.snapshot, columns) for c in columns if batch.arrays[c].null_count
            }
            schema = schema.nullable(lost)
        kept = broken.options.to_catalog() | dict(options or {})
        digest = str(kept.pop("model_digest", ""))
        made = cls.create(path, schema, kept)
        try:
            made._acquire()
            try:
                columns = range(len(broken.snapshot.schema))
                there = sum(len(batch) for batch in scan(broken.snapshot, columns))
                if not there and len(broken):
                    raise DamagedFileError(
                        f"not one of {len(broken):,} rows can be read as a whole",
                        file=broken.files.base,
                        remedy="`audiomem salvage --partial` saves what is left of them, with NULL for the rest."
                        if broken.on_damage != "null"
                        else "Restore the file from a copy.",
                    )
                rows = scan(broken.snapshot, columns)
                ordered = rows if broken.snapshot.ordered else in_rowid_order(rows)
                content = Commit(ordered, there, message=f"salvaged from {broken.path}")
                chosen = replace(made.options, model_digest=digest)
                write_commit(made.files, made._lock, made.snapshot, chosen, content).accept()
                made._reload()
            finally:
                made._end()
        except BaseException:
            made.close()
            with contextlib.suppress(OSError):
                os.unlink(made.files.base)  # made above, and empty
            raise
        return made

    def checkout(self, version: int | str | None = None, as_of: str | datetime | None = None) -> TableReader:
        """The table as it was, to read: by number, by tag, or by time."""
        return TableReader(
            self.path,
            version=version,
            as_of=as_of,
            cache=self._cache,
            salvage=self.salvage,
            on_damage=self.on_damage,
        )

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def checkpoint(self, *, timeout: float | None = None) -> bool:
        """Turn the log into a delta; False if there was nothing in it. BusyError after ``timeout`` seconds."""
        self._no_transaction()
        self._acquire(timeout)
        try:
            return self._checkpoint()
        finally:
            self._end()

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
        self,
        *,
        retain: Retention | None = None,
        level: int | None = None,
        protection: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Make one file of base, deltas and log, compressed harder; the oldest version that is kept.

        retain: which versions to keep, by default all; tagged ones are kept in any case. level: zstd, 1 to 22, by default that of the profile. protection:
        the level that the table has from now on, by default the one that it had. progress: called with rows done and rows in
        all. Readers go on with the files that they have open.
        """
        if protection is not None:
            protection = level_named(protection).name
        self._no_transaction()
        options = self.options if protection is None else replace(self.options, protection=protection)
        return self._rewrite(options, retain or Retention(), level, progress=progress)

    def _rewrite(
        self,
        options: TableOptions,
        retain: Retention,
        level: int | None,
        *,
        heard: bool = True,
        progress: Progress | None = None,
    ) -> int:
        self._acquire()
        try:
            self._checkpoint()
            oldest = retain.oldest(self.snapshot, now())
            vacuum(
                self.files,
                self._lock,
                self.snapshot,
                options,
                oldest,
                level=level,
                heard=heard,
                progress=progress,
            )
            self.options = options
            self._reload()
        finally:
            self._end()
        return oldest

    def transcode(self, changes: Mapping[str, Any], *, progress: Progress | None = None) -> None:
        """Make one file with other options: profile, modulation, band_plan, robustness, protection, compression_level.

        All versions are kept. OptionError, before anything is written, for options that do not exist or do not go together.
        """
        for name in changes:
            if name not in TRANSCODED:
                raise OptionError(
                    f"{name} is not how a table sounds", remedy=f"Options are: {', '.join(TRANSCODED)}."
                )
        options = self.options.changed(changes, os.path.dirname(self.path) or ".")
        self._no_transaction()
        self._rewrite(options, Retention(), options.compression_level, heard=False, progress=progress)

    def repair(self, *, progress: Progress | None = None) -> list[Repair]:
        """Make every damaged file what it was, byte for byte; what was done, a file each.

        Files that are whole stay as they are. UnsupportedError without protection. DamagedFileError when something cannot be
        recovered: then that file stays as it is. Readers go on with the files that they have open.
        """
        self._no_transaction()
        self._acquire(damaged=True)
        done: list[Repair] = []
        try:
            for segment in self.snapshot.segments:
                temporary, repair = repaired(segment, segment.path, progress)
                done.append(repair)
                if repair.changed:
                    self._put_in_place(temporary, segment.path)
                else:
                    with contextlib.suppress(OSError):  # what stays is removed by the next writer's sweep
                        os.unlink(temporary)
            if any(repair.changed for repair in done):
                self._reload()
        finally:
            self._end()
        return done

    def set_cover(self, cover: Picture | None) -> None:
        """Make ``cover`` the front cover of the table's file, in place of one that is there; None: it has none.

        Rows, versions, deltas and the log stay as they are. Readers go on with the file that they have open.
        """
        self._no_transaction()
        self._acquire()
        try:
            self._put_in_place(covered(self.files.base, cover), self.files.base)
            self._reload()
        finally:
            self._end()

    def _put_in_place(self, temporary: str, path: str) -> None:
        """Let a file that says the same take the place of one of ours."""
        try:
            if path == self.files.base:
                self._lock.follow(temporary)
            replace_durably(temporary, path)
        finally:
            with contextlib.suppress(OSError):  # what stays is removed by the next writer's sweep
                os.unlink(temporary)

    def restore(self, version: int | str) -> int:
        """Make the rows of an old version the newest, in a commit of its own; the new version."""
        self._no_transaction()
        transaction = self.begin()
        try:
            old = self.at(version, schema=self.snapshot.schema)
            changed = changes(self.snapshot, old.version, self.version)
            rowids = sorted({change.rowid for change in changed if change.version > old.version})
            for rowid in rowids:
                transaction.delete(rowid)
            for rowid in rowids:
                row = old.stored_row(rowid)
                if row is not None:
                    transaction.insert(rowid, row)
            return self.commit(message=f"restore version {old.version}")
        except BaseException:
            self.rollback()
            raise

    def alter(self, change: SchemaChange | str, *, message: str | None = None) -> int:
        """Change the columns, in a commit of its own; the new version. Older versions keep the columns that they had.

        change: ``"add column year INTEGER DEFAULT 2000"``, ``"drop column year"``, ``"rename column year TO born"``, or
        one of the objects of :mod:`audiomem_sql.migrations` that they describe. SchemaError for what cannot be done.
        No row is written: those that are there have the DEFAULT in a new column.
        """
        self._no_transaction()
        self._acquire()
        try:
            change = parse_change(change) if isinstance(change, str) else change
            schema = altered_schema(self.snapshot, change, self.options)
            self._checkpoint()
            content = Commit((), 0, message=message or str(change), schema=schema, change=str(change))
            write_commit(self.files, self._lock, self.snapshot, self.options, content).accept()
            self._reload()
        except SchemaError as error:
            error.at(file=self.path)
            raise
        finally:
            self._end()
        return self.version

    def reembed(
        self,
        model: str | None = None,
        *,
        model_backend: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Make all vectors anew, with ``model`` and its ``model_backend`` from now on; the new version.

        Either is, by default, the one that the table has.

        The first commit gives the table other columns of vectors, the following ones fill them, some thousand rows each: one
        that is stopped goes on where it stopped, when it is called again with the same model. Older versions keep theirs.
        progress: called with rows done and rows in all.
        """
        self._no_transaction()
        if not self.schema.semantic_columns:
            raise SchemaError(
                "no column is searched by meaning", file=self.path, remedy="Declare one SEMANTIC."
            )
        model = model or self.options.model
        backend = model_backend or ("torch" if model == HASHING else self.options.model_backend)
        check_backend(model, backend)
        embedder = embedder_of(model, backend)
        width, digest = embedder.dimensions, embedder.digest.hex()
        chosen = replace(self.options, model=model, model_backend=backend, model_digest=digest)
        self._acquire()
        try:
            before = self.snapshot.schema
            schema = before.visible.with_vectors(width, self.snapshot.next_column)
            self._checkpoint()
            what = f"reembed with {chosen.model} ({chosen.model_backend})"
            resumed = (
                self.snapshot.migrations
                and self.snapshot.migrations[-1].text == what
                and self.options.model_digest == digest
            )
            if not resumed or len(before) == len(before.visible):
                content = Commit((), 0, message=what, schema=schema, change=what)
                write_commit(self.files, self._lock, self.snapshot, chosen, content).accept()
                self._reload()
                self.options = chosen
        finally:
            self._end()
        rowids = np.concatenate(
            [
                np.empty(0, np.int64),
                *(batch.rowids for batch in scan(self.snapshot, (), missing_vectors(self.snapshot))),
            ]
        )
        for start in range(0, len(rowids), _REEMBEDDED):
            transaction = self.begin()
            for rowid in rowids[start : start + _REEMBEDDED].tolist():
                row = self.snapshot.stored_row(rowid)
                if row is not None:
                    transaction.update(rowid, rowid, row[: len(self.schema)])
            self.commit(message=what)
            if progress is not None:
                progress(min(start + _REEMBEDDED, len(rowids)), len(rowids))
        return self.version

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """Every change of the columns so far, oldest first."""
        return self.snapshot.migrations

    def tag(self, name: str, version: int | None = None) -> None:
        """Name a version, by default the newest; vacuum keeps it. An empty commit holds the name."""
        self._no_transaction()
        if not name or name.isdecimal():
            raise OptionError(f"{name!r} is no name for a version", file=self.path, remedy="Use letters.")
        self._acquire()
        try:
            number = self.snapshot.newest if version is None else self.snapshot.at(version).version
            record = LogRecord(self.snapshot.newest + 1, now(), message=f"tag {name}", tags={name: number})
            self.snapshot = self.snapshot.after(self._append_to_log(record).after)
        finally:
            self._end()
