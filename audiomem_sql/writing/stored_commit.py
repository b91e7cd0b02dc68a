"""A commit of a table in a store: a record of the manifest, or a segment that is made here and uploaded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from types import TracebackType
from typing import TYPE_CHECKING, Self

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import StorageError
from audiomem_sql.indexes.vectors import VectorCodec
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.segment import (
    NO_HISTORY,
    Migration,
    NewFile,
    SchemaHistory,
    SegmentWriter,
    TableOptions,
    Version,
    numbered_options,
)
from audiomem_sql.versions import StoredSnapshot, decided_tokenizers
from audiomem_sql.writing.commit import Commit, commit_time
from audiomem_sql.writing.commit_limits import check_history, check_ids
from audiomem_sql.writing.unique_keys import Folded, KeyColumns

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Footprint, NewSegment

#: Bytes of a file that are uploaded as one part.
_PART_BYTES = 8 << 20
#: Bytes of the id of a segment, in its file and in a manifest.
_ID_BYTES = 16


def footprint_of(rowids: set[int] | None, keys: Iterable[tuple[KeyColumns, Folded]] | None) -> Footprint:
    """What a commit wrote that others may have written, too; None: any."""
    from audiomem_sql.remote.commits import Footprint

    hashed = None if keys is None else {hash_of_key(columns, key) for columns, key in keys}
    made = Footprint.of(rowids or set(), hashed or set())
    return Footprint(
        None if rowids is None else made.rowids, None if keys is None else made.keys, made.schema
    )


def hash_of_key(columns: KeyColumns, key: Folded) -> int:
    """64 bits of a key, which any writer makes alike."""
    said = repr((columns, key)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(said, digest_size=8).digest(), "little")


def commit_file(
    snapshot: StoredSnapshot,
    options: TableOptions,
    commit: Commit,
    target: str,
    progress: Progress | None = None,
) -> SegmentWriter:
    """The segment of ``commit``, laid out in a temporary file beside ``target``; the manifest numbers it."""
    check_history(snapshot, commit.message, change=commit.change)
    schema = commit.schema or snapshot.schema
    check_ids(schema, target)
    number = snapshot.newest + 1
    writer = new_writer(target, schema, options, snapshot.manifest.table, commit.codecs)
    try:
        writer.follow(decided_tokenizers(snapshot.segments, schema))
        for batch in commit.batches:
            writer.add(batch.rowids, batch.arrays)
        inserted = writer.rows if commit.inserted is None else commit.inserted
        version = Version(number, commit_time(snapshot), inserted, len(commit.deleted), commit.message)
        writer.finish(
            [version],
            tombstones=commit.deleted,
            sources=commit.sources,
            history=_history(snapshot, commit, number),
            progress=progress,
        )
    except BaseException:
        writer.abandon()
        raise
    return writer


def new_writer(
    target: str,
    schema: Schema,
    options: TableOptions,
    table_id: bytes,
    codecs: Mapping[int, VectorCodec] | None = None,
) -> SegmentWriter:
    """Writes a segment that a manifest numbers. codecs: see ``Commit``."""
    return SegmentWriter(
        target,
        schema,
        options.write_options(),
        table_id=table_id,
        table_options=numbered_options(options.to_catalog()),
        codecs=codecs,
        placement=NewFile(target),
    )


def _history(snapshot: StoredSnapshot, commit: Commit, number: int) -> SchemaHistory:
    if commit.schema is None or not commit.change:
        return NO_HISTORY
    step = Migration(len(snapshot.migrations) + 1, number, commit.change)
    used = max(snapshot.next_column, *(column_id + 1 for column_id in commit.schema.ids))
    return SchemaHistory((), (step,), used)


class SegmentFiles:
    """A folder for the segments of one change, made when the first is written; gone at the end."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def target(self) -> str:
        """The path of one more file."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="audiomem-", ignore_cleanup_errors=True)
        self._count += 1
        return os.path.join(self._folder.name, f"{self._count}.flac")

    def made(self, writer: SegmentWriter, *, are_new: bool = False) -> NewSegment:
        """What was laid out, to be uploaded. are_new: the manifest numbers its rows."""
        rowids = (1, 0) if are_new else writer.rowid_range
        return uploaded_file(writer.temporary, writer.segment_id, writer.rows, rowids)


def uploaded_file(path: str, segment_id: bytes, rows: int, rowids: tuple[int, int]) -> NewSegment:
    """The file at ``path`` as a segment to be uploaded. rowids: the lowest and the highest."""
    from audiomem_sql.remote.commits import NewSegment

    def parts() -> Iterator[bytes]:
        try:
            with open(path, "rb") as file:
                while part := file.read(_PART_BYTES):
                    yield part
        except OSError as error:
            raise storage_error(error, path) from error

    low, high = rowids if rows else (1, 0)
    size = os.path.getsize(path)
    if not size:
        raise StorageError("is empty", file=path)
    return NewSegment(segment_id.ljust(_ID_BYTES, b"\0"), size, rows, parts, low, high)
