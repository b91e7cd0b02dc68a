"""A table whose one file is in several places, to read: :class:`RemoteTableFiles` over all of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.file_names import place_of
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.versions.copies import Copy, check_same, leader, open_copies
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.remote_files import RemoteTableFiles, Tiers
from audiomem_sql.versions.snapshot import Snapshot
from audiomem_sql.warn_once import warn_once


@dataclass(frozen=True, slots=True)
class ReplicatedTableFiles(RemoteTableFiles):
    """The file at ``url``, which may be a path, and its copies at ``replicas``.

    left_out: copies that are not read from since the table was loaded, with the reason.
    """

    replicas: tuple[str, ...] = ()
    left_out: list[tuple[str, str]] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, path: str, replicas: Sequence[str], tiers: Tiers | None) -> ReplicatedTableFiles:
        """Those of the table at a path or a URL, and at ``replicas``, none of which need be there."""
        first, *others = copy_places(path, replicas)
        return cls(shown(first), url=first, tiers=tiers, replicas=tuple(others))

    @property
    def places(self) -> tuple[str, ...]:
        """Path or URL of each copy, that of the table first."""
        return self.url, *self.replicas

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The snapshot in the copies as they are now, opened anew: a healed copy is another object.

        Copies are replaced one after the other. Until all are the same again, and one still is what ``known``
        was read from, that stays. StorageError if they are not the same.
        """
        try:
            return RemoteTableFiles.load(self, cache)
        except StorageError:
            if known is None or not self._has_some(known):
                raise
            return known

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

        places = url, *self.replicas
        for place in places:
            check_alone(place)
        copies = open_copies(places)
        try:
            check_same(copies)
            first = leader(copies)
            assert first.signature is not None
        except BaseException:
            for copy in copies:
                copy.close()
            raise
        kept = [copy.source for copy in copies if copy.signature is not None and copy.source is not None]
        self._leave_out([copy for copy in copies if copy.signature is None])
        signature = first.signature
        identity = ("copies", signature.table, signature.size, *signature.segments)
        source = ReplicatedSource(kept, identity=identity)
        source.name = self.base
        return source

    def _leave_out(self, copies: Sequence[Copy]) -> None:
        """Note copies that cannot be read, and warn of each once."""
        self.left_out.clear()
        for copy in copies:
            assert copy.fault is not None
            self.left_out.append((copy.name, copy.fault.what))
            copy.close()
            warn_once(
                ("replica", self.base, copy.name, copy.fault.what),
                f"{copy.name} is left out of the replicas of {self.base}: {copy.fault.what}. "
                f"audiomem repair {self.base} --replica … makes damaged copies whole",
            )

    def check_writable(self) -> None:
        """UnsupportedError: it is only read."""
        raise UnsupportedError(
            "a table that is opened with replicas is only read",
            file=self.base,
            remedy="Write to its file without them, and copy that to the other places.",
        )


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
