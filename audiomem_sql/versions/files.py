"""The files of one table: base ``X.flac``, log ``X.flac-wal``, and delta files ``X.flac.d/<version>.flac``.

One process writes at a time, see :mod:`audiomem_sql.machine.writer_lock`; readers lock nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiomem_sql.columns.stored_values import row_check
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import abandoned_files, file_identity, fsync_folder, storage_error
from audiomem_sql.machine.file_access import create_folder
from audiomem_sql.machine.file_names import check_one_name, resolved
from audiomem_sql.machine.memory import out_of_memory
from audiomem_sql.machine.urls import is_playlist
from audiomem_sql.storage.log import check_rows, commits_behind, has_more, read_log
from audiomem_sql.storage.pages import HeadRecord
from audiomem_sql.storage.segment import (
    FileState,
    ReadableSegment,
    Segment,
    TableFile,
)
from audiomem_sql.versions.base_file import only_read, open_base
from audiomem_sql.versions.chain import check_chain
from audiomem_sql.versions.head_file import check_links, head_of, read_head, with_head, write_head
from audiomem_sql.versions.log_of_file import log_of_file
from audiomem_sql.versions.one_place import OnePlace
from audiomem_sql.versions.replaced import is_replaced
from audiomem_sql.versions.snapshot import Snapshot

if TYPE_CHECKING:
    from audiomem_sql.versions.stored_table import StoredTable

_DELTA = re.compile(r"(\d{8,})\.flac")
_TEMPORARY = re.compile(r"\.(\d{8,}\.flac|head)\.[a-z0-9_]{8}\.tmp")
_LOAD_INTERVAL = 0.01
_LOAD_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class TableFiles(OnePlace):
    """Paths of a table; ``base`` is absolute, and no link leads to it.

    partial: the base may end before all of it has arrived.
    """

    base: str
    partial: bool = False

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> TableFiles:
        """Those of the table that ``path`` leads to, through any symbolic links; it need not be there.

        StorageError for links that lead to nowhere but themselves, UnsupportedError for a playlist: whoever
        reads asks ``table_files``.
        """
        if is_playlist(path):
            raise only_read(path)
        return cls(resolved(path))

    @property
    def address(self) -> str:
        """What opens the table again, also in another process."""
        return self.base

    @property
    def is_remote(self) -> bool:
        """Whether it is in a store, to be read only."""
        return False

    @property
    def stored(self) -> StoredTable | None:
        """The objects of a table in a store that has a manifest; None for files."""
        return None

    @property
    def folder(self) -> str:
        """The folder of the deltas."""
        return self.base + ".d"

    @property
    def head(self) -> str:
        """The path of the head file among the deltas."""
        return os.path.join(self.folder, "head")

    def write_head(self, record: HeadRecord, copies: int) -> None:
        """Say which delta is the newest, and which log goes with it, durably. copies: of the record."""
        self.make_folder()
        write_head(self.head, record, self.base, copies)

    def prepare_delta(self, snapshot: Snapshot, copies: int) -> None:
        """See to it that the head file is of ``snapshot``, before a delta is put behind that.

        So a delta without a head file is told, and a head file that is of an older state than the segment
        before the newest one.
        """
        file = snapshot.table_file
        assert file is not None
        file.check_unchanged()
        if file.beside is None:
            self.write_head(head_of(snapshot.segments[-1]), copies)

    def delta(self, version: int) -> str:
        """The path of the delta whose last version is ``version``."""
        return os.path.join(self.folder, f"{version:08d}.flac")

    def size(self) -> int:
        """Bytes of all files."""
        total = 0
        for path in (self.base, self.log, *(path for _, path in self.deltas())):
            with contextlib.suppress(OSError):
                total += os.path.getsize(path)
        return total

    def exists(self) -> bool:
        """Whether the base file is there."""
        return os.path.lexists(self.base)

    def deltas(self) -> list[tuple[int, str]]:
        """(last version, path) of every delta, oldest first."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(error, self.folder) from error
        matches = (match for match in map(_DELTA.fullmatch, names) if match)
        return sorted((int(match.group(1)), os.path.join(self.folder, match.group())) for match in matches)

    @property
    def log(self) -> str:
        """The path of the write-ahead log."""
        return self.base + "-wal"

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The newest snapshot. What ``known`` has open and is still the same is not opened again.

        Nothing is locked: when files are replaced meanwhile, by a merge or a vacuum, it begins again.
        """
        for attempt in range(_LOAD_ATTEMPTS):
            identity = self._identity()
            is_last = attempt == _LOAD_ATTEMPTS - 1
            try:
                snapshot = self._load(cache, known)
            except (DamagedFileError, StorageError):
                # The log is read before the folder is listed, so a gap between the two is a sign of change,
                # not of loss. Without either nothing can change but the file itself.
                alone = not os.path.lexists(self.log) and not os.path.lexists(self.folder)
                if is_last or ((alone or attempt >= 2) and self._identity() == identity):
                    raise
            except MemoryError:
                raise out_of_memory(self.base) from None
            else:
                # A new base takes its place before what it holds is removed: while it is the same, nothing
                # was missing.
                assert snapshot.table_file is not None
                if is_last or FileState.of(self.base) == snapshot.table_file.state:
                    return snapshot
            time.sleep(_LOAD_INTERVAL)
        raise AssertionError("the last attempt returns or raises")

    def _identity(self) -> tuple[FileState | None, tuple[int, int] | None]:
        """What changes when the table's files are replaced."""
        return FileState.of(self.base), file_identity(self.head)

    def _load(self, cache: BlockCache, known: Snapshot | None) -> Snapshot:
        if os.path.islink(self.base):  # it was none when the table was opened: the log is beside its target
            raise StorageError(
                "a symbolic link took the place of the file", file=self.base, remedy="Open the table anew."
            )
        opened: list[ReadableSegment] = []
        by_path = {} if known is None else {segment.path: segment for segment in known.segments}

        def delta_at(path: str) -> ReadableSegment:
            known_segment = by_path.get(path)
            if known_segment is not None and known_segment.identity == file_identity(path):
                return known_segment
            opened_segment = Segment.open(path, cache)
            opened.append(opened_segment)
            return opened_segment

        try:
            file = self.table_file(cache, known)
            if known is None or file is not known.table_file:
                opened.extend(each for each in file.segments if known is None or each not in known.segments)
            catalog = file.newest.catalog
            known_log = None if known is None else known.found_log
            found_log = read_log(self.log, catalog.table_id, known_log)
            head = read_head(self.head)
            segments: list[ReadableSegment] = []
            next_version = None  # version of the delta behind: one that ends after it was replaced by a merge
            for number, path in reversed(
                [entry for entry in self.deltas() if entry[0] > catalog.last_version]
            ):
                if next_version is not None and number >= next_version:
                    continue
                delta = delta_at(path)
                if delta.catalog.last_version != number:
                    raise DamagedFileError(
                        f"the delta with version {number} is missing: what has its name ends with version "
                        f"{delta.catalog.last_version}",
                        file=self.base,
                        remedy="Restore the missing file from a copy.",
                    )
                segments.insert(0, delta)
                next_version = delta.catalog.first_version
            segments = [*file.segments, *segments]
            check_links(segments)
            file = with_head(file, segments, head, self.head)
            log = log_of_file(file, segments, found_log, self.log)
            check_chain(segments, log)
            if log is not None:
                newest = segments[-1].catalog
                schema = newest.schemas[-1][1]
                check_rows(self.log, log, newest.last_version, len(schema), row_check(schema))
            return Snapshot(segments, log, table_file=file, found_log=found_log)
        except BaseException:
            for opened_segment in opened:
                opened_segment.close()
            raise

    def table_file(self, cache: BlockCache, known: Snapshot | None = None) -> TableFile:
        """The base; the one that is open if it did not change."""
        if known is None or known.table_file is None:
            return open_base(self.base, cache, partial=self.partial)
        if FileState.of(self.base) == known.table_file.state:
            return known.table_file
        return open_base(self.base, cache, known.table_file, partial=self.partial)

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether something was committed since ``snapshot`` was loaded."""
        file = snapshot.table_file
        if file is None or FileState.of(self.base) != file.state:
            return True
        found_log = snapshot.found_log
        if os.path.lexists(self.log) if found_log is None else has_more(self.log, found_log):
            return True
        if file.beside is not None and read_head(self.head) != file.beside:
            return True
        last = snapshot.segments[-1]
        if last.path != self.base and last.identity != file_identity(last.path):
            return True
        # A delta is named by its last version, so the next one's name cannot be told from the newest version.
        return any(number > last.catalog.last_version for number, _ in self.deltas())

    def remove_log(self) -> None:
        """Delete the log: its commits are in a segment."""
        try:
            os.unlink(self.log)
            fsync_folder(os.path.dirname(self.log))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise storage_error(error, self.log) from error

    def sweep(self) -> None:
        """Delete what killed writers left behind. The writer's lock must be held."""
        leftovers = [*abandoned_files(self.base), *abandoned_files(self.log)]
        try:
            names = os.listdir(self.folder)
        except OSError:
            names = []
        leftovers.extend(os.path.join(self.folder, name) for name in names if _TEMPORARY.fullmatch(name))
        for path in leftovers:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def remove_leftovers(self, snapshot: Snapshot) -> None:
        """Delete deltas that a merge or a vacuum replaced, when a crash came before it could.

        The writer's lock must be held, and what replaced them must be durable (:meth:`settle`). A file is
        deleted only if its own catalog says that it is of this table, and that all its commits are in
        ``snapshot``. Loading never opens the name of such a file, unless it saw the folder before the merge;
        then it misses it and begins again. Who has it open keeps it.
        """
        chain = {segment.path for segment in snapshot.segments}
        removed = False
        for _, path in self.deltas():
            if path not in chain and is_replaced(path, snapshot):
                with contextlib.suppress(OSError):
                    os.unlink(path)
                    removed = True
        if len(chain) == 1 and (removed or os.path.lexists(self.head)):
            file = snapshot.table_file
            if file is not None and (file.beside is None or not file.beside.is_open):
                self.remove_folder()

    def check_writable(self) -> None:
        """StorageError unless commits can be written."""
        for path in (os.path.dirname(self.base), self.base):
            if os.access(path, os.W_OK):
                continue
            if not self.exists():
                raise StorageError(
                    "the file was moved or deleted",
                    file=self.base,
                    remedy="Open it where it is now, or restore it.",
                )
            raise StorageError(
                "cannot be written", file=path, remedy="Check the permissions of the file and its folder."
            )
        if _has_name(self.folder) and os.path.islink(self.folder):
            raise StorageError(
                "is a symbolic link: deltas would be written to another folder",
                file=self.folder,
                remedy="Put the folder itself in its place.",
            )

    def check_one_name(self) -> None:
        """StorageError if the base has a hard link of somebody else. The writer's lock must be held."""
        check_one_name(self.base)

    def check_undamaged(self, snapshot: Snapshot) -> None:
        """DamagedFileError if writing would make a damage worse, or hide it.

        The writer's lock must be held.
        """
        log = snapshot.log
        if log is not None and log.torn and commits_behind(self.log, log):
            raise DamagedFileError(
                f"version {log.version + 1} is damaged, and whole commits stand behind it",
                file=self.log,
                place=f"byte {log.end}",
                remedy="Restore the log from a copy before writing, "
                "or move it away to go on without its commits.",
            )
        file = snapshot.table_file
        if file is not None and file.mixture:
            raise DamagedFileError(
                f"two states are mixed in the file: {file.mixture}",
                file=self.base,
                remedy="Restore it from a copy, or run audiomem repair or salvage before writing to it.",
            )
        for segment in snapshot.segments:
            if segment.file.truncated:
                raise DamagedFileError(
                    "pages are missing at the end",
                    file=segment.path,
                    remedy="Restore the file before writing to it.",
                )

    def remove_deltas(self, segments: Sequence[ReadableSegment]) -> None:
        """Delete the delta files among ``segments``: newer ones hold what was in them."""
        paths = [segment.path for segment in segments if segment.path.startswith(self.folder + os.sep)]
        for path in paths:
            with contextlib.suppress(OSError):  # what stays is passed over, and removed by the next writer
                os.unlink(path)
        if paths:
            with contextlib.suppress(OSError):
                fsync_folder(self.folder)

    def remove_folder(self) -> None:
        """Delete the folder of the deltas, unless there are any: the base has everything."""
        if not self.deltas():
            with contextlib.suppress(OSError):
                os.unlink(self.head)
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)

    def make_folder(self, like: str | None = None) -> None:
        """Create the folder of the deltas, durably.

        like: the file whose mode and owner it gets, by default the base.
        """
        try:
            if not self.deltas():  # whoever made it may have been killed before it was durable
                create_folder(self.folder, like or self.base)
                fsync_folder(os.path.dirname(self.folder))
        except OSError as error:
            raise storage_error(error, self.folder) from error

    def settle(self) -> None:
        """Make durable what another process gave its name: it may have been killed before it could."""
        try:
            fsync_folder(os.path.dirname(self.base))
            if os.path.isdir(self.folder):
                fsync_folder(self.folder)
        except OSError as error:
            raise storage_error(error, self.base) from error


def _has_name(path: str) -> bool:
    """Whether anything is at ``path``, a link that leads nowhere included.

    For what is seldom there: ``lexists`` raises an error for itself then, which costs every commit 1 µs.
    """
    if os.access in os.supports_follow_symlinks:
        return os.access(path, os.F_OK, follow_symlinks=False)
    return os.path.lexists(path)
