"""The objects of a table in a store that has a manifest: which they are, and the snapshot that they make.

``audiomem_sql.remote`` is loaded when the first of them is opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from audiomem_sql.bytes import ByteSource
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import row_check
from audiomem_sql.errors import (
    DamagedFileError,
    InFile,
    NotAudioMemoryError,
    StorageError,
    TruncatedFileError,
    UnsupportedError,
)
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.machine.urls import shown
from audiomem_sql.storage.log import LogRecord, unpack_commits
from audiomem_sql.storage.segment import (
    Catalog,
    Numbering,
    ReadableSegment,
    Segment,
    open_table_file,
    renumbered,
)
from audiomem_sql.versions.chain import check_neighbours
from audiomem_sql.versions.stored_history import StoredHistory
from audiomem_sql.versions.stored_making import check_keeps_conditions
from audiomem_sql.versions.stored_snapshot import StoredSnapshot

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Committer, Head, Manifest, ManifestReader
    from audiomem_sql.remote.commits.manifest import InlineEntry, SegmentEntry

#: How often a manifest is read anew whose objects are gone, because a vacuum replaced them meanwhile.
_ATTEMPTS = 4
_AT_ONCE = 16


class StoredTable:
    """The table at ``url``, whose numbers are in a manifest.

    source_of: opens the object at a URL. Safe to use from several threads, but for ``committer``, which
    belongs to who has the writer's turn.
    """

    def __init__(self, url: str, source_of: Callable[[str], ByteSource]) -> None:
        from audiomem_sql.remote import RemoteOptions
        from audiomem_sql.remote.commits import Committer, table_store

        if urlsplit(url).query:
            raise UnsupportedError(
                "a signed URL opens one object, and the table consists of several",
                file=shown(url),
                remedy="Open it by the URL of its bucket, with credentials.",
            )
        options = RemoteOptions.of_environment()
        self.url = url
        self._source_of = source_of
        self.store, self.key = table_store(url, options.timeout)
        self.committer: Committer = Committer(self.store, self.key, seconds=max(options.budget, 1.0))
        self.reader: ManifestReader = self.committer.reader
        self.reader.seconds = options.budget
        self._refresh = options.refresh
        self._head: Head | None = None
        self._asked = 0.0

    # -- reading ---------------------------------------------------------------------------------------------

    def load(self, cache: BlockCache, known: StoredSnapshot | None = None) -> StoredSnapshot:
        """The newest snapshot; ``known`` if it still is. Segments that it has open are used again."""
        for attempt in range(_ATTEMPTS):
            head = self.newest()
            if known is not None and known.manifest.seq == head.manifest.seq:
                return known
            try:
                with InFile(shown(self.url)):
                    return self.snapshot_of(head.manifest, cache, known)
            except StorageError:
                # A vacuum may have removed what an older manifest named.
                self._head = None
                if attempt + 1 == _ATTEMPTS or self.newest().manifest.seq == head.manifest.seq:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def changed(self, seq: int) -> bool:
        """Whether there is a newer manifest than that with ``seq``.

        The store is asked once in ``AUDIOMEM_REMOTE_REFRESH`` seconds.
        """
        if time.monotonic() - self._asked >= self._refresh:
            self._head = None if self._head is None else self._refreshed(self._head)
        return self._head is None or self._head.manifest.seq != seq

    def look(self) -> None:
        """See to it that the next load asks the store."""
        if self._head is not None:
            self._head = self._refreshed(self._head)

    def hand_over(self) -> None:
        """Let ``committer`` go on from the newest state that is known."""
        if self._head is not None:
            self.committer.accept(self._head)

    def went_on(self) -> None:
        """Take what ``committer`` has just written, or read, as the newest state."""
        self._head = self.committer.head
        self._asked = time.monotonic()

    def size(self) -> int:
        """Bytes of all segments and records that the newest manifest names."""
        manifest = self.newest().manifest
        segments = [entry for each in (manifest, *manifest.shards) for entry in each.segments]
        segments += manifest.history
        return sum(entry.size for entry in segments) + manifest.inline_bytes

    def take(self, head: Head) -> None:
        """Go on from a manifest that was read elsewhere."""
        self._asked = time.monotonic()
        self._head = head

    def newest(self) -> Head:
        """The newest manifest that is known; it is read if none is."""
        if self._head is None:
            self._asked = time.monotonic()
            self._head = self.reader.load()
        return self._head

    def _refreshed(self, head: Head) -> Head:
        self._asked = time.monotonic()
        return self.reader.refresh(head)

    def snapshot_of(
        self, manifest: Manifest, cache: BlockCache, known: StoredSnapshot | None
    ) -> StoredSnapshot:
        """The rows of ``manifest``, or of a shard of it. Open segments of ``known`` are used again."""
        if not manifest.segments:
            raise StorageError(
                "the table was not finished when it was created", remedy="Create it again at the same URL."
            )
        before = {} if known is None else {segment.path: segment for segment in known.segments}
        missing = [entry for entry in manifest.segments if self.shown_of(entry.name) not in before]
        opened: list[Segment] = []
        try:
            opened += self._open_all(missing, manifest, cache)
            fresh = {segment.path: segment for segment in opened}
            segments = [
                before.get(self.shown_of(entry.name)) or fresh[self.shown_of(entry.name)]
                for entry in manifest.segments
            ]
            _check(segments, manifest)
            schema = segments[-1].catalog.schemas[-1][1]
            records = [record_of(entry, schema) for entry in manifest.inline]
            before_them = None if known is None else known.old
            history = self.history_of(manifest, cache, before_them)
            return StoredSnapshot(segments, records, manifest, history=history)
        except BaseException:
            for segment in opened:
                segment.close()
            raise

    def history_of(
        self, manifest: Manifest, cache: BlockCache, known: StoredHistory | None = None
    ) -> StoredHistory | None:
        """What only old versions are read from, not opened yet; None if there is nothing."""

        def open_all(entries: Sequence[SegmentEntry]) -> list[Segment]:
            from audiomem_sql.remote import ArchivedError, archived

            with InFile(shown(self.url)):
                try:
                    opened = self._open_all(entries, manifest, cache)
                except ArchivedError as error:  # what to ask for is the table: it may be one of several
                    raise archived(shown(self.url), error.file) from None
                for segment, entry in zip(opened, entries, strict=True):
                    _check_one(segment, entry)
                return opened

        return StoredHistory(manifest.history, open_all, known) if manifest.history else None

    def _open_all(
        self, entries: Sequence[SegmentEntry], manifest: Manifest, cache: BlockCache
    ) -> list[Segment]:
        """Segments, opened at the same time."""
        open_one = partial(self.open_segment, cache=cache, table=manifest.table)
        if len(entries) < 2:
            return [open_one(entry) for entry in entries]
        with ThreadPool(min(len(entries), _AT_ONCE), "segments") as pool:
            opening = [pool.submit(open_one, entry) for entry in entries]
        try:
            return [each.result() for each in opening]
        except BaseException:
            for each in opening:
                if each.exception() is None:
                    each.result().close()
            raise

    def source_of(self, url: str) -> ByteSource:
        """The object at a URL, as it is now."""
        return self._source_of(url)

    def numbering_of(self, entry: SegmentEntry, table: bytes, *, exact: bool = True) -> Numbering:
        """What gives the segment of ``entry`` the numbers that the manifest says; DamagedFileError.

        table: the id of the table, which it must be of. exact: a segment of several versions must have all.
        """

        def numbering(catalog: Catalog) -> Catalog:
            if catalog.table_id != table:
                raise DamagedFileError("belongs to another table")
            if any(entry.commit):
                return renumbered(catalog, entry.first_version, entry.time, entry.low_rowid, entry.high_rowid)
            versions = (catalog.first_version, catalog.last_version)
            if exact and versions != (entry.first_version, entry.last_version):
                raise DamagedFileError("has other versions than the manifest says")
            return catalog

        return numbering

    def open_segment(self, entry: SegmentEntry, cache: BlockCache, table: bytes) -> Segment:
        """The segment of an entry, with the numbers that the entry says."""
        numbering = self.numbering_of(entry, table)
        file = open_table_file(self._source_as_named(entry), cache, numbering=numbering)
        if len(file.segments) != 1:
            file.close()
            raise DamagedFileError("holds several segments, where one belongs", file=file.path)
        return file.segments[0]

    def _source_as_named(self, entry: SegmentEntry) -> ByteSource:
        """The object of an entry, which must have as many bytes as that says."""
        from audiomem_sql.remote import NoObjectError

        remedy = self.reader.remedy_of(entry.name)
        try:
            source = self._source_of(self.url_of(entry.name))
        except (NoObjectError, NotAudioMemoryError) as error:  # gone, or empty
            raise type(error)(
                f"a segment of the table: {error.what}", file=error.file, remedy=remedy
            ) from None
        if source.size != entry.size:
            source.close()
            raise TruncatedFileError(
                f"a segment of the table has {source.size} bytes, and the manifest says {entry.size}",
                file=source.name,
                remedy=remedy,
            )
        return source

    def url_of(self, name: str) -> str:
        """The URL of an object that the manifest names."""
        parts = urlsplit(self.url)
        key = self.reader.paths.object(name)
        folder = f"{parts.netloc}{parts.path}".rstrip("/").removesuffix(self.key)
        return f"{parts.scheme}://{folder}{key}"

    def shown_of(self, name: str) -> str:
        """The same for messages: the path of an open segment."""
        return shown(self.url_of(name))

    # -- writing ---------------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """UnsupportedError unless the store keeps the conditions of writes; it is tried once in a process."""
        check_keeps_conditions(self.url)


def record_of(entry: InlineEntry, schema: Schema) -> LogRecord:
    """A commit in a manifest as a record of the log, with its numbers. DamagedFileError for anything else."""
    with InFile("manifest"):
        commits = unpack_commits(entry.record)
        if len(commits) != 1:
            raise DamagedFileError("an entry of the manifest holds several commits")
        (record,) = commits
        alias, rows = schema.rowid_column, []
        check = row_check(schema)
        if entry.new_rows > len(record.inserted):
            raise DamagedFileError("an entry of the manifest has fewer rows than it says")
        for number, (rowid, row) in enumerate(record.inserted):
            if number < entry.new_rows:
                rowid = entry.first_rowid + number
                if alias is not None:
                    row = (*row[:alias], rowid, *row[alias + 1 :])
            if len(row) != len(schema):
                raise DamagedFileError("a row of the manifest has another number of columns than the table")
            check(rowid, row)
            rows.append((rowid, row))
        return replace(record, version=entry.version, time=entry.time, inserted=rows, tags={})


def _check(segments: Sequence[ReadableSegment], manifest: Manifest) -> None:
    """DamagedFileError unless the segments are what the manifest says."""
    for before, after in pairwise(segments):
        check_neighbours(before, after, segments[0].path)
    for segment, entry in zip(segments, manifest.segments, strict=True):
        _check_one(segment, entry)


def _check_one(segment: ReadableSegment, entry: SegmentEntry) -> None:
    if segment.rows != entry.rows or segment.catalog.segment_id != entry.segment_id[:8]:
        raise DamagedFileError("is another segment than the manifest says", file=segment.path)
