"""Band plans are data, and data can be wrong."""

from __future__ import annotations

import pytest

from audiomem_sql.audio import PROFILES
from audiomem_sql.audio.spectrum.plans import FLAT, MISSION, PLANS, Band, BandPlan, Mode, plan_named
from audiomem_sql.audio.spectrum.shape import Shape, spectrum_profile
from audiomem_sql.audio.spectrum.transform import DCT
from audiomem_sql.errors import OptionError


def test_the_bands_of_the_mission() -> None:
    assert [(band.name, band.low, band.high, band.redundancy) for band in PLANS["ultrasonic"].bands] == [
        ("control", 20, 100, 1),
        ("critical", 100, 500, 4),
        ("reliable", 500, 2_000, 3),
        ("standard", 2_000, 8_000, 2),
        ("high-density", 8_000, 20_000, 1.5),
        ("ultrasonic", 20_000, 24_000, 1),
    ]
    assert MISSION.bands == PLANS["ultrasonic"].bands[:-1]
    assert [band.redundancy for band in FLAT.bands] == [1]


def test_overlapping_bands_are_refused() -> None:
    low, high = Band("low", 100, 501, 2, ""), Band("high", 500, 900, 1, "")
    with pytest.raises(OptionError, match=r"low \(100 to 501 Hz\) and high \(500 to 900 Hz\) overlap"):
        BandPlan("mine", (high, low))
    with pytest.raises(OptionError, match="has no bands"):
        BandPlan("mine", ())


@pytest.mark.parametrize(("low", "high", "redundancy"), [(10, 100, 1), (200, 100, 1), (100, 200, 0.5)])
def test_impossible_bands_are_refused(low: float, high: float, redundancy: float) -> None:
    with pytest.raises(OptionError, match="band odd"):
        Band("odd", low, high, redundancy, "")


def test_names() -> None:
    assert plan_named("Mission") is MISSION
    with pytest.raises(OptionError, match=r"no band plan 'loud'.*flat, mission, ultrasonic"):
        plan_named("loud")
    with pytest.raises(OptionError, match="no robustness"):
        Mode.of("flat", "steel")
    with pytest.raises(OptionError, match="no band of the plan mission is left"):
        Mode.of("mission", avoid=frozenset(band.name for band in MISSION.bands))


@pytest.mark.parametrize("code", range(64))
def test_a_mode_is_its_code(code: int) -> None:
    assert Mode.coded(code).code == code


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("robustness", ["exact", "broadcast"])
def test_a_band_is_where_the_plan_says(name: str, plan: str, robustness: str) -> None:
    """Up to half the sample rate: a profile of 22.05 kHz has nothing at 20 kHz."""
    mode = Mode.of(plan, robustness)
    profile = spectrum_profile(PROFILES[name], mode)
    shape = Shape.of(profile, mode)
    width = profile.sample_rate / (2 * DCT)
    used: set[int] = set(range(shape.first, shape.first + 7))
    for slot in shape.slots:
        for start in slot.starts:
            own = set(range(start, start + slot.words))
            assert not own & used
            used |= own
            assert start * width >= slot.band.low
            assert (start + slot.words - 1) * width < min(slot.band.high, mode.limit(profile.sample_rate))
    assert min(used) * width >= 20
    assert max(used) < DCT
    assert set(shape.nulls.tolist()) == set(range(DCT)) - used
    names = [slot.band.name for slot in shape.slots]
    assert ("ultrasonic" in names) == (
        plan == "ultrasonic" and robustness == "exact" and profile.sample_rate > 40_000
    )
    if plan != "flat":
        assert names[:4] == ["critical", "reliable", "standard", "high-density"]
