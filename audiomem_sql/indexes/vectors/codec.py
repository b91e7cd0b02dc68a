"""Vectors ⇄ int8 codes: a rotation, an offset, and a step for each coordinate.

    code = round((rotation · vector - offset) / step)        vector ≈ rotationᵀ · (offset + step · code)

Entropy-coded uniform quantisation comes within a quarter of a bit of the rate-distortion bound at any rate
(Gish and Pierce 1968), which no code of fixed length does. Steps shrink with the square root of the
coordinate's standard deviation: queries are spread like the vectors are, so an error in a coordinate counts
as much as queries vary there (docs/VECTORS.md has the curve).

Encoding what was decoded gives the same codes again: the error of float32 is a thousandth of a step. So
segments that share a codec can be merged any number of times.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audiomem_sql.arrays import F32Array, I8Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors.arrays import MAX_DIMENSIONS
from audiomem_sql.indexes.vectors.packing import pack_bytes, unpack_bytes
from audiomem_sql.indexes.vectors.rotation import MAX_ROTATED, principal_axes, rotation_of
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import apart, check_interrupt
from audiomem_sql.machine.spooled_arrays import ArrayRows

#: Mean step of a trained codec, in standard deviations of a coordinate (root mean square over coordinates).
STEP = 0.285
#: With fewer dimensions than this it shrinks, because what moves a cosine is the step against the length of
#: the vector.
STEP_DIMENSIONS = 384
#: How fast steps shrink as the variance grows: 0 is least squared error, 0.5 keeps more of the nearest ten.
SHRINK = 0.25
#: Coordinates with less variance than this share of the mean have the step of this share.
LEAST_VARIANCE = 0.12
#: A codec is trained on so many vectors at most, evenly spaced, and from so many on.
MAX_TRAINING = 50_000
MIN_TRAINING = 2_000
#: Fewer dimensions gain little from a rotation, and whole bytes cost little there.
MIN_ROTATED = 64

#: magic, version, 1 with rotation, 0, dimensions
CODEC_HEADER = struct.Struct("<4s B B H I")
MAGIC = b"AuVC"
VERSION = 1
DIGEST_BYTES = 16
#: No step and no offset of vectors of length 1 is larger.
MAX_SIZE = 16.0
_CHUNK = 8192


@dataclass(frozen=True, eq=False)
class VectorCodec:
    """``steps`` and ``offset`` are float32 (d,), in rotated coordinates.

    ``axes`` is int8 (d, d), or None for none.

    Two codecs are the same if their digests are.
    """

    steps: F32Array
    offset: F32Array
    axes: I8Array | None = None

    @property
    def dimensions(self) -> int:
        """d, the numbers of a vector."""
        return len(self.steps)

    @cached_property
    def rotation(self) -> F32Array | None:
        """float32 (d, d), orthonormal.

        None for the identity. Made when it is first needed: 15 ms for 384 dimensions.

        Raises DamagedFileError for axes that are not independent.
        """
        return None if self.axes is None else apart(rotation_of, self.axes)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that name the codec: BLAKE2b of what it is made of, not of how that is compressed."""
        return blake2b(self._content(), digest_size=DIGEST_BYTES).digest()

    @classmethod
    def plain(cls, vectors: F32Array) -> VectorCodec:
        """No rotation, one step: the range of float32 (n, d) in 254 parts.

        Takes 30 bytes; for few vectors.
        """
        return cls._plain(float(np.abs(vectors).max(initial=0.0)), vectors.shape[1])

    @classmethod
    def _plain(cls, largest: float, dimensions: int) -> VectorCodec:
        # A little more than needed, so that what lies at the edge does after rounding, too.
        step = np.float32((largest or 1.0) * 1.001 / 127)
        return cls(np.full(dimensions, step, np.float32), np.zeros(dimensions, np.float32))

    @classmethod
    def plain_of(cls, pieces: Iterator[F32Array], dimensions: int) -> VectorCodec:
        """The same for vectors of ``dimensions`` numbers that come as float32 (any, d) a piece."""
        return cls._plain(_greatest(pieces), dimensions)

    @classmethod
    def trained(cls, vectors: F32Array, step: float = STEP) -> VectorCodec:
        """Fitted to float32 (n, d) of length about 1.

        Plain where there are too few vectors or dimensions to pay for it.

        ``step`` is the mean step in standard deviations: smaller takes more bytes and finds more of the
        nearest.
        """
        count, dimensions = vectors.shape
        return cls.trained_on(lambda: ArrayRows(vectors).pieces(), count, dimensions, step)

    @classmethod
    def trained_on(
        cls, pieces: Callable[[], Iterator[F32Array]], count: int, dimensions: int, step: float = STEP
    ) -> VectorCodec:
        """The same for ``count`` vectors.

        Each call of ``pieces`` goes through them, float32 (any, d) at a time.
        """
        if not _trainable(count, dimensions):
            return cls._plain(_greatest(pieces()), dimensions)
        sample = _sample(pieces(), max(1, -(-count // MAX_TRAINING)))
        axes = apart(principal_axes, sample)
        rotation = apart(rotation_of, axes)
        rotated = sample @ rotation.T
        del sample
        offset = rotated.mean(axis=0)
        rotated -= offset
        variance = np.einsum("ij,ij->j", rotated, rotated, dtype=np.float64) / len(rotated)
        del rotated
        mean = float(variance.mean())
        if mean <= 1e-12:
            return cls._plain(_greatest(pieces()), dimensions)
        variance = np.maximum(variance, LEAST_VARIANCE * mean)
        spread = np.exp(np.log(variance).mean())
        step *= np.sqrt(mean * min(1.0, dimensions / STEP_DIMENSIONS))
        steps = step * (variance / spread) ** -SHRINK
        largest = np.zeros(dimensions, np.float32)
        for piece in pieces():
            for start in range(0, len(piece), _CHUNK):
                check_interrupt()
                part = np.abs(piece[start : start + _CHUNK] @ rotation.T - offset)
                largest = np.maximum(largest, part.max(axis=0))
        # Codes up to 120 in what is there leave room for what later segments bring.
        steps = np.maximum(steps, largest / 120)
        return cls(steps.astype(np.float32), offset.astype(np.float32), axes)

    def outgrown(self, count: int) -> bool:
        """Whether ``count`` vectors deserve a codec trained on them, this one being plain."""
        return self.axes is None and _trainable(count, self.dimensions)

    def encode(self, vectors: F32Array) -> I8Array | None:
        """int8 (n, d) of float32 (n, d).

        None if a code would not fit, that is, if the codec is not made for these.
        """
        codes = np.empty(vectors.shape, np.int8)
        for start in range(0, len(vectors), _CHUNK):
            check_interrupt()
            scaled = self.rotated(vectors[start : start + _CHUNK])
            scaled -= self.offset
            scaled /= self.steps
            np.rint(scaled, out=scaled)
            if scaled.size and (scaled.max() > 127 or scaled.min() < -127):
                return None
            codes[start : start + _CHUNK] = scaled
        return codes

    def decode(self, codes: I8Array) -> F32Array:
        """float32 (n, d) of int8 (n, d)."""
        placed = self.placed(codes)
        return placed if self.rotation is None else placed @ self.rotation

    def placed(self, codes: I8Array) -> F32Array:
        """float32 (n, d): the vectors in rotated coordinates."""
        placed = codes * self.steps
        placed += self.offset
        return placed

    def rotated(self, vectors: F32Array) -> F32Array:
        """float32 (n, d) in rotated coordinates, a copy."""
        return vectors.copy() if self.rotation is None else vectors @ self.rotation.T

    # -- bytes ----------------------------------------------------------------------------------------------

    def _content(self) -> bytes:
        axes = b"" if self.axes is None else self.axes.tobytes()
        head = CODEC_HEADER.pack(MAGIC, VERSION, self.axes is not None, 0, self.dimensions)
        return head + self.steps.astype("<f4").tobytes() + self.offset.astype("<f4").tobytes() + axes

    def to_bytes(self) -> bytes:
        """Header, then one zstd frame of steps, offset and axes."""
        content = self._content()
        return content[: CODEC_HEADER.size] + pack_bytes(content[CODEC_HEADER.size :])

    @classmethod
    def from_bytes(cls, data: bytes) -> VectorCodec:
        """The inverse of :meth:`to_bytes`.

        Raises DamagedFileError (without a place) for bytes that contradict it.
        """
        if len(data) < CODEC_HEADER.size:
            raise DamagedFileError("a codec of vectors is shorter than its header")
        magic, version, rotated, zero, dimensions = CODEC_HEADER.unpack_from(data)
        if magic != MAGIC or version != VERSION or rotated > 1 or zero:
            raise DamagedFileError("a codec of vectors does not begin like one")
        if not 0 < dimensions <= (MAX_ROTATED if rotated else MAX_DIMENSIONS):
            raise DamagedFileError(f"a codec of vectors claims {dimensions} dimensions")
        size = 8 * dimensions + (dimensions * dimensions if rotated else 0)
        content = unpack_bytes(data[CODEC_HEADER.size :], size)
        steps = np.frombuffer(content, "<f4", dimensions).astype(np.float32)
        offset = np.frombuffer(content, "<f4", dimensions, 4 * dimensions).astype(np.float32)
        if not (np.isfinite(steps).all() and np.isfinite(offset).all() and (steps > 0).all()):
            raise DamagedFileError("a codec of vectors has a step or an offset that is no number")
        if max(float(steps.max()), float(np.abs(offset).max())) > MAX_SIZE:
            raise DamagedFileError(
                "a codec of vectors has a step or an offset larger than any that is written"
            )
        axes = None
        if rotated:
            axes = np.frombuffer(content, np.int8, dimensions * dimensions, 8 * dimensions)
            axes = axes.reshape(dimensions, dimensions)
        return cls(steps, offset, axes)


def _greatest(pieces: Iterator[F32Array]) -> float:
    return max((float(np.abs(piece).max(initial=0.0)) for piece in pieces), default=0.0)


def _sample(pieces: Iterator[F32Array], stride: int) -> F32Array:
    """Every ``stride``-th vector of all pieces together."""
    rows, at = [], 0
    for piece in pieces:
        rows.append(piece[-at % stride :: stride].copy())
        at += len(piece)
    return np.concatenate(rows)


def _trainable(count: int, dimensions: int) -> bool:
    return MIN_ROTATED <= dimensions <= MAX_ROTATED and count >= max(MIN_TRAINING, 4 * dimensions)
