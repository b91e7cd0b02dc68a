"""Band plans: which frequencies carry what, and how much of a band is redundancy.

A plan is data. ``MISSION`` divides the spectrum by reliability: low frequencies pass through most things that
happen to audio, so what matters most lies there, with the most redundancy. ``FLAT`` is one band without
redundancy, the densest.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from audiomem_sql.errors import OptionError

BLOCK_SIZES = (16_384, 32_768, 49_152)
"""Samples of the frames that can be modulated."""
CODEWORD = 255
"""Bytes of a Reed-Solomon codeword of a band."""
LOWEST = 20.0
"""Hz. What is below carries nothing: loudspeakers and couplings cut it off."""
BROADCAST_LIMIT = 18_000.0
"""Hz. With ``robustness=broadcast`` what is above carries nothing: resamplers and encoders take it away …"""
BROADCAST_SHARE = 0.9
"""… nor what is above this share of half the sample rate."""
LOSSY_LIMIT = 12_000.0
"""Hz. With ``robustness=lossy`` what is above carries nothing, so that an encoder spends its bits on what is
below."""
ROBUSTNESS = ("exact", "broadcast", "lossy")


@dataclass(frozen=True, slots=True)
class Band:
    """Frequencies ``low`` to ``high`` in Hz; ``redundancy``: bytes stored for a byte kept, 1 or more.

    Raises ``OptionError`` for a range or a redundancy that cannot be.
    """

    name: str
    low: float
    high: float
    redundancy: float
    purpose: str

    def __post_init__(self) -> None:
        if not LOWEST <= self.low < self.high:
            raise OptionError(
                f"band {self.name} from {self.low:g} to {self.high:g} Hz: a band begins at {LOWEST:g} Hz or "
                "above, and ends above its beginning"
            )
        if not 1 <= self.redundancy <= 8:
            raise OptionError(f"band {self.name} has redundancy {self.redundancy:g}; 1 to 8 are possible")

    @property
    def data_bytes(self) -> int:
        """Bytes of data in a codeword of 255; 255 where there is no code."""
        return int(CODEWORD / self.redundancy)


@dataclass(frozen=True, slots=True)
class BandPlan:
    """Bands in the order of importance, which is that of frequency.

    Raises ``OptionError`` for bands that overlap.
    """

    name: str
    bands: tuple[Band, ...]

    def __post_init__(self) -> None:
        if not self.bands:
            raise OptionError(f"band plan {self.name} has no bands")
        for first, second in pairwise(sorted(self.bands, key=lambda band: band.low)):
            if first.high > second.low:
                raise OptionError(
                    f"band plan {self.name}: {first.name} ({first.low:g} to {first.high:g} Hz) and "
                    f"{second.name} ({second.low:g} to {second.high:g} Hz) overlap",
                    remedy="Let each band begin where the one before ends.",
                )


CONTROL = Band("control", 20, 100, 1, "sync and gain pilots; which plan this is")
CRITICAL = Band("critical", 100, 500, 4, "page headers, and the first of what cannot be done without")
RELIABLE = Band("reliable", 500, 2_000, 3, "catalogs, structure, rows that matter most")
STANDARD = Band("standard", 2_000, 8_000, 2, "what of these has no room below; rows")
HIGH_DENSITY = Band("high-density", 8_000, 20_000, 1.5, "bulk: rows, vectors, indexes of words")
ULTRASONIC = Band("ultrasonic", 20_000, 24_000, 1, "optional: only where no filter will ever be")
WIDE = Band("wide", LOWEST, 384_000, 1, "everything")

MISSION_BANDS = (CRITICAL, RELIABLE, STANDARD, HIGH_DENSITY, ULTRASONIC)
"""The bands of the mission that carry bytes; bit i of a mode stands for band i."""
MISSION = BandPlan("mission", (CONTROL, *MISSION_BANDS[:-1]))
ULTRASONIC_PLAN = BandPlan("ultrasonic", (CONTROL, *MISSION_BANDS))
FLAT = BandPlan("flat", (WIDE,))

PLANS = {plan.name: plan for plan in (FLAT, MISSION, ULTRASONIC_PLAN)}


def plan_named(name: str) -> BandPlan:
    """The plan of this name; ``OptionError`` lists those that exist."""
    try:
        return PLANS[name.lower()]
    except KeyError:
        raise OptionError(
            f"there is no band plan {name!r}", remedy=f"Use one of: {', '.join(PLANS)}."
        ) from None


@dataclass(frozen=True, slots=True)
class Mode:
    """What a reader has to know to demodulate, besides the profile of the sound.

    Six bits in the control coefficients say it.

    ``bands``: bit i for band i of ``MISSION_BANDS``; 0 for the flat plan. ``broadcast``: coarse levels that
    survive what audio goes through. ``lossy``: of those, the coarsest, which survive lossy encoders; only
    with bands, whose codes correct errors.
    """

    bands: int
    broadcast: bool = False
    lossy: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.bands < 1 << len(MISSION_BANDS):
            raise OptionError(f"bands {self.bands:#b} of a mode")
        if self.lossy and not (self.broadcast and self.bands & 1 and self.bands & 14):
            raise OptionError(
                "robustness=lossy needs bands with codes, the critical one and another",
                remedy="Use band_plan=mission.",
            )

    @property
    def code(self) -> int:
        """0 to 63."""
        # Wherever bands of the mission are used, the critical one is: bands without it say that more is
        # meant.
        return self.bands & (30 if self.lossy else 31) | self.broadcast << 5

    @classmethod
    def coded(cls, code: int) -> Mode:
        """The mode of a code, 0 to 63."""
        if code >> 5 and code & 14 and not code & 1:
            return cls(code & 31 | 1, True, True)
        return cls(code & 31, bool(code >> 5))

    @classmethod
    def of(cls, plan: str, robustness: str = "exact", avoid: frozenset[str] = frozenset()) -> Mode:
        """For the options of a table; ``avoid``: names of bands that are to carry nothing.

        Raises ``OptionError`` for a plan or a robustness that does not exist, or where no band is left.
        """
        if robustness not in ROBUSTNESS:
            raise OptionError(
                f"there is no robustness {robustness!r}", remedy=f"Use one of: {', '.join(ROBUSTNESS)}."
            )
        bands = plan_named(plan).bands
        code = sum(
            1 << bit for bit, band in enumerate(MISSION_BANDS) if band in bands and band.name not in avoid
        )
        if not code and bands != FLAT.bands:
            raise OptionError(f"no band of the plan {plan} is left to write to")
        return cls(code, robustness != "exact", robustness == "lossy")

    @property
    def plan(self) -> BandPlan:
        """The bands that carry bytes, and the control band."""
        if not self.bands:
            return FLAT
        used = tuple(band for bit, band in enumerate(MISSION_BANDS) if self.bands >> bit & 1)
        return BandPlan(ULTRASONIC_PLAN.name if ULTRASONIC in used else MISSION.name, (CONTROL, *used))

    @property
    def robustness(self) -> str:
        """One of ``ROBUSTNESS``."""
        return ROBUSTNESS[self.broadcast + self.lossy]

    @property
    def without(self) -> frozenset[str]:
        """Names of the bands of the mission that carry nothing, the ultrasonic one not among them.

        None for the flat plan.
        """
        if not self.bands:
            return frozenset()
        unused = [band.name for bit, band in enumerate(MISSION_BANDS[:-1]) if not self.bands >> bit & 1]
        return frozenset(unused)

    def limit(self, sample_rate: int) -> float:
        """Hz above which nothing is carried."""
        half = sample_rate / 2
        if not self.broadcast:
            return half
        return min(LOSSY_LIMIT if self.lossy else BROADCAST_LIMIT, BROADCAST_SHARE * half)
