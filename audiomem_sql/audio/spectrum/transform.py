"""Samples ⇄ coefficients: blocks of 4,096 samples and their orthonormal DCT-II.

Ahmed, Natarajan, Rao 1974; computed by scipy.fft.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from audiomem_sql.arrays import F64Array
from audiomem_sql.audio.flac.frames import Bytes
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.errors import MissingExtraError

Floats: TypeAlias = F64Array

DCT = 4096
"""Samples of a block, and its coefficients."""
BLOCKS, GROUP = 16, 64
"""Blocks that are transformed together, and whose words are put together: they stay in a processor's
cache."""


@lru_cache(maxsize=1)
def transforms() -> Any:
    """``scipy.fft``; ``MissingExtraError`` where scipy is not installed."""
    try:
        from scipy import fft
    except ImportError:
        raise MissingExtraError(
            "modulation=spectrum needs scipy", remedy="pip install 'audiomem-sql[sound]'"
        ) from None
    return fft


def require_scipy() -> None:
    """``MissingExtraError`` unless pages can be modulated and demodulated here."""
    transforms()


def coefficient(frequency: float, profile: Profile) -> int:
    """The first coefficient at or above a frequency in Hz, at most ``DCT``."""
    return min(DCT, int(np.ceil(frequency * 2 * DCT / profile.sample_rate)))


def unpacked(sound: Bytes, profile: Profile, dtype: Any = np.float64) -> Any:
    """Big-endian samples, uint8 (n, …), as float64 (n, …), or another type, in steps of a sample."""
    width = profile.bytes_per_sample
    if width == 2:
        return sound.view(">i2").astype(dtype)
    samples = np.empty(sound.size // width, np.int32)
    data = sound.reshape(-1)
    # Three bytes are read as four, the last of which is the next one's first, …
    samples[:-1] = np.lib.stride_tricks.as_strided(data[:4].view(">i4"), (len(samples) - 1,), (width,))
    samples[:-1] >>= 8
    samples[-1] = int.from_bytes(data[-width:].tobytes(), "big", signed=True)  # … which the last one has not
    return samples.astype(dtype).reshape(len(sound), -1)


def packed(samples: Any, profile: Profile, out: Bytes | None = None) -> Bytes:
    """Samples in steps, of any shape, as big-endian bytes.

    uint8 (size × bytes of a sample,), or in ``out``, a C array of that size.
    """
    width = profile.bytes_per_sample
    whole = samples.astype("<i4").reshape(-1).view(np.uint8).reshape(-1, 4)
    out = np.empty((len(whole), width), np.uint8) if out is None else out.reshape(-1, width)
    for byte in range(width):
        out[:, byte] = whole[:, width - 1 - byte]
    return out.reshape(-1)
