"""A table whose one file is an object in a store, to read: :class:`TableFiles` without a folder around it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.memory import out_of_memory
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.remote import RemoteFile, RemoteOptions
from audiomem_sql.storage.segment import TableFile, open_table_file
from audiomem_sql.versions.chain import check_chain
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.head_file import check_links
from audiomem_sql.versions.log_of_file import log_of_file
from audiomem_sql.versions.snapshot import Snapshot


@dataclass(slots=True)
class _Looked:
    """When the store was last asked for the state of the object, by ``time.monotonic``."""

    at: float = 0.0


@dataclass(frozen=True, slots=True)
class RemoteTableFiles(TableFiles):
    """The object at ``url``; ``base`` is that for messages, without what lets somebody in.

    The file is all there is: a log or deltas beside it were not put there with it, and where the file says
    that there are some, opening it is the error of a copy without them.
    """

    url: str = ""
    _looked: _Looked = field(default_factory=_Looked, compare=False)

    @classmethod
    def of_url(cls, url: str) -> RemoteTableFiles:
        """The object at ``url``, which need not be there."""
        return cls(shown(url), url)

    @property
    def address(self) -> str:
        """What opens the table again: the whole URL."""
        return self.url

    @property
    def is_remote(self) -> bool:
        """Yes."""
        return True

    def size(self) -> int:
        """Bytes of the object. StorageError if it cannot be asked for."""
        return RemoteFile(self.url).size

    def exists(self) -> bool:
        """Yes, as far as can be told without asking; opening it says more."""
        return True

    def deltas(self) -> list[tuple[int, str]]:
        """None: they are in the object."""
        return []

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The snapshot in the object as it is now; ``known`` if it is still the same."""
        source = RemoteFile(self.url)
        self._looked.at = time.monotonic()
        before = None if known is None else known.table_file
        if known is not None and before is not None and FileState.of_source(source) == before.state:
            return known
        try:
            file = open_table_file(source, cache)
        except MemoryError:
            raise out_of_memory(self.base) from None
        try:
            segments = list(file.segments)
            check_links(segments)
            log = log_of_file(file, segments, None, self.log)
            check_chain(segments, log)
            return Snapshot(segments, log, table_file=file)
        except BaseException:
            file.close()
            raise

    def table_file(self, cache: BlockCache, known: Snapshot | None = None) -> TableFile:
        """The object opened as a table's file."""
        loaded = self.load(cache, known).table_file
        assert loaded is not None
        return loaded

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether the object was replaced. The store is asked once in ``AUDIOMEM_REMOTE_REFRESH`` seconds."""
        now = time.monotonic()
        if now - self._looked.at < RemoteOptions.of_environment().refresh:
            return False
        self._looked.at = now
        source = snapshot.segments[0].file.source.file
        return not isinstance(source, RemoteFile) or not source.is_current()

    def check_writable(self) -> None:
        """UnsupportedError: it is only read."""
        raise only_read(self.base)


def only_read(url: str) -> UnsupportedError:
    """The error of a write to a URL."""
    return UnsupportedError(
        "tables in stores and on web servers are only read",
        file=shown(url),
        remedy="Copy it with `audiomem backup`, write to the copy, and put that in the place of the object.",
    )


def table_files(path: str | os.PathLike[str]) -> TableFiles:
    """The files of the table that a path or a URL leads to; it need not be there.

    StorageError as of ``TableFiles.at``.
    """
    name = os.fspath(path)
    return RemoteTableFiles.of_url(name) if is_url(name) else TableFiles.at(name)
