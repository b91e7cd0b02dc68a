"""A catalog as bytes. Stored at the front of the file and again at the end.

A MessagePack map, compressed with zstd, behind a 16-byte header. Nothing in it is believed: every count,
length and place is checked against the file before it is used, and a feature that this version does not know
is refused.
"""

from __future__ import annotations

import struct
import threading
from typing import Any

import msgpack
import zstandard

from audiomem_sql.blocks.whole_values import check_whole
from audiomem_sql.errors import AudioMemError, DamagedFileError, FormatVersionError, LimitError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.catalog_features import FEATURES
from audiomem_sql.storage.segment.catalog_fields import catalog_of, map_of

#: What bytes raise that are no packed values, or not those that belong there.
MALFORMED = (
    zstandard.ZstdError,
    msgpack.UnpackException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
)
CATALOG_MAGIC = b"AuMC"
#: magic, stored bytes behind this header, bytes before compression, CRC-32C of the stored bytes
CATALOG_HEADER = struct.Struct("<4s I I I")
#: Most bytes of a catalog, before or after compression.
MAX_CATALOG_BYTES = 1 << 28
#: Most elements of all lists and maps of a catalog together: what it may take in memory beyond its bytes.
MAX_ELEMENTS = 1 << 22
#: Most elements of one list or map.
MAX_LENGTH = 1 << 20
MAX_VERSIONS = 1 << 19
#: zstd levels of what stays, and of what is read once.
_LEVEL, _STAGED_LEVEL = 12, 1
#: Bytes of the maps of catalogs that are kept after they were written.
_KEPT_BYTES = 64 << 10


def check_version_count(count: int) -> None:
    """LimitError if there is no room for one more version beside ``count``."""
    if count >= MAX_VERSIONS:
        raise LimitError(
            f"the table keeps {count:,} versions, the most that there can be are {MAX_VERSIONS:,}",
            remedy="Vacuum it and keep fewer versions: `audiomem vacuum --retain 1000`.",
        )


def pack_catalog(catalog: Catalog, known: Catalog | None = None) -> bytes:
    """Header and compressed map; LimitError if no reader would take it.

    known: the catalog that was read and that this one was made of, see ``catalog_of``.
    """
    raw = _map_bytes(catalog)
    try:
        read = catalog_of(unpack_bounded(raw), known)
    except (AudioMemError, *MALFORMED) as error:
        raise _refused(error) from None
    packed = _compressed(raw, _LEVEL)
    _newest.keep(packed, len(raw), read)
    return packed


def pack_staged(catalog: Catalog) -> bytes:
    """The same for a segment that waits for its place: whoever gives it one reads, and so checks, it."""
    return _compressed(_map_bytes(catalog), _STAGED_LEVEL)


def _map_bytes(catalog: Catalog) -> bytes:
    """The map of a catalog, as MessagePack. LimitError if that is too large."""
    try:
        raw: bytes = msgpack.packb(map_of(catalog))
    except MALFORMED as error:
        raise _refused(error) from None
    if len(raw) > MAX_CATALOG_BYTES or len(catalog.versions) > MAX_VERSIONS:
        raise LimitError(
            f"a catalog of {len(raw):,} bytes and {len(catalog.versions):,} versions is over the limit of "
            f"{MAX_CATALOG_BYTES:,} and {MAX_VERSIONS:,}",
            remedy="Divide the table, or keep fewer versions.",
        )
    return raw


def _compressed(raw: bytes, level: int) -> bytes:
    stored = zstandard.ZstdCompressor(level=level).compress(raw)
    return CATALOG_HEADER.pack(CATALOG_MAGIC, len(stored), len(raw), crc32c(stored)) + stored


class _Newest(threading.local):
    """The catalogs that this thread packed last: who writes a file opens it next, and has read them then."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[int, Catalog]] = {}

    def keep(self, packed: bytes, size: int, catalog: Catalog) -> None:
        """Keep one for the next reading, and of those before what there is room for. size: of its map."""
        self._kept[packed] = size, catalog
        left = _KEPT_BYTES
        for each, (taken, _) in reversed(list(self._kept.items())):
            left -= taken
            if left < 0:
                del self._kept[each]

    def taken(self, data: bytes) -> Catalog | None:
        """The catalog, once, if ``data`` is what was packed."""
        kept = self._kept.pop(data, None)
        return None if kept is None else kept[1]


_newest = _Newest()


def _refused(error: Exception) -> LimitError:
    return LimitError(
        f"what is to be written could not be read again ({error!s:.200})",
        remedy="Divide the table, or keep fewer versions.",
    )


def unpack_catalog(data: bytes) -> Catalog:
    """The inverse; DamagedFileError (without a file) for anything that contradicts itself."""
    if (written := _newest.taken(data)) is not None:
        return written
    _, size, raw_size, crc = parse_header(data)
    stored = data[CATALOG_HEADER.size : CATALOG_HEADER.size + size]
    if len(stored) != size or crc32c(stored) != crc:
        raise DamagedFileError("the catalog does not match its CRC-32C")
    try:
        if zstandard.frame_content_size(stored) != raw_size:
            raise DamagedFileError("the catalog states two sizes")
        raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=raw_size)
        content = unpack_bounded(raw)
        unknown = set(content["requires"]) - FEATURES.keys()
        if unknown:
            raise FormatVersionError(
                f"needs features that this version does not have: {', '.join(sorted(map(str, unknown)))}",
                remedy="Open it with a newer audiomem-sql.",
            )
        return catalog_of(content)
    except AudioMemError:
        raise
    except MALFORMED as error:
        raise DamagedFileError(
            f"the catalog cannot be understood ({type(error).__name__}: {error!s:.200})"
        ) from None


def parse_header(data: bytes) -> tuple[bytes, int, int, int]:
    """(magic, stored bytes, raw bytes, CRC-32C) from the first 16 bytes.

    DamagedFileError if they are not a header.
    """
    if len(data) < CATALOG_HEADER.size:
        raise DamagedFileError("the catalog ends inside its header")
    magic, stored, raw, crc = CATALOG_HEADER.unpack_from(data)
    if magic != CATALOG_MAGIC or max(stored, raw) > MAX_CATALOG_BYTES:
        raise DamagedFileError("there is no catalog where one must be")
    return magic, stored, raw, crc


class _Budget:
    """Counts the elements of lists and maps as they are unpacked; ValueError when there are too many."""

    def __init__(self) -> None:
        self.left = MAX_ELEMENTS

    def __call__(self, value: Any) -> Any:
        self.left -= 1 + len(value)
        if self.left < 0:
            raise ValueError("it has more elements than any that is written")
        return value


def unpack_bounded(raw: bytes) -> Any:
    """One MessagePack value, in bounded memory: an empty list takes one byte there and 64 here."""
    check_whole(raw)
    budget = _Budget()
    return msgpack.unpackb(
        raw,
        strict_map_key=True,
        max_map_len=MAX_LENGTH,
        max_array_len=MAX_LENGTH,
        max_ext_len=0,
        list_hook=budget,
        object_hook=budget,
    )
