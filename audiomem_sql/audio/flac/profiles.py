"""Sound profiles: sample rate, bit depth, channels and block size of a file.

One FLAC frame carries one page, so a profile also fixes the page size. ``channels`` and ``bits_per_sample``
are kept to what every FLAC tool reads alike; rates are those a frame header can state by itself (RFC 9639
§9.1.2), because a page must stay readable when STREAMINFO is lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from audiomem_sql.errors import OptionError, did_you_mean
from audiomem_sql.machine.hardware import NEEDED, measured

BITS_PER_SAMPLE = (16, 24)
MAX_CHANNELS = 8
BLOCK_STEP = 1024
"""Block sizes are multiples of this many samples."""
MAX_BLOCK_SIZE = 65535 // BLOCK_STEP * BLOCK_STEP
"""Largest multiple below FLAC's own limit of 65,535 samples (RFC 9639 §9.1.1)."""
MIN_PAGE_SIZE = 8192
"""Smallest page in bytes."""
MAX_SAMPLE_RATE = 655_350
"""Highest rate in Hz that a frame header can state (16 bits, in tens of Hz)."""

CUSTOM = "custom"


@dataclass(frozen=True)
class Profile:
    """Shape of the sound.

    Parameters
    ----------
    name: a key of ``PROFILES``, or ``custom``.
    sample_rate: Hz.
    bits_per_sample: 16 or 24.
    channels: 1 to 8.
    block_size: samples per channel and frame, a multiple of 1,024.

    Raises ``OptionError`` for a shape that FLAC or the page layout does not allow.
    """

    name: str
    sample_rate: int
    bits_per_sample: int
    channels: int
    block_size: int

    def __post_init__(self) -> None:
        fault: str | None = None
        if self.bits_per_sample not in BITS_PER_SAMPLE:
            fault = f"{self.bits_per_sample} bits per sample; 16 and 24 are possible"
        elif not 1 <= self.channels <= MAX_CHANNELS:
            fault = f"{self.channels} channels; 1 to {MAX_CHANNELS} are possible"
        elif not BLOCK_STEP <= self.block_size <= MAX_BLOCK_SIZE or self.block_size % BLOCK_STEP:
            fault = (
                f"block size {self.block_size}; multiples of {BLOCK_STEP} up to {MAX_BLOCK_SIZE} are possible"
            )
        elif not expressible_rate(self.sample_rate):
            fault = f"sample rate {self.sample_rate} Hz cannot be stated in a FLAC frame header"
        elif self.page_size < MIN_PAGE_SIZE:
            fault = f"a page of {self.page_size} bytes; the smallest is {MIN_PAGE_SIZE}"
        if fault:
            raise OptionError(
                f"profile {self.name!r} has {fault}",
                remedy=f"Named profiles: {', '.join(PROFILES)}, auto",
            )

    @property
    def bytes_per_sample(self) -> int:
        """2 or 3."""
        return self.bits_per_sample // 8

    @property
    def channel_size(self) -> int:
        """Bytes of one channel in one page."""
        return self.block_size * self.bytes_per_sample

    @cached_property
    def page_size(self) -> int:
        """Bytes that one frame carries: ``channels × block_size × bytes_per_sample``."""
        return self.channels * self.channel_size


def expressible_rate(sample_rate: int) -> bool:
    """Whether a frame header can state this rate in Hz: 16 bits of Hz, or 16 bits of tens of Hz."""
    return 1 <= sample_rate <= MAX_SAMPLE_RATE and (sample_rate <= 0xFFFF or sample_rate % 10 == 0)


PROFILES: dict[str, Profile] = {}
PROFILES.update(
    {
        profile.name: profile
        for profile in (
            Profile("server", 96_000, 24, 4, 8192),
            Profile("desktop", 48_000, 24, 2, 4096),
            Profile("mobile", 44_100, 24, 2, 2048),
            Profile("embedded", 22_050, 16, 1, 4096),
        )
    }
)

#: Block sizes of files with little in them, so that these are small: for pages of 12,288 bytes.
SMALL_BLOCKS = {"server": 1024, "desktop": 2048}


@lru_cache(64)
def small_profile(profile: Profile) -> Profile:
    """The profile with small pages; the same one where there are none."""
    block_size = SMALL_BLOCKS.get(profile.name, profile.block_size)
    return replace(profile, block_size=min(block_size, profile.block_size))


def resolve(name: str, folder: str | os.PathLike[str] = ".") -> Profile:
    """The profile of this name.

    ``auto`` measures the machine and the disk that holds ``folder`` (see ``hardware``).

    Raises ``OptionError`` for an unknown name, listing those that exist, and for a profile that the machine
    cannot serve.
    """
    if name == "auto":
        return PROFILES[measured(folder, kind=False).choice]
    try:
        profile = PROFILES[name]
    except KeyError:
        raise OptionError(
            f"there is no profile {name!r}",
            remedy=f"{did_you_mean(name, (*PROFILES, 'auto'))}Profiles are {', '.join(PROFILES)} and auto",
        ) from None
    if NEEDED[name].memory:
        measured(folder, kind=False).check(name)
    return profile


def match(sample_rate: int, bits_per_sample: int, channels: int, block_size: int) -> Profile:
    """The named profile of this shape, also with small pages, or one called ``custom``.

    Raises ``OptionError`` for an impossible shape.
    """
    for profile in (*PROFILES.values(), *map(small_profile, PROFILES.values())):
        if (profile.sample_rate, profile.bits_per_sample, profile.channels, profile.block_size) == (
            sample_rate,
            bits_per_sample,
            channels,
            block_size,
        ):
            return profile
    return Profile(CUSTOM, sample_rate, bits_per_sample, channels, block_size)


def usual_depth(shape: Profile) -> int:
    """Bits per sample of the named profile of this rate and number of channels; 24 if there is none."""
    found = (
        profile.bits_per_sample
        for profile in PROFILES.values()
        if (profile.sample_rate, profile.channels) == (shape.sample_rate, shape.channels)
    )
    return next(found, BITS_PER_SAMPLE[-1])
