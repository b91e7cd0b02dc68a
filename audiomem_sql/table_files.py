"""The files of one table: the base ``X.flac``, and its deltas ``X.flac.d/<version>.flac``.

One process writes at a time. It holds an exclusive lock (flock) on the base file, and looks again whether the file at
that path is still the one that it locked, because a commit may put another in its place.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
from dataclasses import dataclass

from audiomem_sql.block_cache import BlockCache
from audiomem_sql.errors import BusyError, StorageError
from audiomem_sql.files import abandoned_files, file_identity, fsync_folder, stat_identity, storage_error
from audiomem_sql.segment import Segment
from audiomem_sql.snapshot import Snapshot, check_chain

_DELTA = re.compile(r"(\d{8,})\.flac")
_TEMPORARY = re.compile(r"\.\d{8,}\.flac\.[a-z0-9_]{8}\.tmp")
_LOCK_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class TableFiles:
    """Paths of a table; ``base`` is absolute."""

    base: str

    @property
    def folder(self) -> str:
        """The folder of the deltas."""
        return self.base + ".d"

    def delta(self, version: int) -> str:
        """The path of the delta whose last version is ``version``."""
        return os.path.join(self.folder, f"{version:08d}.flac")

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

    def load(self, cache: BlockCache, known: tuple[Segment, ...] = ()) -> Snapshot:
        """The newest snapshot. Segments that are in ``known`` are not opened again if the base is still the same."""
        opened: list[Segment] = []
        by_path: dict[str, Segment] = {}
        if known and known[0].identity == file_identity(self.base):
            # over the same base a delta's name says it all, but for the last: its commit may have been taken back
            by_path = {segment.path: segment for segment in known[:-1]}
            if known[-1].identity == file_identity(known[-1].path):
                by_path[known[-1].path] = known[-1]

        def segment(path: str) -> Segment:
            if path in by_path:
                return by_path[path]
            new = Segment.open(path, cache)
            opened.append(new)
            return new

        try:
            base = segment(self.base)
            segments = [
                base,
                *(segment(path) for version, path in self.deltas() if version > base.catalog.last_version),
            ]
            check_chain(segments, self.base)
            return Snapshot(segments)
        except BaseException:
            for new in opened:
                new.close()
            raise

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether something was committed since ``snapshot`` was loaded."""
        first, last = snapshot.segments[0], snapshot.segments[-1]
        return (
            first.identity != file_identity(first.path)
            or (last is not first and last.identity != file_identity(last.path))
            or os.path.exists(self.delta(snapshot.version + 1))
        )

    def lock(self, timeout: float) -> int:
        """Become the writer: a file handle to give to :meth:`unlock`. BusyError after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                handle = os.open(self.base, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise storage_error(error, self.base) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat_identity(os.fstat(handle)) == file_identity(self.base):
                    return handle
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                    os.close(handle)
                    raise storage_error(error, self.base) from error
            os.close(handle)
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"another process is writing, for {timeout:g} s by now",
                    file=self.base,
                    remedy="Try again later, or raise the busy timeout.",
                )
            time.sleep(_LOCK_INTERVAL)

    def lock_file(self, path: str) -> int:
        """Lock a file that is about to become the base."""
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return handle

    def sweep(self) -> None:
        """Delete what killed writers left behind. The writer's lock must be held."""
        left = abandoned_files(self.base)
        try:
            names = os.listdir(self.folder)
        except OSError:
            names = []
        left.extend(os.path.join(self.folder, name) for name in names if _TEMPORARY.fullmatch(name))
        for path in left:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def unlock(self, handle: int) -> None:
        """Let others write."""
        os.close(handle)

    def check_writable(self) -> None:
        """StorageError unless commits can be written."""
        for path in (os.path.dirname(self.base), self.base):
            if not os.access(path, os.W_OK):
                raise StorageError(
                    "cannot be written", file=path, remedy="Check the permissions of the file and its folder."
                )

    def make_folder(self) -> None:
        """Create the folder of the deltas, durably."""
        try:
            if not os.path.isdir(self.folder):
                os.makedirs(self.folder, exist_ok=True)
                fsync_folder(os.path.dirname(self.folder))
        except OSError as error:
            raise storage_error(error, self.folder) from error
