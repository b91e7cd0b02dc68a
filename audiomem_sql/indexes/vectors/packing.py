"""Codes ⇄ bytes: int8 (n, d), n vectors of d coordinates, as one zstd frame.

The frame saves by its Huffman codes alone. The codes are laid out coordinate by coordinate and cut into
groups of neighbouring coordinates, each a zstd block, so that each group has a Huffman code of its own; the
rotation sorts coordinates by variance, so neighbours are distributed alike. From every code the centre of its
list is taken first, and the sign goes to the lowest bit, which leaves small numbers.

An arithmetic coder would save another 4 % (docs/VECTORS.md); but libzstd decodes a million vectors of 384
numbers a second, and interleaved rANS in numpy a twentieth of that.
"""

from __future__ import annotations

import numpy as np
import zstandard

from audiomem_sql.arrays import I8Array, U8Array
from audiomem_sql.errors import DamagedFileError

#: Most groups of coordinates, and the vectors that pay for one more: a Huffman code takes about 30 bytes.
MAX_GROUPS = 12
VECTORS_A_GROUP = 32

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


def pack_codes(codes: I8Array, centre: I8Array) -> bytes:
    """int8 (n, d), of a list whose centre is int8 (d,), as bytes."""
    count, dimensions = codes.shape
    plane = np.ascontiguousarray(_folded(codes - centre).T)
    packer = zstandard.ZstdCompressor(compression_params=_PARAMETERS).compressobj(size=plane.size)
    groups = max(1, min(MAX_GROUPS, count // VECTORS_A_GROUP, dimensions))
    pieces = []
    for group in range(groups):
        first, last = group * dimensions // groups, (group + 1) * dimensions // groups
        pieces.append(packer.compress(plane[first:last].tobytes()))
        pieces.append(packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    return b"".join(pieces) + packer.flush()


def unpack_codes(data: bytes, count: int, centre: I8Array) -> I8Array:
    """int8 (count, d) of :func:`pack_codes`. Raises DamagedFileError (without a place) for anything else."""
    dimensions = len(centre)
    plane = np.frombuffer(unpack_bytes(data, count * dimensions), np.uint8).reshape(dimensions, count)
    codes = np.empty((count, dimensions), np.int8)
    np.add(_unfolded(plane).T, centre, out=codes)
    return codes


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
    try:
        if size > len(data) << _MOST_RATIO:
            raise DamagedFileError(f"{size} bytes are expected of {len(data)}, more than zstd can pack")
        stated = zstandard.get_frame_parameters(data).content_size
        if stated != size:
            raise DamagedFileError(f"{stated} bytes are packed where {size} are expected")
        raw: bytes = zstandard.ZstdDecompressor().decompress(
            data, max_output_size=size, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise DamagedFileError(f"packed vectors cannot be unpacked ({error})") from None
    if len(raw) != size:
        raise DamagedFileError(f"{len(raw)} bytes were packed where {size} are expected")
    return raw


def _folded(codes: I8Array) -> U8Array:
    """0, -1, 1, -2, … as 0, 1, 2, 3, ….

    Differences wrap modulo 256, so no pair of code and centre is too far apart.
    """
    return ((codes << 1) ^ (codes >> 7)).view(np.uint8)


def _unfolded(folded: U8Array) -> I8Array:
    return ((folded >> 1) ^ (0 - (folded & 1))).view(np.int8)
