"""The codec: small, close, and the same again when what was decoded is encoded."""

from __future__ import annotations

import numpy as np
import pytest

from audiomem_sql.errors import DamagedFileError, FormatVersionError
from audiomem_sql.indexes.vectors.codec import CODEC_HEADER, TRELLIS, StepRule, VectorCodec
from audiomem_sql.indexes.vectors.packing import pack_bytes, pack_codes, unpack_bytes, unpack_codes
from audiomem_sql.indexes.vectors.rotation import principal_axes, rotation_of
from indexes.vectors.clustered import clustered

VECTORS = clustered(4000)
TRAINED = VectorCodec.trained(VECTORS)
ROUNDED = VectorCodec.trained(VECTORS, StepRule(trellis=False))
PLAIN = VectorCodec.plain(VECTORS)


@pytest.mark.parametrize("codec", [TRAINED, ROUNDED, PLAIN])
def test_decoding_is_within_half_a_step(codec: VectorCodec) -> None:
    """Within two in the trellis, a quarter of whose codes has every fourth integer to choose from."""
    codes = codec.encode(VECTORS)
    assert codes is not None
    most = codec.steps * 0.5001
    most[codec.trellis.first : codec.trellis.last] *= 4
    assert (np.abs(codec.rotated(codec.decode(codes) - VECTORS)) <= most).all()


def test_a_trellis_is_nearer_for_the_same_numbers() -> None:
    def error(codec: VectorCodec) -> float:
        codes = codec.encode(VECTORS)
        assert codes is not None
        difference = codec.rotated(codec.decode(codes) - VECTORS)
        return float(np.square(difference[:, TRAINED.trellis.first : TRAINED.trellis.last]).mean())

    first, last = TRAINED.trellis.first, TRAINED.trellis.last
    assert 0 < first < first + 40 < last < 96
    halved = TRAINED.steps.copy()
    halved[first:last] *= 2
    assert np.allclose(halved, ROUNDED.steps)
    assert ROUNDED.trellis.width == 0
    assert error(TRAINED) < 0.82 * error(ROUNDED)


@pytest.mark.parametrize("codec", [TRAINED, ROUNDED, PLAIN])
def test_encoding_again_changes_nothing(codec: VectorCodec) -> None:
    codes = codec.encode(VECTORS)
    assert codes is not None
    for _ in range(3):
        again = codec.encode(codec.decode(codes))
        assert again is not None
        assert (again == codes).all()


@pytest.mark.parametrize("codec", [TRAINED, ROUNDED, PLAIN])
def test_bytes(codec: VectorCodec) -> None:
    read = VectorCodec.from_bytes(codec.to_bytes())
    assert read.digest == codec.digest
    assert read.trellis == codec.trellis
    assert (read.encode(VECTORS) == codec.encode(VECTORS)).all()
    assert (read.axes is None) == (codec is PLAIN)


def test_training_is_repeatable() -> None:
    assert VectorCodec.trained(VECTORS).to_bytes() == TRAINED.to_bytes()
    assert PLAIN.digest != TRAINED.digest


def test_a_coarser_step_takes_fewer_bytes() -> None:
    sizes = []
    for step in (0.2, 0.3, 0.5):
        codes = VectorCodec.trained(VECTORS, StepRule(step)).encode(VECTORS)
        assert codes is not None
        sizes.append(len(pack_codes(codes, np.zeros(VECTORS.shape[1], np.int8))))
    assert sizes == sorted(sizes, reverse=True)


def test_few_vectors_pay_for_no_rotation() -> None:
    assert VectorCodec.trained(VECTORS[:500]).axes is None
    assert VectorCodec.trained(np.ones((5000, 3), np.float32)).axes is None
    assert VectorCodec.trained(np.ones((5000, 80), np.float32)).axes is None, "no variance"
    assert len(PLAIN.to_bytes()) < 60
    assert PLAIN.outgrown(4000)
    assert not PLAIN.outgrown(500)
    assert not TRAINED.outgrown(4000)


def test_vectors_that_do_not_fit() -> None:
    assert PLAIN.encode(VECTORS * 2) is None
    assert PLAIN.encode(VECTORS[:0]) is not None


def test_rotation_is_orthonormal_however_coarse() -> None:
    axes = principal_axes(VECTORS)
    rotation = rotation_of(axes)
    assert np.allclose(rotation @ rotation.T, np.eye(96), atol=1e-5)
    variance = (VECTORS @ rotation.T).var(axis=0)
    assert variance[:10].min() > 5 * variance[-10:].max()
    with pytest.raises(DamagedFileError, match="independent"):
        rotation_of(np.zeros((4, 4), np.int8))
    with pytest.raises(DamagedFileError, match="independent"):
        rotation_of(np.ones((4, 4), np.int8))


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (1, 384), (700, 3), (33, 100)])
def test_packing(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(-128, 128, shape).astype(np.int8)
    centre = rng.integers(-128, 128, shape[1]).astype(np.int8)
    assert (unpack_codes(pack_codes(codes, centre), len(codes), centre) == codes).all()


def test_no_more_memory_than_the_bytes_can_hold() -> None:
    zeros = pack_bytes(bytes(1 << 20))
    assert unpack_bytes(zeros, 1 << 20) == bytes(1 << 20)
    for size in (0, (1 << 20) - 1, (1 << 20) + 1, 1 << 40):
        with pytest.raises(DamagedFileError):
            unpack_bytes(zeros, size)
    for data in (b"", zeros[:-1], zeros + b"x", b"x" * 20):
        with pytest.raises(DamagedFileError):
            unpack_bytes(data, 1 << 20)


@pytest.mark.parametrize("codec", [TRAINED, ROUNDED])
def test_damaged_codecs(codec: VectorCodec) -> None:
    data = codec.to_bytes()
    for end in (0, 5, CODEC_HEADER.size, CODEC_HEADER.size + 3, len(data) - 1):
        with pytest.raises(DamagedFileError):
            VectorCodec.from_bytes(data[:end])
    for offset in range(CODEC_HEADER.size):
        flipped = bytearray(data)
        flipped[offset] ^= 0x81
        with pytest.raises(FormatVersionError if offset == 4 else DamagedFileError):
            VectorCodec.from_bytes(bytes(flipped))
    head = data[: CODEC_HEADER.size + (TRELLIS.size if codec is TRAINED else 0)]
    for steps in (np.zeros(96), np.full(96, np.nan), np.full(96, 1e9), np.full(96, -1.0)):
        body = steps.astype("<f4").tobytes() + bytes(4 * 96) + bytes(96 * 96)
        with pytest.raises(DamagedFileError):
            VectorCodec.from_bytes(head + pack_bytes(body))


@pytest.mark.parametrize("trellis", [(5, 5), (6, 5), (0, 97), (96, 97), (0, 2**32 - 1)])
def test_a_trellis_beyond_the_dimensions(trellis: tuple[int, int]) -> None:
    data = TRAINED.to_bytes()
    end = CODEC_HEADER.size + TRELLIS.size
    with pytest.raises(DamagedFileError, match="trellis"):
        VectorCodec.from_bytes(data[: CODEC_HEADER.size] + TRELLIS.pack(*trellis) + data[end:])
