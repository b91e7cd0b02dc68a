"""A shard that is opened when something of it is read, and shown as a version of the table has it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import (
    AudioMemError,
    DamagedFileError,
    NotAudioMemoryError,
    QueryError,
    SchemaError,
    StorageError,
)
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.urls import file_name
from audiomem_sql.shards.manifest import ShardEntry
from audiomem_sql.shards.version_bytes import Pin
from audiomem_sql.versions import Snapshot, TableFiles


def restoring(*names: str) -> str:
    """What to do about files of a folder that nothing else brings back; () for all of them."""
    whole = "the folder from a copy, all of its files together."
    if not names:
        return f"Restore {whole}"
    return f"Restore {', '.join(names)} from a copy that was made after its last change, or {whole}"


class ShardFile:
    """The file of shard ``number``. Threads may share it."""

    def __init__(
        self, files: TableFiles, number: int, entry: ShardEntry, schemas: Sequence[Schema], cache: BlockCache
    ) -> None:
        self.number = number
        self.table_id = entry.table_id
        self.files = files
        self.on_damage = "fail"
        #: Of the first shard of a table: the processes that search it beside this one, and end with it.
        self.workers: Any = None
        self._schemas = list(schemas)
        self._cache = cache
        self._guard = threading.RLock()
        self._loaded: Snapshot | None = None

    @property
    def is_open(self) -> bool:
        """Whether something of it was read."""
        return self._loaded is not None

    @property
    def shown_whole(self) -> Snapshot | None:
        """What was read of it, unless damage is passed over: whoever writes must see that."""
        return self._loaded if self.on_damage == "fail" else None

    def know(self, schemas: Sequence[Schema]) -> None:
        """Take the columns that the table has in its versions: a shard that has others is not its."""
        with self._guard:
            for schema in schemas:
                if not any(schema.is_same(known) for known in self._schemas):
                    self._schemas.append(schema)

    def at(self, pin: Pin, schema: Schema) -> Snapshot:
        """Its rows with the commits up to ``pin``, with the columns of ``schema``.

        StorageError if the file is missing, DamagedFileError if it is that of another table or of another
        state, SchemaError if it has other columns.
        """
        with self._guard:
            loaded = self._loaded
            if loaded is None or _fault(loaded, pin) is not None:
                loaded = self._load(pin, loaded)
            same = loaded.schema_at(pin.version).is_same(schema)
            return loaded.at(pin.version, None if same else schema)

    def adopt(self, snapshot: Snapshot) -> None:
        """Take a snapshot that was loaded elsewhere, of its newest commits."""
        with self._guard:
            self._loaded = snapshot

    def _load(self, pin: Pin, known: Snapshot | None) -> Snapshot:
        path = self.files.base
        try:
            snapshot = self._read(known)
        except (NotAudioMemoryError, DamagedFileError) as error:
            kind = DamagedFileError if isinstance(error, NotAudioMemoryError) else type(error)
            raise kind(
                f"shard {self.number} cannot be read: {error.what}",
                file=error.file or path,
                place=error.place,
                remedy=self._restoring,
            ) from error
        except AudioMemError as error:
            error.at(file=path)
            raise
        try:
            self.check(snapshot, pin)
        except BaseException:
            if known is None:
                snapshot.close()
            raise
        snapshot.mark_damage(self.on_damage)
        self._loaded = snapshot
        return snapshot

    def _read(self, known: Snapshot | None) -> Snapshot:
        """The newest snapshot in the file. StorageError if there is none."""
        if not os.path.lexists(self.files.base):
            raise self.missing()
        return self.files.load(self._cache, known)

    def missing(self) -> StorageError:
        """The error of a shard that is not there."""
        return StorageError(f"shard {self.number} is missing", file=self.files.base, remedy=self._restoring)

    @property
    def _restoring(self) -> str:
        return restoring(file_name(self.files.base))

    def check(self, snapshot: Snapshot, pin: Pin) -> None:
        """Errors as of :meth:`at` unless ``snapshot`` is of this shard, and can show ``pin``."""
        path = self.files.base
        if snapshot.segments[0].catalog.table_id != self.table_id:
            raise DamagedFileError(
                f"another table is in the place of shard {self.number}", file=path, remedy=self._restoring
            )
        fault = _fault(snapshot, pin)
        if fault is not None:
            if pin.version < snapshot.versions[0].number:
                raise QueryError(
                    f"this version is not kept any more by shard {self.number}: the table was vacuumed",
                    file=path,
                    remedy="Open the table again, or refresh it.",
                )
            raise DamagedFileError(f"shard {self.number} {fault}", file=path, remedy=self._restoring)
        if not any(snapshot.schema_at(pin.version).is_same(schema) for schema in self._schemas):
            raise SchemaError(
                f"shard {self.number} has other columns than the table: "
                f"{snapshot.schema_at(pin.version).visible.sql()}",
                file=path,
                remedy=self._restoring,
            )

    def close(self) -> None:
        """Close what is open."""
        workers, self.workers = self.workers, None
        if workers is not None:
            workers.close()
        with self._guard:
            if self._loaded is not None:
                self._loaded.close()
                self._loaded = None


def _fault(snapshot: Snapshot, pin: Pin) -> str | None:
    """Why ``snapshot`` cannot show what a version of the table names; None if it can."""
    if snapshot.newest < pin.version:
        return f"is older than the manifest: it ends with its version {snapshot.newest}, not {pin.version}"
    if snapshot.newest == pin.version:
        time = snapshot.newest_time
    else:
        versions = snapshot.versions
        place = pin.version - versions[0].number
        if place < 0:
            return f"does not keep its version {pin.version} any more"
        time = versions[place].time
    if time != pin.time:
        return f"is of another state than the manifest: its version {pin.version} is another commit"
    return None
