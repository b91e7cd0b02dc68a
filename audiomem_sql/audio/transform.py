"""Samples ⇄ coefficients: blocks of 4,096 samples and their orthonormal DCT-II (Ahmed, Natarajan, Rao 1974), by scipy.fft."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio.frames import Bytes
from audiomem_sql.audio.profiles import Profile
from audiomem_sql.errors import MissingExtraError

Floats = npt.NDArray[np.float64]

DCT = 4096
"""Samples of a block, and its coefficients."""


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


def coefficient(frequency: float, profile: Profile) -> int:
    """The first coefficient at or above a frequency in Hz, at most ``DCT``."""
    return min(DCT, int(np.ceil(frequency * 2 * DCT / profile.sample_rate)))


def unpacked(sound: Bytes, profile: Profile) -> Floats:
    """Big-endian samples, uint8 (n, …), as float64 (n, …) in steps of a sample."""
    width = profile.bytes_per_sample
    whole = np.zeros((sound.size // width, 4), np.uint8)
    whole[:, :width] = sound.reshape(-1, width)
    return np.asarray((whole.view(">i4")[:, 0] >> 32 - 8 * width).astype(np.float64)).reshape(len(sound), -1)


def packed(samples: Floats, profile: Profile) -> Bytes:
    """Samples in steps, of any shape, as big-endian bytes, uint8 (size × bytes of a sample,)."""
    width = profile.bytes_per_sample
    whole = samples.reshape(-1).astype(">i4")
    return np.ascontiguousarray(whole.view(np.uint8).reshape(-1, 4)[:, 4 - width :]).reshape(-1)
