"""The options of a table: chosen when it is created, kept in its catalog, followed by every commit."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiomem_sql.audio import PROFILES, Profile, resolve
from audiomem_sql.audio.bands import PLANS, ROBUSTNESS, Mode
from audiomem_sql.audio.spectrum import spectrum_profile, transforms
from audiomem_sql.errors import DamagedFileError, OptionError
from audiomem_sql.protection.levels import LEVELS, level_named
from audiomem_sql.segment_writer import SAMPLE_BYTES, WriteOptions

MODULATIONS = ("pcm", "spectrum")
#: Bytes of values in a block before compression, by profile: smaller where memory is scarce.
BLOCK_BYTES = {"server": 256 << 10, "desktop": 128 << 10, "mobile": 64 << 10, "embedded": 32 << 10}
#: Threads that compress, and bytes of rows held back to choose dictionaries from, where memory is scarce.
MOST_THREADS = {"embedded": 1, "mobile": 2}
MAX_THREADS = 64
SAMPLED_BYTES = {"embedded": 4 << 20, "mobile": 16 << 20}
DEFAULT_LEVEL = 9
MAX_LEVEL = 22
DEFAULT_MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class TableOptions:
    """profile, modulation, protection: names. model: of the embeddings. compression_level: zstd, 1 to 22.

    band_plan, robustness: names, for modulation=spectrum.
    """

    profile: str = "desktop"
    modulation: str = "pcm"
    protection: str = "none"
    model: str = DEFAULT_MODEL
    compression_level: int = DEFAULT_LEVEL
    band_plan: str = "flat"
    robustness: str = "exact"

    @classmethod
    def parse(cls, given: Mapping[str, Any], folder: str = ".") -> TableOptions:
        """From names and values as a user writes them; ``profile=auto`` is decided here, for the disk of ``folder``.

        Raises OptionError, naming the option, for one that does not exist or a value that it cannot take.
        """
        unknown = sorted(set(given) - set(cls.__dataclass_fields__))
        if unknown:
            raise OptionError(
                f"there is no option {unknown[0]}",
                remedy=f"Options are: {', '.join(cls.__dataclass_fields__)}.",
            )
        profile = resolve(str(given.get("profile", "auto")).lower(), folder).name
        modulation = str(given.get("modulation", "pcm")).lower()
        if modulation not in MODULATIONS:
            raise OptionError(
                f"modulation {modulation!r} does not exist in this version",
                remedy=f"Use one of: {', '.join(MODULATIONS)}.",
            )
        protection = level_named(str(given.get("protection", "none"))).name
        model = str(given.get("model", DEFAULT_MODEL))
        level = given.get("compression_level", DEFAULT_LEVEL)
        try:
            number = int(level)
        except (TypeError, ValueError):
            number = 0
        if not 1 <= number <= MAX_LEVEL:
            raise OptionError(f"compression_level {level!r} is not a number from 1 to {MAX_LEVEL}")
        plan = str(given.get("band_plan", "flat")).lower()
        robustness = str(given.get("robustness", "exact")).lower()
        options = cls(profile, modulation, protection, model, number, plan, robustness)
        mode = Mode.of(plan, robustness)
        if modulation == "spectrum":
            transforms()
            spectrum_profile(PROFILES[profile], mode)
        elif (plan, robustness) != ("flat", "exact"):
            name = "band_plan" if plan != "flat" else "robustness"
            raise OptionError(
                f"{name} says how modulation=spectrum is done; the modulation is {modulation}",
                remedy="Add modulation=spectrum.",
            )
        return options

    @property
    def mode(self) -> Mode | None:
        """Of the spectrum; None for pages that are the samples."""
        return Mode.of(self.band_plan, self.robustness) if self.modulation == "spectrum" else None

    def changed(self, changes: Mapping[str, Any], folder: str = ".") -> TableOptions:
        """These with some others; OptionError as from ``parse``. What only a spectrum has goes with it."""
        given = self.to_catalog()
        if str(changes.get("modulation", self.modulation)).lower() == "pcm":
            given = {name: value for name, value in given.items() if name not in ("band_plan", "robustness")}
        return TableOptions.parse(given | dict(changes), folder)

    def to_catalog(self) -> dict[str, Any]:
        """A plain dict."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.modulation == "pcm":
            del fields["band_plan"], fields["robustness"]
        return fields

    @classmethod
    def from_catalog(cls, packed: Mapping[str, Any]) -> TableOptions:
        """The inverse; what a newer version added is ignored. DamagedFileError for impossible values."""
        known = {name: packed[name] for name in cls.__dataclass_fields__ if name in packed}
        try:
            options = cls(**known)
            if (
                options.profile not in PROFILES
                or options.protection not in LEVELS
                or options.modulation not in MODULATIONS
                or not isinstance(options.model, str)
                or not isinstance(options.compression_level, int)
                or not 1 <= options.compression_level <= MAX_LEVEL
                or options.band_plan not in PLANS
                or options.robustness not in ROBUSTNESS
            ):
                raise ValueError(f"{options}")
            return options
        except (TypeError, ValueError) as error:
            raise DamagedFileError(
                f"the options of the table cannot be understood ({error!s:.200})"
            ) from None

    @property
    def audio_profile(self) -> Profile:
        """The shape of the sound."""
        mode = self.mode
        return PROFILES[self.profile] if mode is None else spectrum_profile(PROFILES[self.profile], mode)

    def write_options(self, avoid: frozenset[str] = frozenset()) -> WriteOptions:
        """How segments are written; avoid: names of bands to do without, if those that are left have room for a page."""
        mode, shape = self.mode, self.audio_profile
        if mode is not None and avoid:
            with contextlib.suppress(OptionError):
                less = Mode.of(self.band_plan, self.robustness, avoid)
                mode, shape = less, spectrum_profile(PROFILES[self.profile], less)
        return WriteOptions(
            profile=shape,
            protection=level_named(self.protection),
            level=int(self.compression_level),
            block_bytes=BLOCK_BYTES[self.profile],
            threads=min(os.cpu_count() or 1, MOST_THREADS.get(self.profile, MAX_THREADS)),
            sample_bytes=SAMPLED_BYTES.get(self.profile, SAMPLE_BYTES),
            mode=mode,
        )
