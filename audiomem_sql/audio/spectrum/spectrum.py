"""Bytes ⇄ frequencies: pages as the coefficients of a cosine transform.

The samples of a channel are cut into blocks of 4,096. Each block is the inverse of an orthonormal DCT-II
(Ahmed, Natarajan, Rao 1974), computed by scipy.fft; its coefficient k is the amplitude at k × rate ÷ 8,192
Hz. Coefficients carry 64-bit words, a few bits each, as Gray-coded levels at equal distances. Samples are
rounded to integers, which disturbs every coefficient by 0.29 on average; the distance of levels leaves room
for that, and the writer decodes what it wrote before it keeps it.

Bytes are scrambled, so that amplitudes are those of noise whatever the bytes are. A block that would come too
close to full scale is scrambled with the next seed; the seed is in its control coefficients.

What carries nothing – coefficients below 20 Hz, those left over in a band – is zero, and control coefficients
are far apart. A wrong sample shows there, and a few of them can be located and taken out (``mending``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from audiomem_sql.audio.flac.frames import HEAD_BYTES, Bytes
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.audio.spectrum.control import CONTROL, STRICT, voted
from audiomem_sql.audio.spectrum.demodulator import Demodulator, Reading
from audiomem_sql.audio.spectrum.modulator import Modulator
from audiomem_sql.audio.spectrum.plans import BLOCK_SIZES, LOWEST, Mode
from audiomem_sql.audio.spectrum.shape import Shape
from audiomem_sql.audio.spectrum.transform import DCT, coefficient, transforms, unpacked
from audiomem_sql.errors import DamagedFileError, OptionError

HEAD_BANDS = 2
"""Bands in which a page begins: the first has at least a copy of its header."""


class Spectrum:
    """Pages to sound and back, as ``shape`` says. Safe to share."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._modulator = Modulator(shape)
        self._demodulator = Demodulator(shape)

    def modulate(self, pages: Bytes) -> Bytes:
        """Pages, uint8 (n, page_size), as samples, uint8 (n, sound_size).

        Frame by frame, laid out as FlacWriter wants them.
        """
        return self._modulator.modulate(pages)

    def spectra(self, sound: Bytes) -> Any:
        """The coefficients, (n, units, DCT), of samples as bytes, uint8 (n, sound_size)."""
        return self._demodulator.spectra(sound)

    def head(self, sound: Bytes) -> bytes:
        """The first ``HEAD_BYTES`` of a page, of whose bands no more than needed are decoded.

        Sound: uint8, sound_size of them.
        """
        reading = self._demodulator.demodulate(sound.reshape(1, -1), correct=True, bands=HEAD_BANDS)
        return reading.pages[0, :HEAD_BYTES].tobytes()

    def demodulate(self, sound: Bytes, *, measured: bool = False, correct: bool = False) -> Reading:
        """Samples as bytes, uint8 (n, sound_size), as pages; see ``Demodulator``."""
        return self._demodulator.demodulate(sound, measured=measured, correct=correct)


def identify(sound: Bytes, profile: Profile) -> Mode | None:
    """The mode of a page, uint8 (page_size,) of ``profile``, by the control coefficients of its blocks.

    None if they agree on none.

    Two bits of a mode say nothing of the rate or depth, so ``profile`` must be what the sound has.
    """
    if profile.block_size not in BLOCK_SIZES:
        return None
    blocks = unpacked(sound[None], profile).reshape(-1, DCT)
    coefficients = transforms().dct(blocks, type=2, norm="ortho", axis=-1)
    first = coefficient(LOWEST, profile)
    for broadcast in (False, True):
        distance = Shape.of(profile, Mode(0, broadcast), checked=False).control_distance
        mode = voted(coefficients[:, first : first + CONTROL] / distance + 3.5, STRICT)
        if mode is not None and mode.broadcast == broadcast:
            return mode
    return None


def spectrum_of(profile: Profile, mode: Mode) -> Spectrum:
    """The modulation of a shape of sound as it is; ``DamagedFileError`` if that mode does not fit it."""
    try:
        return _spectrum(profile, mode)
    except OptionError as fault:
        raise DamagedFileError(f"the modulation cannot be that of this sound: {fault.what}") from None


@lru_cache(maxsize=16)
def _spectrum(profile: Profile, mode: Mode) -> Spectrum:
    return Spectrum(Shape.of(profile, mode))
