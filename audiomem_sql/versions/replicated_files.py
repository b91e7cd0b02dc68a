"""A table that is in several places, to read: :class:`RemoteTableFiles` over all of them.

Of a table with a manifest each object that the manifest names is read from all places. The manifest itself is
that of the first place; another place's is read where that fails, which is told, as it may be an older one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import AudioMemError, DamagedFileError, InFile, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.file_names import place_of
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.storage.segment import Catalog, NumberedElsewhereError
from audiomem_sql.versions.copies import Copy, check_same, leader, open_copies
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.remote_files import RemoteTableFiles, Tiers
from audiomem_sql.versions.snapshot import Snapshot
from audiomem_sql.versions.stored_snapshot import StoredSnapshot
from audiomem_sql.warn_once import warn_once

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Manifest
    from audiomem_sql.versions.stored_table import StoredTable


#: Seconds in which a first place whose manifest could not be read is not asked again.
_AWAY_SECONDS = 30.0


@dataclass(slots=True)
class _Manifests:
    """Those of a table in several places. tables: one a place. failed: when the first did not answer."""

    tables: list[StoredTable] = field(default_factory=list)
    failed: float | None = None


@dataclass(frozen=True, slots=True)
class ReplicatedTableFiles(RemoteTableFiles):
    """The table at ``url``, which may be a path, and its copies at ``replicas``.

    left_out: copies that are not read from since the table was loaded, with the reason.
    """

    replicas: tuple[str, ...] = ()
    left_out: list[tuple[str, str]] = field(default_factory=list, compare=False)
    _manifests: _Manifests = field(default_factory=_Manifests, compare=False)

    @classmethod
    def of(cls, path: str, replicas: Sequence[str], tiers: Tiers | None) -> ReplicatedTableFiles:
        """Those of the table at a path or a URL, and at ``replicas``, none of which need be there."""
        first, *others = copy_places(path, replicas)
        return cls(shown(first), url=first, tiers=tiers, replicas=tuple(others))

    @property
    def places(self) -> tuple[str, ...]:
        """Path or URL of each copy, that of the table first."""
        return self.url, *self.replicas

    @property
    def left_out_places(self) -> Sequence[tuple[str, str]]:
        """Names of the places that are not read from, with the reason."""
        return self.left_out

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The snapshot in the copies as they are now, opened anew: a healed copy is another object.

        Copies are replaced one after the other. Until all are the same again, and one still is what ``known``
        was read from, that stays. StorageError if they are not the same.
        """
        if not self._manifests.tables:
            try:
                return RemoteTableFiles.load(self, cache)
            except NumberedElsewhereError:
                self._manifests.tables[:] = stored_tables(self.places, self._source)
                self._looked.stored = self._manifests.tables[0]
            except StorageError:
                if known is None or not self._has_some(known):
                    raise
                return known
            known = None
        return self._load_stored(cache, known if isinstance(known, StoredSnapshot) else None)

    def _load_stored(self, cache: BlockCache, known: StoredSnapshot | None) -> StoredSnapshot:
        """The snapshot that the manifest of the first place says, or that of another place."""
        first, *others = self._manifests.tables
        self.manifest_answered()
        try:
            return first.load(cache, known)
        except (StorageError, DamagedFileError) as fault:
            self._manifests.failed = time.monotonic()
            if is_dropped(fault):
                raise
            for table in others:
                try:
                    found = table.load(cache, known)
                except AudioMemError:
                    continue
                if known is not None and known.manifest.seq >= found.manifest.seq:
                    check_same_history(found.manifest, known.manifest, found.path)
                    return known
                self.manifest_failed(fault, f"version {found.version} is shown as {shown(table.url)} has it")
                return found
            raise

    def manifest_answered(self) -> None:
        """Note that the manifest of the first place may be asked for again."""
        self._manifests.failed = None

    def is_away(self, now: float) -> bool:
        """Whether the first place failed a short while ago."""
        failed = self._manifests.failed
        return failed is not None and now - failed < _AWAY_SECONDS

    def manifest_failed(self, fault: AudioMemError, what: str) -> None:
        """Note, and tell, that the manifest of the first place cannot be read, and what is shown instead.

        ``fault`` if it can, and says that the table is dropped.
        """
        if is_dropped(fault):
            raise fault
        self._manifests.failed = time.monotonic()
        warn_once(
            ("manifest", self.base, fault.what, what),
            f"the manifest of {self.base} cannot be read ({fault.what}): {what}; there may be newer ones",
        )

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether there is another state; no, with a warning, where the first place does not answer."""
        if self.is_away(time.monotonic()):
            return False
        try:
            return RemoteTableFiles.changed(self, snapshot)
        except (StorageError, DamagedFileError) as fault:
            if self.stored is None:
                raise
            self.manifest_failed(fault, f"version {snapshot.version} goes on being shown")
            return False

    def forget(self) -> None:
        """Open everything anew at the next load: objects were replaced by what they should be."""
        self.left_out.clear()
        self._manifests.tables.clear()
        self._looked.stored = None

    def _has_some(self, known: Snapshot) -> bool:
        """Whether bytes of ``known`` can still be read from some place, past what is in memory."""
        source = known.segments[0].file.source.file
        try:
            source.read_anew([(0, 1)])
            return bool(source.read_at(0, 1))
        except StorageError:
            return False

    def _bytes(self, url: str) -> ByteSource:
        """All copies that can be read, as one place. StorageError if one is of another file."""
        from audiomem_sql.remote.replicas import ReplicatedSource

        addresses = self._addresses(url)
        for place in addresses:
            check_alone(place)
        copies = open_copies(addresses, as_numbered if url != self.url else None)
        try:
            check_same(copies)
            first = leader(copies)
            assert first.signature is not None
        except BaseException:
            for copy in copies:
                copy.close()
            raise
        kept = [copy.source for copy in copies if copy.signature is not None and copy.source is not None]
        if url == self.url:
            self.left_out.clear()
        for copy in copies:
            if copy.signature is None:
                self._leave_out(copy, url.removeprefix(self._own(url)))
        signature = first.signature
        identity = ("copies", signature.table, signature.size, *signature.segments)
        source = ReplicatedSource(kept, identity=identity)
        source.name = shown(url)
        return source

    def _own(self, url: str) -> str:
        """The place that an object is in."""
        return max((place for place in self.places if url.startswith(place)), key=len)

    def _addresses(self, url: str) -> tuple[str, ...]:
        """Where the object at ``url`` is in each place, its own first."""
        own = self._own(url)
        return url, *(place + url.removeprefix(own) for place in self.places if place != own)

    def _leave_out(self, copy: Copy, inside: str) -> None:
        """Note a copy that cannot be read, and warn of its place once.

        inside: what stands behind the place, for one of several objects of the table.
        """
        assert copy.fault is not None
        name, what, where = shown(copy.address.removesuffix(inside)), copy.fault.what, ""
        if inside:
            what, where = f"{inside.rpartition('/')[2]}: {what}", ", where that lacks something"
        self.left_out.append((name, what))
        copy.close()
        warn_once(
            ("replica", self.base, name, "" if inside else what),
            f"{name} is left out of the replicas of {self.base}{where}: "
            f"{what}. audiomem repair {self.base} --replica … makes damaged copies whole",
        )

    def check_writable(self) -> None:
        """UnsupportedError: it is only read."""
        raise UnsupportedError(
            "a table that is opened with replicas is only read",
            file=self.base,
            remedy="Write to its file without them, and copy that to the other places.",
        )


def is_dropped(fault: AudioMemError) -> bool:
    """Whether a manifest was read, and says that the table is being deleted."""
    from audiomem_sql.remote.commits import DroppedError

    return isinstance(fault, DroppedError)


def check_same_history(one: Manifest, other: Manifest, path: str) -> None:
    """StorageError, of ``path``, if ``one`` is no state of the table of ``other``, or up to that one."""
    from audiomem_sql.remote.commits.reading import check_goes_on

    with InFile(path):
        check_goes_on(one, other)


def as_numbered(catalog: Catalog) -> Catalog:
    """A segment of a table in a store as it is, without the numbers of the manifest."""
    return catalog


def stored_tables(places: Sequence[str], source_of: Callable[[str], ByteSource]) -> list[StoredTable]:
    """A table with a manifest in several places. UnsupportedError for one that cannot have a manifest."""
    from audiomem_sql.versions.stored_table import StoredTable

    for place in places:
        if not is_url(place):
            raise UnsupportedError(
                "is one file, and the table at another place has a manifest",
                file=place,
                remedy="Name URLs to which all objects of the table are copied.",
            )
    return [StoredTable(place, source_of) for place in places]


def copy_places(path: str, replicas: Sequence[str]) -> tuple[str, ...]:
    """Paths and URLs of all copies, as they are opened. OptionError for one that is named twice."""
    from audiomem_sql.remote.replica_names import parse_replicas

    return place_of(path), *(place_of(each) for each in parse_replicas(replicas, path))


def check_alone(place: str) -> None:
    """UnsupportedError for a local file that has a log or deltas beside it: it is not the whole table."""
    if is_url(place):
        return
    files = TableFiles.at(place)
    if os.path.lexists(files.log) or files.deltas():
        raise UnsupportedError(
            "has a log or deltas beside it, so the file alone is no copy of the table",
            file=place,
            remedy="Run audiomem vacuum on it, and copy it anew.",
        )
