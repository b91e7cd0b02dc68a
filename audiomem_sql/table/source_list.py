"""What a snapshot says that was ingested."""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.versions import Snapshot, known_sources, pack_sources, unknown_source


def source_entries(snapshot: Snapshot | ShardedSnapshot) -> dict[str, bytes]:
    """All entries of the list of sources: also of those that were taken out, and notes."""
    if isinstance(snapshot, ShardedSnapshot):
        return dict(snapshot.manifest.sources)
    return known_sources(snapshot.segments, snapshot.logged)


def forgotten_sources(snapshot: Snapshot | ShardedSnapshot) -> dict[str, bytes]:
    """What the list of sources says when no row of theirs is left: that nothing is known of them."""
    entries = source_entries(snapshot)
    unknown = {name: unknown_source(name, entry) for name, entry in sorted(entries.items())}
    return {name: entry for name, entry in unknown.items() if entry is not None}


class TouchedSources:
    """Sources of a table whose rows a restore takes or brings back: what they say is no longer known."""

    def __init__(self, newest: Snapshot | ShardedSnapshot) -> None:
        self._newest = newest
        self._entries = source_entries(newest)
        self._place = newest.schema.index("source") if "source" in newest.schema else None
        self._names: set[str] = set()

    def add(self, rowid: int) -> None:
        """That of a row of the newest version, if it has one."""
        if self._entries and self._place is not None:
            row = self._newest.stored_row(rowid)
            if row is not None:
                self.add_row(row)

    def add_row(self, row: Sequence[object]) -> None:
        """That of a row with the columns of the newest version."""
        name = row[self._place] if self._place is not None else None
        if isinstance(name, str) and name in self._entries:
            self._names.add(name)

    def packed(self) -> bytes | None:
        """Their entries for the list of sources, as stored; None if there are none."""
        entries = {name: unknown_source(name, self._entries[name]) for name in sorted(self._names)}
        unknown = {name: entry for name, entry in entries.items() if entry is not None}
        return pack_sources(unknown) if unknown else None
