"""The bytes of an index: one header, and a piece for each list of vectors.

docs/VECTORS.md says what is at which byte.

Whatever a header or a piece states is compared with the bytes that are there, and with what the reader knows,
before memory is taken for it; what contradicts raises DamagedFileError (without a place).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F32Array, I8Array, U16Array
from audiomem_sql.columns.vector_index import COSINE, INNER_PRODUCT, L2
from audiomem_sql.errors import DamagedFileError, FormatVersionError
from audiomem_sql.indexes.vectors.arrays import MAX_DIMENSIONS
from audiomem_sql.indexes.vectors.codec import DIGEST_BYTES
from audiomem_sql.indexes.vectors.packing import (
    pack_bytes,
    pack_codes,
    unpack_bytes,
    unpack_codes,
    unpack_together,
)
from audiomem_sql.indexes.vectors.trellis import NO_TRELLIS, Trellis

#: magic, version, flags, 0, dimensions, lists, rows, digest of the codec, bytes of codec, centres and
#: membership
INDEX_HEADER = struct.Struct(f"<4s B B H I I Q {DIGEST_BYTES}s I I I")
MAGIC = b"AuVI"
VERSION = 1
#: The version of an index of vectors that are not compared by their directions: the number of the metric
#: stands where version 1 has a zero, and the scale behind the header.
SCALED_VERSION = 2
SCALE = struct.Struct("<f")
#: The version of an index whose codec has a trellis, by any metric: as version 2, with 0 for directions.
TRELLIS_VERSION = 3
METRIC_NUMBERS = {COSINE: 0, L2: 1, INNER_PRODUCT: 2}
#: In flags: pieces have a length for each vector.
LENGTHS = 1
#: number of the list, its vectors, bytes of the codes
LIST_HEADER = struct.Struct("<I I I")

#: Up to so many rows the membership is packed as well as zstd can, which takes a microsecond a row.
MAX_CAREFUL = 100_000

#: Most lists; two numbers above them say that a row is in none.
MAX_LISTS = 65_534
#: Most bytes of the codes of one list, decoded; the writer cuts lists that are longer.
MAX_LIST_BYTES = 1 << 26
#: Most bytes of the centres of an index, decoded.
MAX_CENTRE_BYTES = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class IndexHeader:
    """The header of an index.

    ``membership`` is uint16 (rows,): the list of each row, ``lists`` for NULL, ``lists`` + 1 for a vector of
    zeros. ``centres`` is int8 (lists, d), the middle of each list in codes. ``codec`` is empty if the codec
    is kept elsewhere, under its ``digest``. ``scale``: a decoded vector, times its length, times this is the
    vector; 1 for cosine. ``has_trellis``: the codec has one.
    """

    dimensions: int
    has_lengths: bool
    digest: bytes
    codec: bytes
    centres: I8Array
    membership: U16Array
    metric: str = COSINE
    scale: float = 1.0
    has_trellis: bool = False

    @property
    def version(self) -> int:
        """The oldest version that can say all of this."""
        if self.has_trellis:
            return TRELLIS_VERSION
        return VERSION if self.metric == COSINE else SCALED_VERSION

    @property
    def lists(self) -> int:
        """Number of lists."""
        return len(self.centres)

    def to_bytes(self) -> bytes:
        """Header, codec, centres, membership."""
        centres = pack_codes(self.centres, np.zeros(self.dimensions, np.int8)) if self.lists else b""
        width = _width(self.lists)
        planes = self.membership.astype(f"<u{width}").view(np.uint8).reshape(-1, width)
        level = 19 if len(planes) <= MAX_CAREFUL else 3
        membership = pack_bytes(np.ascontiguousarray(planes.T).tobytes(), level)
        return (
            INDEX_HEADER.pack(
                MAGIC,
                self.version,
                LENGTHS if self.has_lengths else 0,
                METRIC_NUMBERS[self.metric],
                self.dimensions,
                self.lists,
                len(self.membership),
                self.digest,
                len(self.codec),
                len(centres),
                len(membership),
            )
            + (b"" if self.version == VERSION else SCALE.pack(self.scale))
            + self.codec
            + centres
            + membership
        )

    @classmethod
    def from_bytes(cls, data: bytes, rows: int) -> IndexHeader:
        """The inverse, of an index of ``rows`` rows.

        Raises FormatVersionError for a version that is newer, DamagedFileError for anything that contradicts
        itself.
        """
        if len(data) < INDEX_HEADER.size:
            raise DamagedFileError("an index of vectors is shorter than its header")
        magic, version, flags, number, dimensions, lists, stated, digest, codec, centres, membership = (
            INDEX_HEADER.unpack_from(data)
        )
        if magic != MAGIC:
            raise DamagedFileError("an index of vectors does not begin like one")
        if version not in (VERSION, SCALED_VERSION, TRELLIS_VERSION):
            raise FormatVersionError(
                f"an index of vectors has version {version}, and {TRELLIS_VERSION} is the newest known"
            )
        metric, scale, body = _metric_of(data, version, number)
        if flags & ~LENGTHS:
            raise DamagedFileError(f"an index of vectors has flags {flags} that do not exist")
        if stated != rows:
            raise DamagedFileError(f"an index of vectors has {stated} rows where there are {rows}")
        if not 0 < dimensions <= MAX_DIMENSIONS or lists > min(
            rows, MAX_LISTS, MAX_CENTRE_BYTES // dimensions
        ):
            raise DamagedFileError(f"an index of vectors claims {dimensions} dimensions and {lists} lists")
        if body + codec + centres + membership != len(data):
            raise DamagedFileError("an index of vectors has another length than its parts")
        at = body + codec
        middle = np.empty((0, dimensions), np.int8)
        if lists:
            middle = unpack_codes(data[at : at + centres], lists, np.zeros(dimensions, np.int8))
        elif centres:
            raise DamagedFileError("an index of vectors without lists has centres")
        width = _width(lists)
        planes = np.frombuffer(unpack_bytes(data[at + centres :], rows * width), np.uint8)
        numbers = np.ascontiguousarray(planes.reshape(width, rows).T).view(f"<u{width}").reshape(rows)
        if rows and int(numbers.max()) > lists + 1:
            raise DamagedFileError("a row is in a list of vectors that does not exist")
        return cls(
            dimensions,
            bool(flags & LENGTHS),
            digest,
            data[body:at],
            middle,
            numbers.astype(np.uint16),
            metric,
            scale,
            version == TRELLIS_VERSION,
        )


def _metric_of(data: bytes, version: int, number: int) -> tuple[str, float, int]:
    """Metric and scale of an index, and where its codec begins."""
    if version == VERSION:
        if number:
            raise DamagedFileError("an index of vectors has a metric that its version does not have")
        return COSINE, 1.0, INDEX_HEADER.size
    metric = next((name for name, own in METRIC_NUMBERS.items() if own == number), None)
    end = INDEX_HEADER.size + SCALE.size
    if metric is None or (version == SCALED_VERSION and metric == COSINE) or len(data) < end:
        raise DamagedFileError("an index of vectors does not say what it compares")
    (scale,) = SCALE.unpack_from(data, INDEX_HEADER.size)
    if not np.isfinite(scale) or scale <= 0 or (metric == COSINE and scale != 1):
        raise DamagedFileError("an index of vectors has a scale that is none")
    return metric, float(scale), end


def encode_list(
    number: int,
    codes: I8Array,
    centre: I8Array,
    lengths: F32Array | None,
    trellis: Trellis = NO_TRELLIS,
) -> bytes:
    """The piece of list ``number``: int8 (n, d) codes, and float32 (n,) lengths if the index has them."""
    packed = pack_codes(codes, centre, trellis)
    piece = LIST_HEADER.pack(number, len(codes), len(packed)) + packed
    if lengths is None:
        return piece
    planes = np.ascontiguousarray(lengths.astype("<f4").view(np.uint8).reshape(-1, 4).T)
    return piece + pack_bytes(planes.tobytes(), level=3)


def decode_list(
    piece: bytes,
    number: int,
    count: int,
    centre: I8Array,
    has_lengths: bool,
    trellis: Trellis = NO_TRELLIS,
) -> tuple[I8Array, F32Array | None]:
    """int8 (count, d) and float32 (count,) or None, if ``piece`` is the list ``number`` of ``count`` vectors.

    Raises DamagedFileError (without a place) for anything else.
    """
    packed, lengths = _parts(piece, number, count, len(centre), has_lengths)
    return unpack_codes(packed, count, centre, trellis), lengths


def decode_lists(
    pieces: Sequence[bytes],
    numbers: Sequence[int],
    counts: Sequence[int],
    header: IndexHeader,
    trellis: Trellis = NO_TRELLIS,
) -> tuple[I8Array, F32Array | None]:
    """:func:`decode_list` of several lists of one index, one behind the other."""
    packed, lengths = [], []
    for piece, number, count in zip(pieces, numbers, counts, strict=True):
        codes, own = _parts(piece, number, count, header.dimensions, header.has_lengths)
        packed.append(codes)
        if own is not None:
            lengths.append(own)
    together = unpack_together(packed, counts, header.centres[list(numbers)], trellis)
    return together, np.concatenate(lengths) if lengths else None


def _parts(
    piece: bytes, number: int, count: int, dimensions: int, has_lengths: bool
) -> tuple[bytes, F32Array | None]:
    """The packed codes of a list, and its lengths; see :func:`decode_list`."""
    if len(piece) < LIST_HEADER.size:
        raise DamagedFileError("a list of vectors is shorter than its header")
    stated, vectors, size = LIST_HEADER.unpack_from(piece)
    if (stated, vectors) != (number, count):
        raise DamagedFileError(
            f"list {number} of {count} vectors is expected where list {stated} of {vectors} is"
        )
    if count * dimensions > max(MAX_LIST_BYTES, dimensions):
        raise DamagedFileError("a list of vectors is longer than any that is written")
    end = LIST_HEADER.size + size
    if len(piece) < end or (len(piece) > end) != has_lengths:
        raise DamagedFileError("a list of vectors has another length than its parts")
    packed = piece[LIST_HEADER.size : end]
    if not has_lengths:
        return packed, None
    planes = np.frombuffer(unpack_bytes(piece[end:], 4 * count), np.uint8).reshape(4, count)
    lengths = np.ascontiguousarray(planes.T).view("<f4").reshape(count).astype(np.float32)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise DamagedFileError("a vector has a length that is none")
    return packed, lengths


def _width(lists: int) -> int:
    """Bytes of a list's number, with the two that stand for none."""
    return 1 if lists + 1 <= 0xFF else 2
