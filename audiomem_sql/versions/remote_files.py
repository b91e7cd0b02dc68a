"""A table in a store or on a web server: one object, which is only read, or several with a manifest.

The object at the URL says which of the two it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from audiomem_sql.bytes import ByteSource
from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.memory import out_of_memory
from audiomem_sql.machine.urls import shown
from audiomem_sql.storage.segment import NumberedElsewhereError, TableFile
from audiomem_sql.versions.base_file import only_read, open_base
from audiomem_sql.versions.chain import check_chain
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.head_file import check_links
from audiomem_sql.versions.log_of_file import log_of_file
from audiomem_sql.versions.snapshot import Snapshot
from audiomem_sql.versions.stored_snapshot import StoredSnapshot

if TYPE_CHECKING:
    from audiomem_sql.versions.stored_table import StoredTable

#: What ``remote/tiers/options.py:cached`` takes.
Tiers: TypeAlias = str | Sequence[str]
#: The environment variable that names the tiers where nobody else does.
CACHE_VARIABLE = "AUDIOMEM_CACHE"


@dataclass(slots=True)
class _Looked:
    """When the store was last asked for the state of the object, by ``time.monotonic``.

    stored: the objects of the table, once it is known to have a manifest. anew: whether the next load uses
    nothing that is open.
    """

    at: float = 0.0
    stored: StoredTable | None = None
    anew: bool = False


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
    def of_url(cls, url: str, tiers: Tiers | None = None, *, partial: bool = False) -> RemoteTableFiles:
        """The object at ``url``, which need not be there."""
        return cls(shown(url), partial, url, tiers)

    @property
    def address(self) -> str:
        """What opens the table again: the whole URL."""
        return self.url

    @property
    def is_remote(self) -> bool:
        """Yes."""
        return True

    @property
    def stored(self) -> StoredTable | None:
        """The objects of a table with a manifest; None for one object. Known when it has been loaded."""
        return self._looked.stored

    def forget(self) -> None:
        """Open everything anew at the next load."""
        self._looked.anew = True

    def size(self) -> int:
        """Bytes of the object, or of all. StorageError if it cannot be asked for."""
        return self._source(self.url).size if self.stored is None else self.stored.size()

    def exists(self) -> bool:
        """Yes, as far as can be told without asking; opening it says more."""
        return True

    def deltas(self) -> list[tuple[int, str]]:
        """None: they are in the object."""
        return []

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The snapshot in the object as it is now; ``known`` if it is still the same."""
        if self.stored is not None:
            anew, self._looked.anew = self._looked.anew, False
            return self.stored.load(cache, None if anew or not isinstance(known, StoredSnapshot) else known)
        source = self._source(self.url)
        self._looked.at = time.monotonic()
        before = None if known is None else known.table_file
        if known is not None and before is not None and FileState.of_source(source) == before.state:
            return known
        try:
            file = open_base(source, cache, partial=self.partial)
        except NumberedElsewhereError:
            from audiomem_sql.versions.stored_table import StoredTable

            self._looked.stored = StoredTable(self.url, self._source)
            return self._looked.stored.load(cache)
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
        if self.stored is not None:
            return not isinstance(snapshot, StoredSnapshot) or self.stored.changed(snapshot.manifest.seq)
        from audiomem_sql.remote import RemoteOptions

        now = time.monotonic()
        if now - self._looked.at < RemoteOptions.of_environment().refresh:
            return False
        self._looked.at = now
        return not snapshot.segments[0].file.source.file.is_current()

    def _source(self, url: str) -> ByteSource:
        """The object at ``url`` as it is now. What reads objects is loaded when the first one is."""
        from audiomem_sql.remote.tiers import cached

        tiers = os.environ.get(CACHE_VARIABLE, "") if self.tiers is None else self.tiers
        source = self._bytes(url)
        if not tiers:
            return source
        # Copies of what cannot be told from a later state serve this table alone.
        store = "" if getattr(source, "has_lasting_identity", True) else os.urandom(16).hex()
        return cached(source, tiers if isinstance(tiers, str) else list(tiers), store=store)

    def source_of(self, url: str) -> ByteSource:
        """An object of the same table, behind the same tiers."""
        return self._source(url)

    def _bytes(self, url: str) -> ByteSource:
        """The object at ``url`` itself, without what is kept of it."""
        from audiomem_sql.remote import RemoteFile

        return RemoteFile(url)

    def check_writable(self) -> None:
        """UnsupportedError unless it has a manifest, in a store that can be written to."""
        if self.stored is None:
            raise only_read(self.base)
        self.stored.check_writable()
