"""A table whose one file is an object in a store, to read: :class:`TableFiles` without a folder around it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from audiomem_sql.bytes import ByteSource
from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.memory import out_of_memory
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.storage.segment import TableFile, open_table_file
from audiomem_sql.versions.chain import check_chain
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.head_file import check_links
from audiomem_sql.versions.log_of_file import log_of_file
from audiomem_sql.versions.snapshot import Snapshot

#: What ``remote/tiers/options.py:cached`` takes.
Tiers: TypeAlias = str | Sequence[str]
#: The environment variable that names the tiers where nobody else does.
CACHE_VARIABLE = "AUDIOMEM_CACHE"


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
    #: Tiers of a cache, the fastest first; None for those that ``AUDIOMEM_CACHE`` names.
    tiers: Tiers | None = None
    _looked: _Looked = field(default_factory=_Looked, compare=False)

    @classmethod
    def of_url(cls, url: str, tiers: Tiers | None = None) -> RemoteTableFiles:
        """The object at ``url``, which need not be there."""
        return cls(shown(url), url, tiers)

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
        return self._source().size

    def exists(self) -> bool:
        """Yes, as far as can be told without asking; opening it says more."""
        return True

    def deltas(self) -> list[tuple[int, str]]:
        """None: they are in the object."""
        return []

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The snapshot in the object as it is now; ``known`` if it is still the same."""
        source = self._source()
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
        from audiomem_sql.remote import RemoteOptions

        now = time.monotonic()
        if now - self._looked.at < RemoteOptions.of_environment().refresh:
            return False
        self._looked.at = now
        return not snapshot.segments[0].file.source.file.is_current()

    def _source(self) -> ByteSource:
        """The object as it is now. What reads objects is loaded when the first one is."""
        from audiomem_sql.remote import RemoteFile
        from audiomem_sql.remote.tiers import cached

        tiers = os.environ.get(CACHE_VARIABLE, "") if self.tiers is None else self.tiers
        source = RemoteFile(self.url)
        if not tiers:
            return source
        # Copies of what cannot be told from a later state serve this table alone.
        store = "" if source.has_lasting_identity else os.urandom(16).hex()
        return cached(source, tiers if isinstance(tiers, str) else list(tiers), store=store)

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


def table_files(path: str | os.PathLike[str], tiers: Tiers | None = None) -> TableFiles:
    """The files of the table that a path or a URL leads to; it need not be there.

    tiers: of a cache in front of a URL, the fastest first; by default those of the environment, which local
    files do without. StorageError as of ``TableFiles.at``, OptionError for tiers of a local file.
    """
    name = os.fspath(path)
    if is_url(name):
        return RemoteTableFiles.of_url(name, tiers)
    if tiers:
        from audiomem_sql.remote.tiers import local_file_is_not_cached

        raise local_file_is_not_cached(name)
    return TableFiles.at(name)
