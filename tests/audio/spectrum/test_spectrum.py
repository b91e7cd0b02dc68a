"""Every page of bytes becomes sound within its bounds, and comes back."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.audio import PROFILES
from audiomem_sql.audio.flac.false_headers import false_headers
from audiomem_sql.audio.flac.frames import Bytes
from audiomem_sql.audio.spectrum.bits import from_gray, split, stream, to_gray
from audiomem_sql.audio.spectrum.control import CONTROL, agreed_seed, seeds_of
from audiomem_sql.audio.spectrum.plans import PLANS, ROBUSTNESS, Mode
from audiomem_sql.audio.spectrum.shape import PEAK, spectrum_profile
from audiomem_sql.audio.spectrum.spectrum import Spectrum, identify, spectrum_of
from audiomem_sql.audio.spectrum.transform import DCT, packed, unpacked

KINDS = [
    (name, plan, robustness)
    for name in PROFILES
    for plan in PLANS
    for robustness in ROBUSTNESS
    if (plan, robustness) != ("flat", "lossy")
]


@cache
def spectrum(name: str, plan: str, robustness: str = "exact") -> Spectrum:
    mode = Mode.of(plan, robustness)
    return spectrum_of(spectrum_profile(PROFILES[name], mode), mode)


def check(one: Spectrum, pages: Bytes) -> Bytes:
    """The sound of these pages, after what must be so for all pages."""
    sound = one.modulate(pages)
    samples = unpacked(sound, one.shape.profile)
    assert np.abs(samples).max() <= PEAK * (1 << one.shape.profile.bits_per_sample - 1)
    reading = one.demodulate(sound, measured=True)
    assert np.array_equal(reading.pages, pages)
    assert not reading.doubtful.any()
    assert all((health.magnitude or 0) < 0.6 for health in reading.health.values())
    assert [identify(page, one.shape.profile) for page in sound] == [one.shape.mode] * len(pages)
    return sound


@pytest.mark.parametrize(("name", "plan", "robustness"), KINDS)
def test_round_trip_at_every_profile(name: str, plan: str, robustness: str) -> None:
    one = spectrum(name, plan, robustness)
    pages = np.random.default_rng(7).integers(0, 256, (3, one.shape.page_size), dtype=np.uint8)
    pages[1], pages[2] = 0, 255
    check(one, pages)


@pytest.mark.parametrize(("name", "chance"), [("embedded", 167), ("embedded", 210), ("server", 5)])
def test_no_sound_looks_like_the_header_of_a_frame(name: str, chance: int) -> None:
    """With the first scrambling, that of these pages does."""
    one = spectrum(name, "flat")
    pages = np.random.default_rng(chance).integers(0, 256, (8, one.shape.page_size), dtype=np.uint8)
    assert not false_headers(check(one, pages)).any()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_round_trip_of_every_byte_string(data: st.DataObject) -> None:
    one = spectrum(*data.draw(st.sampled_from(KINDS)))
    motif = data.draw(st.binary(min_size=1, max_size=64))
    noise = data.draw(st.integers(0, one.shape.page_size))
    page = np.resize(np.frombuffer(motif, np.uint8), one.shape.page_size)
    page[:noise] = np.random.default_rng(noise).integers(0, 256, noise)
    check(one, page[None])


@pytest.mark.parametrize("name", ["desktop", "embedded"])
@pytest.mark.parametrize("seeds", [1, 3, 8])
def test_bytes_made_to_be_loud(name: str, seeds: int) -> None:
    """Whoever knows the scrambling can choose bytes that add up to one peak, for several seeds at once."""
    one = spectrum(name, "flat")
    slot = one.shape.slots[0]
    phase = np.cos(np.pi * (2 * 100 + 1) * np.arange(DCT) / (2 * DCT)) > 0  # all in phase at sample 100
    levels = np.zeros((one.shape.units, slot.words), np.uint64)
    shift = 0
    for start, bits in zip(slot.starts, slot.bits, strict=True):
        top = np.where(phase[start : start + slot.words], (1 << bits) - 1, 0).astype(np.uint64)
        levels |= top << np.uint64(shift)
        shift += bits
    loud = to_gray(levels, slot.bits)
    words = np.empty_like(loud)
    for seed in range(seeds):
        words[:, seed::seeds] = (loud ^ stream(0, seed, one.shape.units, slot.words))[:, seed::seeds]
    page = words.view(np.uint8).reshape(1, -1)[:, : one.shape.page_size]
    sound = check(one, page)
    used = seeds_of(
        one.spectra(sound)[0, :, one.shape.first : one.shape.first + CONTROL] / one.shape.control_distance
    )
    assert (
        used[:-1].min() >= seeds
    )  # none of the seeds that it was made for could be used; the last block is cut short


def loud_page(one: Spectrum, seeds: int) -> Bytes:
    """Bytes whose standard band adds up to a peak in a block of its own for each of so many seeds.

    Uint8 (1, page_size).
    """
    number = [slot.band.name for slot in one.shape.slots].index("standard")
    slot, start, stop = one.shape.parts[number]
    high = np.cos(np.pi * (2 * 100 + 1) * np.arange(DCT) / (2 * DCT)) > 0
    word = sum(
        high[start : start + slot.words].astype(np.uint64) << np.uint64(place)
        for place, start in enumerate(slot.starts)
    )
    words = np.zeros((one.shape.units, slot.words), np.uint64)
    for seed in range(seeds):
        words[seed] = word ^ stream(number, seed, one.shape.units, slot.words)[seed]
    page = np.zeros(one.shape.page_size, np.uint8)
    page[start:stop] = words.view(np.uint8).reshape(-1)[
        : stop - start
    ]  # interleaved, with the data first as it was
    return page[None]


@pytest.mark.parametrize("seeds", [0, 1, 5, 12])
def test_all_blocks_of_a_page_have_one_seed_that_noise_does_not_hide(seeds: int) -> None:
    one = spectrum("desktop", "mission", "lossy")
    page = loud_page(one, seeds)
    sound = check(one, page)
    control = (
        one.spectra(sound)[0, :, one.shape.first : one.shape.first + CONTROL] / one.shape.control_distance
    )
    assert agreed_seed(control) == seeds
    samples = unpacked(sound, one.shape.profile)
    noise = np.random.default_rng(seeds).normal(0, 0.5 * samples.std(), samples.shape)
    heard = one.demodulate(packed(np.rint(samples + noise), one.shape.profile)[None], correct=True)
    assert np.array_equal(heard.pages, page)
    assert sum(health.corrections for health in heard.health.values()) > 100


def test_silent_blocks_are_known_to_be_lost() -> None:
    one = spectrum("desktop", "mission", "lossy")
    page = np.random.default_rng(6).integers(0, 256, (1, one.shape.page_size), dtype=np.uint8)
    sound = one.modulate(page)
    sound.reshape(one.shape.units, -1)[:8] = 0
    reading = one.demodulate(sound)
    assert reading.doubtful.tolist() == [[unit < 8 for unit in range(one.shape.units)]]
    assert np.array_equal(reading.pages, page)


@pytest.mark.parametrize("fields", [3, 5, 16])
def test_neighbouring_levels_differ_in_one_bit(fields: int) -> None:
    bits = split(fields)
    assert sum(bits) == 64
    words = np.random.default_rng(1).integers(0, 1 << 63, 1000, dtype=np.uint64)
    assert np.array_equal(from_gray(to_gray(words, bits), bits), words)
    shift = 0
    for width in bits:
        field = words >> np.uint64(shift) & np.uint64((1 << width) - 1)
        below = words[field < (1 << width) - 1]
        change = to_gray(below, bits) ^ to_gray(below + np.uint64(1 << shift), bits)
        assert (np.bitwise_count(change) == 1).all()
        shift += width


@pytest.mark.parametrize(
    ("name", "plan", "robustness"), [kind for kind in KINDS if kind[1] != "flat" or kind[2] == "exact"]
)
def test_every_band_is_as_loud_as_planned(name: str, plan: str, robustness: str) -> None:
    one = spectrum(name, plan, robustness)
    pages = np.random.default_rng(3).integers(0, 256, (4, one.shape.page_size), dtype=np.uint8)
    spectra = one.spectra(one.modulate(pages))
    for slot in one.shape.slots:
        used = np.concatenate([spectra[..., start : start + slot.words] for start in slot.starts], axis=-1)
        assert np.sqrt((used**2).mean()) == pytest.approx(one.shape.amplitude, rel=0.05)
    assert np.abs(spectra[..., one.shape.nulls]).max() < 2
    control = spectra[..., one.shape.first : one.shape.first + CONTROL]
    assert np.sqrt((control**2).mean()) < 2 * one.shape.amplitude


def test_flat_is_dense() -> None:
    for name in ("server", "desktop", "mobile"):
        one = spectrum(name, "flat")
        assert one.shape.page_size / (one.shape.profile.page_size + 16) > 0.88


@pytest.mark.parametrize("name", ["server", "desktop", "embedded"])
def test_a_few_wrong_samples_are_taken_out(name: str) -> None:
    one = spectrum(name, "flat")
    rng = np.random.default_rng(5)
    pages = rng.integers(0, 256, (6, one.shape.page_size), dtype=np.uint8)
    sound = one.modulate(pages)
    width = one.shape.profile.bytes_per_sample
    damaged = sound.copy().reshape(6, one.shape.units, DCT, width)
    for page in range(6):
        for unit in range(one.shape.units):
            damaged[page, unit, rng.integers(0, DCT), rng.integers(0, width - 1)] ^= rng.integers(16, 256)
    reading = one.demodulate(damaged.reshape(sound.shape))
    assert np.array_equal(reading.pages, pages)
    assert not reading.doubtful.any()


@pytest.mark.parametrize("plan", ["flat", "mission"])
def test_a_destroyed_block_is_noticed_and_costs_no_other(plan: str) -> None:
    one = spectrum("desktop", plan)
    pages = np.random.default_rng(6).integers(0, 256, (2, one.shape.page_size), dtype=np.uint8)
    sound = one.modulate(pages)
    sound.reshape(2, one.shape.units, DCT, 3)[1, 2, 1000:2500] = 0x40
    reading = one.demodulate(sound)
    assert reading.doubtful.tolist() == [[False] * 8, [unit == 2 for unit in range(8)]]
    wrong = np.flatnonzero(reading.pages[1] != pages[1])
    assert np.array_equal(reading.pages[0], pages[0])
    if plan == "flat":
        size = one.shape.slots[0].words * 8
        assert len(wrong) > size * 0.9
        assert wrong.min() >= 2 * size
        assert wrong.max() < 3 * size
    else:
        assert not len(wrong)  # every band has its own code
        assert sum(health.corrections for health in reading.health.values()) > 1000


def test_noise_is_none_of_ours() -> None:
    one = spectrum("desktop", "flat")
    noise = np.random.default_rng(8).integers(0, 256, one.shape.profile.page_size, dtype=np.uint8)
    assert identify(noise, one.shape.profile) is None
    assert identify(np.zeros_like(noise), one.shape.profile) is None
    assert identify(noise[: PROFILES["desktop"].page_size], PROFILES["desktop"]) is None


@pytest.mark.parametrize(
    ("plan", "robustness"), [("flat", "exact"), ("mission", "exact"), ("mission", "broadcast")]
)
def test_a_page_is_the_same_sound_among_others(plan: str, robustness: str) -> None:
    """Invariant 8 of FORMAT: however many pages are modulated together, and on however many threads."""
    one = spectrum("desktop", plan, robustness)
    pages = np.random.default_rng(9).integers(0, 256, (40, one.shape.page_size), dtype=np.uint8)
    together = one.modulate(pages)
    for first, count in ((0, 1), (7, 3), (20, 16)):
        assert np.array_equal(one.modulate(pages[first : first + count]), together[first : first + count])
