"""Segments that are encoded before it is known where they go: by one process, for another one to place.

The file of one is no part of a table. It has what no commit changes, the data stream and the catalog; who
places it gives it versions, rowids where they are one run, and pages.

    file   := magic (8 bytes), bytes of the header (4), header, data stream
    header := MessagePack {catalog, signposts, bytes, digest, extra}
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import msgpack

from audiomem_sql.audio import read_tags
from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.pages import DIGEST_BYTES
from audiomem_sql.storage.segment.catalog import NO_HISTORY, Catalog, SchemaHistory, Version
from audiomem_sql.storage.segment.catalog_packing import MALFORMED, pack_staged, unpack_catalog
from audiomem_sql.storage.segment.catalog_places import facts_of
from audiomem_sql.storage.segment.data_spool import DataSpool, Stratum
from audiomem_sql.storage.segment.label_writer import LabelWriter
from audiomem_sql.storage.segment.labels import MAX_LABELLED_COLUMNS, Labelled
from audiomem_sql.storage.segment.new_file import Placement
from audiomem_sql.storage.segment.placing import PlacedSegment
from audiomem_sql.storage.segment.seal import FIRST_SEAL, Seal
from audiomem_sql.storage.segment.stream_writer import StreamWriter
from audiomem_sql.storage.segment.tombstones import pack_tombstones
from audiomem_sql.storage.segment.vorbis_comments import own_comments
from audiomem_sql.storage.segment.write_options import WriteOptions

if TYPE_CHECKING:
    from audiomem_sql.arrays import I64Array

_MAGIC = b"AuMT1\r\n\0"
_LENGTH = struct.Struct("<I")
_PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """A segment that waits for its place, in what ``opener`` opens.

    catalog: as of version 1; where its rowids are one run they are provisional. signposts: where they are in
    the data stream, of ``size`` bytes from byte ``start`` of the file on, whose digest is ``digest``. extra:
    what its writer said.
    """

    path: str
    opener: Callable[[], BinaryIO]
    catalog: Catalog
    signposts: tuple[int, ...]
    start: int
    size: int
    digest: bytes
    extra: bytes

    @classmethod
    def read(cls, path: str, opener: Callable[[], BinaryIO]) -> EncodedSegment:
        """What ``opener`` opens says. path: what messages call it. StorageError unless it is whole."""
        try:
            with opener() as file:
                head = file.read(len(_MAGIC) + _LENGTH.size)
                if len(head) < len(_MAGIC) + _LENGTH.size or not head.startswith(_MAGIC):
                    raise _torn(path)
                (length,) = _LENGTH.unpack(head[len(_MAGIC) :])
                stored = file.read(length)
                start = file.tell()
                said = msgpack.unpackb(stored)
                size = int(said["bytes"])
                if start + size != file.seek(0, os.SEEK_END):
                    raise _torn(path)
                return cls(
                    path,
                    opener,
                    unpack_catalog(said["catalog"]),
                    tuple(map(int, said["signposts"])),
                    start,
                    size,
                    bytes(said["digest"]),
                    bytes(said["extra"]),
                )
        except OSError as error:
            raise storage_error(error, path) from error
        except (*MALFORMED, AudioMemError) as error:
            raise _torn(path) from error

    @property
    def is_run(self) -> bool:
        """Whether its rowids follow each other."""
        return self.catalog.first_rowid is not None

    def parts(self) -> Iterator[bytes]:
        """The data stream. StorageError if it is not as it was written."""
        digest = blake2b(digest_size=DIGEST_BYTES)
        try:
            with self.opener() as file:
                file.seek(self.start)
                while part := file.read(_PART_BYTES):
                    check_interrupt()
                    digest.update(part)
                    yield part
        except OSError as error:
            raise storage_error(error, self.path) from error
        if digest.digest() != self.digest:
            raise _torn(self.path)


def write_encoded(
    file: BinaryIO, catalog: Catalog, spool: DataSpool, signposts: Sequence[int], extra: bytes
) -> None:
    """Write a segment that waits for its place. OSErrors are the caller's."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    spool.seek(0)
    while part := spool.read(_PART_BYTES):
        digest.update(part)
    said = {
        "catalog": pack_staged(replace(catalog, seal=FIRST_SEAL)),
        "signposts": list(signposts),
        "bytes": spool.length,
        "digest": digest.digest(),
        "extra": extra,
    }
    header = msgpack.packb(said)
    file.write(_MAGIC + _LENGTH.pack(len(header)) + header)
    spool.seek(0)
    while part := spool.read(_PART_BYTES):
        file.write(part)


def _torn(path: str) -> StorageError:
    return StorageError(
        "rows that a task staged cannot be read: the file is torn", file=path, remedy="Write them again."
    )


class EncodedWriter(PlacedSegment):
    """Places a segment that is encoded, with the face of a ``SegmentWriter`` that has all its rows."""

    def __init__(
        self,
        path: str,
        encoded: EncodedSegment,
        options: WriteOptions,
        first_rowid: int | None,
        *,
        like: str | None = None,
        seal: Seal = FIRST_SEAL,
        placement: Placement | None = None,
    ) -> None:
        """first_rowid: where its run of rowids begins; None leaves them as they are."""
        catalog = encoded.catalog
        super().__init__(path, options, catalog.segment_id, like=like, seal=seal, placement=placement)
        self.rows = catalog.rows
        if first_rowid is not None and encoded.is_run:
            last = first_rowid + catalog.rows - 1
            catalog = replace(catalog, first_rowid=first_rowid, low_rowid=first_rowid, high_rowid=last)
        self._catalog, self._encoded, self._known = catalog, encoded, encoded.catalog
        spool = self._spool = DataSpool(options.spool_bytes)
        self._labels = None
        if len(catalog.schema) <= MAX_LABELLED_COLUMNS:
            self._labels = LabelWriter(
                spool,
                catalog.table_id,
                catalog.segment_id,
                catalog.schema,
                catalog.options,
                encoded.signposts,
            )

    def finish(
        self,
        versions: Sequence[Version],
        *,
        tombstones: I64Array | None = None,
        sources: bytes | None = None,
        tags: dict[str, int] | None = None,
        history: SchemaHistory = NO_HISTORY,
        progress: Progress | None = None,
    ) -> None:
        """Lay out the file, see :meth:`SegmentWriter.finish`."""
        spool, stream = self._spool, StreamWriter(self.path, self._spool, self._labels, self.options.level)
        for part in self._encoded.parts():
            stream.append(part, Stratum.ORDINARY)
        earlier = read_tags(self.path)
        comments = own_comments(self.path, earlier)
        deleted = None
        if tombstones is not None and len(tombstones):
            deleted = stream.store(pack_tombstones(tombstones, None, self.path), Labelled.TOMBSTONES)
        catalog = replace(
            self._catalog,
            versions=tuple(versions),
            tombstones=deleted,
            sources=None if sources is None else stream.store(sources),
            tags=tags or {},
            history=history,
            comments={} if self.options.protection.share is None else comments,
        )
        catalog = replace(catalog, data_bytes=spool.length)
        if self._labels is not None:
            self._labels.finish(facts_of(catalog))
        self._place(catalog, spool, comments, earlier, progress)
        self._close()

    def _close(self) -> None:
        self._spool.close()
