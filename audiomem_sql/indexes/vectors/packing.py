"""Codes ⇄ bytes: int8 (n, d), n vectors of d coordinates, as one zstd frame.

The frame saves by its Huffman codes alone. The codes are laid out coordinate by coordinate and cut into
groups of neighbouring coordinates, each a zstd block, so that each group has a Huffman code of its own; the
rotation sorts coordinates by variance, so neighbours are distributed alike. From every code the centre of its
list is taken first, and the sign goes to the lowest bit, which leaves small numbers. Codes of a trellis are
their numbers there.

An arithmetic coder would save another 4 % (docs/VECTORS.md); but libzstd decodes a million vectors of 384
numbers a second, and interleaved rANS in numpy a twentieth of that.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import zstandard

from audiomem_sql.arrays import I8Array, U8Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors.trellis import NO_TRELLIS, Trellis

#: Most groups of coordinates, and the vectors that pay for one more: a Huffman code takes about 30 bytes.
MAX_GROUPS = 12
VECTORS_A_GROUP = 15

#: Coordinates of a byte behind the trellis, where most codes are 0, and what stands there for larger ones.
_QUAD = 4
_ESCAPE = np.uint8(3)

#: A zstd block of at most 128 KiB takes at least 4 bytes: no frame holds more than its length times two to
#: this power.
_MOST_RATIO = 15

#: Repetitions are chance in codes like these: look for as few as zstd can, and weigh whether coding one pays
#: (btopt does).
_PARAMETERS = zstandard.ZstdCompressionParameters(
    window_log=17,
    hash_log=6,
    chain_log=6,
    search_log=1,
    min_match=7,
    target_length=999,
    strategy=zstandard.STRATEGY_BTOPT,
    write_content_size=1,
    write_checksum=0,
)


_of_thread = threading.local()


def pack_codes(codes: I8Array, centre: I8Array, trellis: Trellis = NO_TRELLIS) -> bytes:
    """int8 (n, d), of a list whose centre is int8 (d,), as bytes."""
    count, dimensions = codes.shape
    plane = _folded(trellis.numbers(np.ascontiguousarray(codes.T)) - trellis.numbers(centre[:, None]))
    escapes = b""
    if trellis.width:
        narrow, escapes = _quads(plane[trellis.last :])
        plane = np.concatenate((plane[: trellis.last], narrow))
    packer = zstandard.ZstdCompressor(compression_params=_PARAMETERS).compressobj(
        size=plane.size + len(escapes)
    )
    pieces = []
    for first, last in _groups(count, trellis.last if trellis.width else dimensions, len(plane)):
        pieces.append(packer.compress(plane[first:last].tobytes()))
        pieces.append(packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    if escapes:
        pieces.append(packer.compress(escapes))
    return b"".join(pieces) + packer.flush()


def _groups(count: int, single: int, rows: int) -> list[tuple[int, int]]:
    """The rows of each block, of a plane whose first ``single`` rows have a coordinate each, others four."""
    groups = max(1, min(MAX_GROUPS, count // VECTORS_A_GROUP, single))
    ends = [group * single // groups for group in range(groups + 1)]
    return list(pairwise(ends)) + ([(single, rows)] if rows > single else [])


def unpack_codes(data: bytes, count: int, centre: I8Array, trellis: Trellis = NO_TRELLIS) -> I8Array:
    """int8 (count, d) of :func:`pack_codes`. Raises DamagedFileError (without a place) for anything else."""
    return unpack_together([data], [count], centre[np.newaxis], trellis)


def unpack_together(
    packed: Sequence[bytes], counts: Sequence[int], centres: I8Array, trellis: Trellis = NO_TRELLIS
) -> I8Array:
    """The same of several lists, whose centres are int8 (lists, d), one behind the other.

    A step over all of them takes little longer than one over a small list.
    """
    dimensions = centres.shape[1]
    rows = dimensions
    if trellis.width:
        rows = trellis.last + -(-(dimensions - trellis.last) // _QUAD)
    planes: list[U8Array] = []
    escapes: list[U8Array] = []
    for data, count in zip(packed, counts, strict=True):
        more = _content_size(data) - rows * count if trellis.width else 0
        if not 0 <= more <= (dimensions - trellis.last) * count:
            raise DamagedFileError("a list of vectors has more codes than vectors")
        content = np.frombuffer(unpack_bytes(data, rows * count + more), np.uint8)
        planes.append(content[: rows * count].reshape(rows, count))
        escapes.append(content[rows * count :])
    folded = plane = np.concatenate(planes, axis=1)
    if trellis.width:
        folded = np.empty((dimensions, plane.shape[1]), np.uint8)
        folded[: trellis.last] = plane[: trellis.last]
        _spread(plane[trellis.last :], escapes, counts, folded[trellis.last :])
    numbers = _unfolded(folded)
    numbers += np.repeat(trellis.numbers(np.ascontiguousarray(centres.T)), counts, axis=1)
    trellis.restore(numbers)
    return np.ascontiguousarray(numbers.T)


def _quads(folded: U8Array) -> tuple[U8Array, bytes]:
    """Of uint8 (d, n) four coordinates a byte, uint8 (d / 4, n), and what is left of those from 3 on."""
    small = np.zeros((-(-len(folded) // _QUAD) * _QUAD, folded.shape[1]), np.uint8)
    np.minimum(folded, _ESCAPE, out=small[: len(folded)])
    quads = small[0::4] | small[1::4] << 2 | small[2::4] << 4 | small[3::4] << 6
    return quads, (folded[folded >= _ESCAPE] - _ESCAPE).tobytes()


def _spread(quads: U8Array, escapes: Sequence[U8Array], counts: Sequence[int], folded: U8Array) -> None:
    """The inverse, into uint8 (d, n) ``folded``, of lists of ``counts`` vectors with ``escapes`` each."""
    for place in range(_QUAD):
        own = folded[place::_QUAD]
        np.bitwise_and(quads[: len(own)] >> 2 * place, _ESCAPE, out=own)
    escaped = folded == _ESCAPE
    at = 0
    for others, count in zip(escapes, counts, strict=True):
        here = escaped[:, at : at + count]
        if np.count_nonzero(here) != len(others):
            raise DamagedFileError("a list of vectors has other codes than it should")
        folded[:, at : at + count][here] = others + _ESCAPE
        at += count


def pack_numbers(data: bytes) -> bytes:
    """One zstd frame, as :func:`pack_bytes`, of bytes that repeat by chance only, as codes do."""
    packed: bytes = zstandard.ZstdCompressor(compression_params=_PARAMETERS).compress(data)
    return packed


def pack_bytes(data: bytes, level: int = 9) -> bytes:
    """One zstd frame that states its content size."""
    packed: bytes = zstandard.ZstdCompressor(
        level=level, write_checksum=False, write_content_size=True
    ).compress(data)
    return packed


def unpack_bytes(data: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes from one zstd frame.

    DamagedFileError (without a place) before more memory is taken.
    """
    if size > len(data) << _MOST_RATIO:
        raise DamagedFileError(f"{size} bytes are expected of {len(data)}, more than zstd can pack")
    stated = _content_size(data)
    if stated != size:
        raise DamagedFileError(f"{stated} bytes are packed where {size} are expected")
    try:
        raw: bytes = _decompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedFileError(f"packed vectors cannot be unpacked ({error})") from None
    if len(raw) != size:
        raise DamagedFileError(f"{len(raw)} bytes were packed where {size} are expected")
    return raw


def _decompressor() -> zstandard.ZstdDecompressor:
    """That of this thread: making one takes as long as unpacking a small list."""
    own: zstandard.ZstdDecompressor | None = getattr(_of_thread, "decompressor", None)
    if own is None:
        own = _of_thread.decompressor = zstandard.ZstdDecompressor()
    return own


def _content_size(data: bytes) -> int:
    """The bytes that a zstd frame says it holds; DamagedFileError (without a place) for no frame."""
    try:
        return int(zstandard.get_frame_parameters(data).content_size)
    except zstandard.ZstdError as error:
        raise DamagedFileError(f"packed vectors cannot be unpacked ({error})") from None


def _folded(codes: I8Array) -> U8Array:
    """0, -1, 1, -2, … as 0, 1, 2, 3, ….

    Differences wrap modulo 256, so no pair of code and centre is too far apart.
    """
    return ((codes << 1) ^ (codes >> 7)).view(np.uint8)


def _unfolded(folded: U8Array) -> I8Array:
    """The inverse of :func:`_folded`, in its place."""
    signs = folded & 1
    np.negative(signs, out=signs)
    folded >>= 1
    folded ^= signs
    return folded.view(np.int8)
