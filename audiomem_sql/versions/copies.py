"""Copies of a table's file in several places: which of them are the same, damaged, or something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.errors import AudioMemError, DamagedFileError, NotAudioMemoryError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.storage.segment import Numbering, open_table_file
from audiomem_sql.versions.files import TableFiles
from audiomem_sql.versions.remote_files import RemoteTableFiles
from audiomem_sql.versions.snapshot import Snapshot

#: Seconds that a store may go on failing before another copy is read.
BUDGET_SECONDS = 2.0
#: Places of a file that are compared where its catalog cannot be read, and bytes of each.
_SAMPLES, _SAMPLE_BYTES = 32, 4096


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells the file of a table from another: table, size, and the digests of its segments' catalogs."""

    table: bytes
    size: int
    segments: tuple[bytes, ...]
    version: int


@dataclass(slots=True)
class Copy:
    """One place. address: what opens it. source: its bytes, None if they cannot be had.

    signature: None if it cannot be read; fault: why, or what else is wrong with it. numbering: of a segment
    that a manifest numbers.
    """

    address: str
    source: ByteSource | None = None
    signature: Signature | None = None
    fault: AudioMemError | None = None
    numbering: Numbering | None = None

    @property
    def name(self) -> str:
        """How messages name it."""
        return shown(self.address)

    def close(self) -> None:
        """Let go of the bytes."""
        if self.source is not None:
            self.source.close()
            self.source = None


def open_copies(addresses: Sequence[str], numbering: Numbering | None = None) -> list[Copy]:
    """What is in each place; those in stores are asked at the same time. numbering: of segments.

    Raises what says that a place can never be read, such as MissingExtraError, and NumberedElsewhereError for
    a table with a manifest; that there is nothing, or nobody answers, is the ``fault`` of a copy.
    """
    with ThreadPool(len(addresses), thread_name_prefix="audiomem-copies") as executor:
        opening = [executor.submit(_opened, address, numbering) for address in addresses]
    copies: list[Copy] = []
    try:
        copies.extend(each.result() for each in opening)
    except BaseException:
        for each in opening:
            if each.exception() is None:
                each.result().close()
        raise
    return copies


def snapshot_of(copy: Copy, cache: BlockCache) -> tuple[Snapshot, TableFiles]:
    """What is in one copy alone; the snapshot must be closed. Raises as opening it."""
    files = _AloneFiles.of_copy(copy)
    return files.load(cache), files


@dataclass(frozen=True, slots=True)
class _AloneFiles(RemoteTableFiles):
    """One copy as the files of a table, without what may be beside it."""

    source: ByteSource | None = None
    numbering: Numbering | None = None

    @classmethod
    def of_copy(cls, copy: Copy) -> _AloneFiles:
        return cls(copy.name, url=copy.address, tiers=[], source=copy.source, numbering=copy.numbering)

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        if self.numbering is None:
            return RemoteTableFiles.load(self, cache, known)
        file = open_table_file(self._bytes(self.url), cache, numbering=self.numbering)
        return Snapshot(file.segments, None, table_file=file)

    def _bytes(self, url: str) -> ByteSource:
        assert self.source is not None
        return self.source.reopen()


def _opened(address: str, numbering: Numbering | None) -> Copy:
    copy = Copy(address, numbering=numbering)
    try:
        copy.source = _source(address)
    except (StorageError, NotAudioMemoryError) as error:  # the latter: it is empty
        copy.fault = error
        return copy
    try:
        copy.signature = _signature(copy.source, numbering)
    except (DamagedFileError, NotAudioMemoryError, StorageError) as error:
        copy.fault = error
    except BaseException:
        copy.close()
        raise
    return copy


def _source(address: str) -> ByteSource:
    if not is_url(address):
        return open_source(address)
    from audiomem_sql.remote import RemoteFile, RemoteOptions

    options = RemoteOptions.of_environment()
    return RemoteFile(address, replace(options, budget=min(options.budget, BUDGET_SECONDS)))


def _signature(source: ByteSource, numbering: Numbering | None) -> Signature:
    """What the file says that it is. Raises as ``open_table_file``, and for a file that was cut."""
    file = open_table_file(source.reopen(), BlockCache(0), numbering=numbering)
    try:
        if any(segment.file.truncated for segment in file.segments):
            raise DamagedFileError("pages are missing at the end", file=source.name)
        catalog = file.newest.catalog
        digests = tuple(segment.digest for segment in file.segments)
        return Signature(catalog.table_id, source.size, digests, catalog.last_version)
    finally:
        file.close()


def leader(copies: Sequence[Copy]) -> Copy:
    """The first copy that can be read; the error of the first of all if none can."""
    for copy in copies:
        if copy.signature is not None:
            return copy
    fault = copies[0].fault
    assert fault is not None
    raise fault


def check_same(copies: Sequence[Copy]) -> None:
    """StorageError if one of them is whole and is not the file that the others are.

    One whose catalog is damaged counts as the same if it has the size, and half of some samples are equal;
    then it has its fault. A cut one is a copy if it begins alike.
    """
    first = leader(copies)
    assert first.signature is not None
    assert first.source is not None
    for copy in copies:
        if copy is first or copy.source is None:
            continue
        if copy.signature is None:
            if not _resembles(copy.source, first.source):
                raise _different(copy, first, "holds another file")
        elif copy.signature != first.signature:
            raise _different(copy, first, _difference(copy.signature, first.signature))


def _different(copy: Copy, first: Copy, what: str) -> StorageError:
    return StorageError(
        f"{what} than {first.name}: these are no copies of one file",
        file=copy.address,
        remedy="Copy the one that you want to the other place, or leave one out.",
    )


def _difference(one: Signature, other: Signature) -> str:
    if one.table != other.table:
        return "holds another table"
    if one.segments != other.segments:
        return f"holds another state of the table (version {one.version}, and {other.version} there)"
    return f"has {one.size:,} bytes, and {other.size:,} are there; it holds another file"


def _resembles(one: ByteSource, other: ByteSource) -> bool:
    """Whether half of some samples of two files are the same; the first one may be cut."""
    size = min(one.size, other.size)
    if one.size > other.size:
        return False
    step = max(_SAMPLE_BYTES, size // _SAMPLES)
    ranges = [(start, min(_SAMPLE_BYTES, size - start)) for start in range(0, size, step)]
    try:
        pairs = zip(one.read(ranges), other.read(ranges), strict=True)
        return 2 * sum(left == right for left, right in pairs) >= len(ranges)
    except StorageError:
        return True  # nothing says that it is another one, and it is not read from
