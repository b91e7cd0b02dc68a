"""The last steps of a segment: its seal, where its bytes are laid out, and the name that they get."""

from __future__ import annotations

from dataclasses import replace

from audiomem_sql.audio import Tags
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.pages import DIGEST_BYTES, FileSpec, HeadRecord
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.catalog_packing import pack_catalog
from audiomem_sql.storage.segment.data_spool import DataSpool
from audiomem_sql.storage.segment.new_file import NewFile, Placement
from audiomem_sql.storage.segment.seal import FIRST_SEAL, Seal, digest_of
from audiomem_sql.storage.segment.vorbis_comments import carried_comments
from audiomem_sql.storage.segment.write_options import WriteOptions
from audiomem_sql.warn_once import warn_or_log

_READ_AT_ONCE = 1 << 20


class PlacedSegment:
    """A segment that is laid out when its catalog and its data are known; ``publish`` gives it its name.

    After any error call ``abandon``: nothing is left behind, and a file already at ``path`` stays as it was.
    """

    def __init__(
        self,
        path: str,
        options: WriteOptions,
        segment_id: bytes,
        *,
        like: str | None = None,
        seal: Seal = FIRST_SEAL,
        placement: Placement | None = None,
    ) -> None:
        """The arguments are those of ``SegmentWriter``."""
        self.path = path
        self.options = options
        self.rows = 0
        self.head: HeadRecord | None = None  # of the file with the segment, once it is laid out
        self._segment_id = segment_id
        self._known: Catalog | None = None  # the catalog as it was read, of rows that were encoded elsewhere
        self._seal = seal
        self._file = NewFile(path, like) if placement is None else placement
        self._damage: DamagedFileError | None = None  # of other segments of the file

    def _place(
        self,
        catalog: Catalog,
        spool: DataSpool,
        comments: dict[str, str],
        earlier: Tags,
        progress: Progress | None,
    ) -> None:
        """Write the file. earlier: the comments and pictures of the file whose place it takes."""
        options = self.options
        spec = FileSpec(
            options.profile,
            options.protection,
            self._segment_id,
            comments,
            carried_comments(earlier, comments),
            options.mode,
            options.by_bands,
        )
        data_digest = _data_digest(spool)
        try:
            try:
                self._put(catalog, data_digest, spec, spool, progress)
            except DamagedFileError as error:
                otherwise = self._file.otherwise if isinstance(self._file, NewFile) else None
                if otherwise is None:
                    raise
                self._damage = error.with_traceback(None)
                self._file.abandon()
                self._seal, self._file = otherwise
                self._put(catalog, data_digest, spec, spool, progress)
        except StorageError:
            self.abandon()
            raise

    def _put(
        self,
        catalog: Catalog,
        data_digest: bytes,
        spec: FileSpec,
        spool: DataSpool,
        progress: Progress | None,
    ) -> None:
        """Write the segment where it belongs. DamagedFileError if pages in front of it are lost."""
        sealed = replace(catalog, seal=replace(self._seal, data_digest=data_digest))
        packed = pack_catalog(sealed, self._known)
        self.head = self._head(catalog, packed)
        spec = replace(spec, head=self.head)
        self._file.lay_out(spec, packed, spool, self.options.parity_bytes, progress)

    def _head(self, catalog: Catalog, packed: bytes) -> HeadRecord:
        """The head record of the file once the segment is its newest."""
        return HeadRecord(
            self._seal.generation,
            catalog.table_id,
            0,
            self._segment_id,
            digest_of(packed),
            catalog.last_version,
        )

    @property
    def segment_id(self) -> bytes:
        """Names the segment for ever."""
        return self._segment_id

    @property
    def placement(self) -> Placement:
        """Where the segment is written."""
        return self._file

    @property
    def temporary(self) -> str:
        """The name of the finished file until ``publish``. StorageError if it has no file of its own."""
        if not isinstance(self._file, NewFile):
            raise StorageError("the segment is appended to a file", file=self.path)
        return self._file.temporary

    def publish(self, *, replace: bool = True) -> None:
        """Give the finished file its name, durably.

        StorageError if ``replace`` is False and the name is taken.
        """
        self._file.publish(replace=replace)
        if self._damage is not None:
            place = f"{self.path}: {self._damage.place}"
            warn_or_log(
                ("damaged", place),
                f"{place}: is damaged beyond what the parity of the file brings back. So new commits are "
                "appended, with parity of their own, and what is lost stays lost. Restore the file from a "
                "copy: `audiomem verify` lists the damage, `audiomem salvage` saves the rest.",
            )

    def abandon(self) -> None:
        """Drop everything; a file already at ``path`` stays as it was."""
        self._close()
        self._file.abandon()

    def _close(self) -> None:
        """Let go of what was collected."""


def _data_digest(spool: DataSpool) -> bytes:
    """The digest of the data stream."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    spool.seek(0)
    while part := spool.read(_READ_AT_ONCE):
        check_interrupt()
        digest.update(part)
    return digest.digest()
