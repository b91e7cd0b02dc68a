"""What happened, as the store saw it: every manifest that ever was, and whether each could follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgpack

from audiomem_sql.remote.commits.manifest import Manifest, SegmentEntry
from audiomem_sql.remote.commits.manifest_bytes import unpack_manifest, unpack_page
from audiomem_sql.remote.commits.paths import BASE, TablePaths
from simulate_remote.memory_store import MemoryStore

PATHS = TablePaths("data/kb.flac")


class Wrong(AssertionError):
    """What must never be."""


def check(condition: object, what: str) -> None:
    if not condition:
        raise Wrong(what)


@dataclass(frozen=True)
class Content:
    """One commit as its writer made it. count: of the row that it read, and raised to that."""

    commit: bytes
    row: int = 0
    count: int = 0
    key: int = 0

    def pack(self) -> bytes:
        return msgpack.packb([self.commit, self.row, self.count, self.key])


def pack_contents(contents: Sequence[tuple[int, Content]]) -> bytes:
    """A segment: (version, or 0 where the manifest says it; content)."""
    return msgpack.packb([[version, content.pack()] for version, content in contents])


def unpack_contents(data: bytes, version: int) -> list[tuple[int, Content]]:
    return [
        (number or version, Content(*msgpack.unpackb(packed))) for number, packed in msgpack.unpackb(data)
    ]


@dataclass
class Truth:
    """The history of the table in ``store``."""

    store: MemoryStore
    manifests: list[Manifest] = field(default_factory=list)
    versions: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store.written = self._written
        self.store.deleting = self._deleting

    @property
    def head(self) -> Manifest:
        return self.manifests[-1]

    def page(self, entry: object) -> tuple[SegmentEntry, ...]:
        return unpack_page(self.store.objects[PATHS.object(entry.name)])  # type: ignore[attr-defined]

    def _written(self, key: str, data: bytes) -> None:
        if key != PATHS.manifest:
            return
        newer = unpack_manifest(data, self.page)
        for name in newer.names - {BASE}:
            check(PATHS.object(name) in self.store.objects, f"the manifest names {name}, which is not there")
        if self.manifests:
            self._check_follows(self.head, newer)
        self.manifests.append(newer)

    def _check_follows(self, before: Manifest, newer: Manifest) -> None:
        check(newer.seq == before.seq + 1, "seq does not follow")
        check(newer.version >= before.version and newer.epoch >= before.epoch, "it went back")
        made = [
            (s.last_version, s.commit, s.low_rowid, s.high_rowid) for s in newer.segments if any(s.commit)
        ]
        made += [(e.version, e.commit, e.first_rowid, e.first_rowid + e.new_rows - 1) for e in newer.inline]
        next_rowid = before.next_rowid
        for version, commit, low, high in sorted(made):
            if version <= before.version:
                check(self.versions[commit] == version, "a commit changed its version")
                continue
            check(commit not in self.versions, "a commit took place twice")
            self.versions[commit] = version
            check(high < low or low >= next_rowid, "a rowid was given twice")
            next_rowid = max(next_rowid, high + 1)
        check(newer.next_rowid >= next_rowid, "a rowid will be given twice")

    def _deleting(self, key: str) -> None:
        for manifest in reversed(self.manifests):
            if self.head.version - manifest.version > manifest.retention:
                break
            read = {*(s.name for s in manifest.segments), *(page.name for page in manifest.pages)}
            check(key not in {PATHS.object(name) for name in read}, f"{key} is removed within the retention")

    def contents(self, manifest: Manifest) -> list[tuple[int, Content]]:
        """All that is in the objects and records of ``manifest``, by version."""
        found: list[tuple[int, Content]] = []
        for segment in manifest.segments:
            data = self.store.objects[PATHS.object(segment.name)]
            found += unpack_contents(data, segment.last_version)
        for entry in manifest.inline:
            found += unpack_contents(entry.record, entry.version)
        return sorted(found, key=lambda each: each[0])

    def check_end(self) -> None:
        """All that was committed is there, once; what was read before it was changed was the newest."""
        head = self.head
        contents = self.contents(head)
        commits = [content.commit for _, content in contents]
        check(len(set(commits)) == len(commits), "a commit is there twice")
        check(set(commits) == set(self.versions), "a commit is missing, or was never made")
        for version, content in contents:
            expected = self.versions[content.commit]
            check(version == max(expected, head.oldest), "a commit has another version than it had")
        counts: dict[int, int] = {}
        keys: set[int] = set()
        for _, content in sorted(contents, key=lambda each: self.versions[each[1].commit]):
            if content.row:
                counts[content.row] = counts.get(content.row, 0) + 1
                check(content.count == counts[content.row], "a change was made to a row that had changed")
            if content.key:
                check(content.key not in keys, "a key is there twice")
                keys.add(content.key)

    def check_clean(self) -> None:
        """Nothing but what the newest manifest names is left."""
        there = set(self.store.keys(PATHS.segments))
        named = {PATHS.object(name) for name in self.head.names - {BASE}}
        check(there == named, f"{len(there - named)} objects are garbage, {len(named - there)} are missing")
        check(not self.store.parts, "there are half-uploaded objects")
