"""Vectors ⇄ int8 codes: a rotation, an offset, and a step for each coordinate.

    code = round((rotation · vector - offset) / step)        vector ≈ rotationᵀ · (offset + step · code)

Entropy-coded uniform quantisation comes within a quarter of a bit of the rate-distortion bound at any rate
(Gish and Pierce 1968), which no code of fixed length does; a trellis over the coordinates of great variance
gets most of that quarter (``trellis.py``), and each of these has half its step. Steps shrink with the
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

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I8Array
from audiomem_sql.errors import DamagedFileError, FormatVersionError
from audiomem_sql.indexes.vectors.arrays import MAX_DIMENSIONS
from audiomem_sql.indexes.vectors.packing import pack_bytes, pack_numbers, unpack_bytes
from audiomem_sql.indexes.vectors.rotation import MAX_ROTATED, principal_axes, rotation_of
from audiomem_sql.indexes.vectors.trellis import NO_TRELLIS, STATES, Trellis
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import apart, check_interrupt
from audiomem_sql.machine.spooled_arrays import ArrayRows

#: Mean step of a trained codec, in standard deviations of a coordinate (root mean square over coordinates).
STEP = 0.31
#: With fewer dimensions than this it shrinks, because what moves a cosine is the step against the length of
#: the vector.
STEP_DIMENSIONS = 384
#: How fast steps shrink as the variance grows: 0 is least squared error, 0.5 least error of the products with
#: queries that vary like the vectors.
SHRINK = 0.4
#: Coordinates with less variance than this share of the mean have the step of this share.
LEAST_VARIANCE = 0.01
#: Coordinates with fewer standard deviations in a step are in the trellis; in the others most codes are 0.
LEAST_DEVIATION = 0.5
#: Fewer coordinates than this are rounded: the trellis of a short path saves nothing.
MIN_TRELLIS = 16
#: The largest code of the vectors that a codec is made of; it leaves room for what later segments bring.
MAX_TRAINED = 120
#: A codec is trained on so many vectors at most, evenly spaced, and from so many on.
MAX_TRAINING = 50_000
MIN_TRAINING = 2_000
#: Fewer dimensions gain little from a rotation, and whole bytes cost little there.
MIN_ROTATED = 64

#: magic, version, 1 with rotation, states of the trellis, dimensions
CODEC_HEADER = struct.Struct("<4s B B H I")
MAGIC = b"AuVC"
VERSION = 1
#: The version of a codec with a trellis: behind the header its first coordinate, and the one behind its last.
TRELLIS_VERSION = 2
TRELLIS = struct.Struct("<I I")
DIGEST_BYTES = 16
#: No step and no offset of vectors of length 1 is larger.
MAX_SIZE = 16.0
_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class StepRule:
    """How the steps of a trained codec are chosen: see :data:`STEP`, :data:`SHRINK`, :data:`LEAST_VARIANCE`.

    trellis: use one, where there are coordinates for it.
    """

    step: float = STEP
    shrink: float = SHRINK
    least_variance: float = LEAST_VARIANCE
    trellis: bool = True

    def steps(self, variance: F64Array, largest: F32Array) -> tuple[F64Array, Trellis]:
        """The steps float64 (d,) of coordinates with float64 (d,) ``variance``, and the trellis.

        largest: float32 (d,), the size of the greatest offset from the mean.
        """
        dimensions, mean = len(variance), float(variance.mean())
        held = np.maximum(variance, self.least_variance * mean)
        spread = np.exp(np.log(held).mean())
        step = self.step * np.sqrt(mean * min(1.0, dimensions / STEP_DIMENSIONS))
        steps = np.maximum(step * (held / spread) ** -self.shrink, largest / MAX_TRAINED)
        trellis = self._trellis(np.sqrt(variance) / steps, 2 * largest / steps <= MAX_TRAINED)
        steps[trellis.first : trellis.last] /= 2
        return steps, trellis

    def _trellis(self, deviations: F64Array, fits: BoolArray) -> Trellis:
        """The coordinates of great variance that have room for codes twice as large, in one run."""
        first = int(np.flatnonzero(~fits).max(initial=-1)) + 1
        last = int(np.flatnonzero(deviations >= LEAST_DEVIATION).max(initial=-1)) + 1
        return Trellis(first, last) if self.trellis and last - first >= MIN_TRELLIS else NO_TRELLIS


USUAL = StepRule()


@dataclass(frozen=True, eq=False)
class VectorCodec:
    """``steps`` and ``offset`` are float32 (d,), in rotated coordinates.

    ``axes`` is int8 (d, d), or None for none. ``trellis``: the coordinates that are not rounded one by one.

    Two codecs are the same if their digests are.
    """

    steps: F32Array
    offset: F32Array
    axes: I8Array | None = None
    trellis: Trellis = NO_TRELLIS

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
        return blake2b(self._header() + self._body(), digest_size=DIGEST_BYTES).digest()

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
    def trained(cls, vectors: F32Array, rule: StepRule = USUAL) -> VectorCodec:
        """Fitted to float32 (n, d) of length about 1.

        Plain where there are too few vectors or dimensions to pay for it.

        Smaller steps take more bytes and find more of the nearest.
        """
        count, dimensions = vectors.shape
        return cls.trained_on(lambda: ArrayRows(vectors).pieces(), count, dimensions, rule)

    @classmethod
    def trained_on(
        cls, pieces: Callable[[], Iterator[F32Array]], count: int, dimensions: int, rule: StepRule = USUAL
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
        if variance.mean() <= 1e-12:
            return cls._plain(_greatest(pieces()), dimensions)
        largest = np.zeros(dimensions, np.float32)
        for piece in pieces():
            for start in range(0, len(piece), _CHUNK):
                check_interrupt()
                part = np.abs(piece[start : start + _CHUNK] @ rotation.T - offset)
                largest = np.maximum(largest, part.max(axis=0))
        steps, trellis = rule.steps(variance, largest)
        return cls(steps.astype(np.float32), offset.astype(np.float32), axes, trellis)

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
            if self.trellis.width:
                scaled = self.trellis.quantised(scaled)
            else:
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
        placed = codes.astype(np.float32)
        placed *= self.steps
        placed += self.offset
        return placed

    def sizes(self, codes: I8Array) -> F32Array:
        """float32 (n,): how long the vectors are that codes int8 (n, d) stand for."""
        sizes = np.empty(len(codes), np.float32)
        step = max(1, (1 << 20) // codes.shape[1])
        for start in range(0, len(codes), step):
            placed = self.placed(codes[start : start + step])
            sizes[start : start + step] = np.sqrt(np.einsum("ij,ij->i", placed, placed))
        return sizes

    def rotated(self, vectors: F32Array) -> F32Array:
        """float32 (n, d) in rotated coordinates, a copy."""
        return vectors.copy() if self.rotation is None else vectors @ self.rotation.T

    # -- bytes ----------------------------------------------------------------------------------------------

    def _header(self) -> bytes:
        rotated, trellis = self.axes is not None, self.trellis
        if not trellis.width:
            return CODEC_HEADER.pack(MAGIC, VERSION, rotated, 0, self.dimensions)
        head = CODEC_HEADER.pack(MAGIC, TRELLIS_VERSION, rotated, STATES, self.dimensions)
        return head + TRELLIS.pack(trellis.first, trellis.last)

    def _body(self) -> bytes:
        axes = b"" if self.axes is None else self.axes.tobytes()
        return self.steps.astype("<f4").tobytes() + self.offset.astype("<f4").tobytes() + axes

    def to_bytes(self) -> bytes:
        """Header, then one zstd frame of steps, offset and axes."""
        pack = pack_bytes if self.axes is None else pack_numbers  # steps that are equal repeat, axes do not
        return self._header() + pack(self._body())

    @classmethod
    def from_bytes(cls, data: bytes) -> VectorCodec:
        """The inverse of :meth:`to_bytes`.

        Raises FormatVersionError for a version that is newer, DamagedFileError (without a place) for bytes
        that contradict it.
        """
        if len(data) < CODEC_HEADER.size:
            raise DamagedFileError("a codec of vectors is shorter than its header")
        magic, version, rotated, states, dimensions = CODEC_HEADER.unpack_from(data)
        if magic != MAGIC:
            raise DamagedFileError("a codec of vectors does not begin like one")
        if version not in (VERSION, TRELLIS_VERSION):
            raise FormatVersionError(
                f"a codec of vectors has version {version}, and {TRELLIS_VERSION} is the newest known"
            )
        if rotated > 1 or states != (STATES if version == TRELLIS_VERSION else 0):
            raise DamagedFileError("a codec of vectors has a rotation or a trellis that does not exist")
        if not 0 < dimensions <= (MAX_ROTATED if rotated else MAX_DIMENSIONS):
            raise DamagedFileError(f"a codec of vectors claims {dimensions} dimensions")
        trellis, body = NO_TRELLIS, CODEC_HEADER.size
        if version == TRELLIS_VERSION:
            body += TRELLIS.size
            trellis = _trellis(data[CODEC_HEADER.size : body], dimensions)
        size = 8 * dimensions + (dimensions * dimensions if rotated else 0)
        content = unpack_bytes(data[body:], size)
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
        return cls(steps, offset, axes, trellis)


def _trellis(data: bytes, dimensions: int) -> Trellis:
    if len(data) == TRELLIS.size:
        first, last = TRELLIS.unpack(data)
        if first < last <= dimensions:
            return Trellis(first, last)
    raise DamagedFileError("a codec of vectors has a trellis beyond its dimensions")


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
