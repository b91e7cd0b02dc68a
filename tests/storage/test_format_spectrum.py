"""docs/FORMAT.md says how a page becomes sound with modulation ``spectrum``."""

from __future__ import annotations

import hashlib
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiomem_sql.audio.spectrum import plans as bands
from audiomem_sql.audio.spectrum import shape
from audiomem_sql.storage.pages import header as page_header
from audiomem_sql.table.table import Table
from storage.format_document import finalised, table


def test_cells_filled_by_bands(tmp_path: Path) -> None:
    """The data stream of a file of several pages, put together as the document says."""
    options = {"profile": "desktop", "modulation": "spectrum", "band_plan": "mission"}
    with Table.create(tmp_path / "t.flac", ["body TEXT"], options) as made:
        made.append([{"body": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(3000)])
        made.checkpoint()
        file, first = made.snapshot.segments[0].file, made.snapshot.segments[0].data_cell
        length = made.snapshot.segments[0].catalog.data_bytes
        stream = file.read(first, 0, length)
        pages = [file.source.read(page, 1)[0].tobytes() for page in range(file.page_count)]
    assert pages[0][7] == page_header.MODULATION_BANDS
    copy = int.from_bytes(pages[0][26:28], "little")
    own = pages[copy:-copy]
    assert len(own) == -(-length // (40 * 1016)) > 2
    # payload of the bands of the mission: 8 blocks; bytes of codewords, and of data in them
    ends, e = [], 0
    for low, high, data in ((100, 500, 63), (500, 2000, 85), (2000, 8000, 127), (8000, 20000, 170)):
        words = (math.ceil(high * 8192 / 48_000) - math.ceil(low * 8192 / 48_000)) // 3
        e += 8 * words * 8 // 255 * data
        ends.append(e)
    tiers = sorted({0, *(max(0, e - 160) // 1020 for e in ends)} - {40})
    tiers = [cell for cell in tiers if cell < 40]
    found = b""
    for low, high in itertools.pairwise([*tiers, 40]):
        for page in own:
            found += b"".join(page[160 + 1020 * c : 160 + 1020 * c + 1016] for c in range(low, high))
    assert found[:length] == stream
    assert not any(found[length:])


def test_a_page_of_several_frames_as_it_is_described(tmp_path: Path) -> None:
    """The header in page 1 of a file for lossy encoders, from its samples, by nothing but the document."""
    options = {"profile": "desktop", "modulation": "spectrum", "band_plan": "mission", "robustness": "lossy"}
    with Table.create(tmp_path / "t.flac", ["v INTEGER"], options) as made:
        made.append([{"v": 1}])
        made.checkpoint()
    samples, rate = soundfile.read(tmp_path / "t.flac", dtype="int32", always_2d=True)
    samples >>= 8
    silent, frames, channels, first = math.ceil(rate / 16_384), 8, 2, 4
    assert not samples[: silent * 16_384].any()
    assert not samples[-silent * 16_384 :].any()
    assert len(samples) // 16_384 - 2 * silent == 3 * frames  # the catalog twice, and a page of data
    start = (silent + frames) * 16_384
    page = samples[start : start + frames * 16_384].reshape(frames, 4, 4096, channels)
    blocks = page.transpose(0, 3, 1, 2).reshape(frames * channels * 4, 4096).astype(float)
    k, t = np.arange(first, 86), np.arange(4096)
    spectra = (2 / 4096) ** 0.5 * blocks @ np.cos(np.pi * (2 * t[:, None] + 1) * k / 8192)
    distance = 2 * math.sqrt(255 / 12) / 32 * 2**23  # of two levels, one bit: A is half of it
    control = spectra[:, :7] / (distance / 2 / math.sqrt(63 / 12)) + 3.5
    assert np.abs(control - np.where(control > 3.5, 7, 0)).max() < 0.01
    bits = np.rint(control / 7).astype(int)
    seed = sum(int(bits[u, 0]) << u for u in range(12))
    assert (bits[:, 0] == [seed >> u % 12 & 1 for u in range(len(bits))]).all()
    assert (bits[:, 1:] == [1, 1, 1, 0, 1, 1]).all()  # 46: lossy, without the critical band's 1; the pilot
    low = math.ceil(100 * 8192 / rate)
    stored = b""
    places = [low - first + j + j * (86 - low - 64) // 64 for j in range(64)]  # one word in the critical band
    for u, block in enumerate(spectra):
        word = sum(int(block[place] > 0) << j for j, place in enumerate(places))
        word ^= finalised(((seed << 32) + (u + 1) * 0x9E3779B97F4A7C15) % 2**64)
        stored += word.to_bytes(8, "little")
    header = page_header.PageHeader.unpack(stored[:32])  # interleaved: the data comes first, byte by byte
    assert header is not None
    assert header.page_number == 1


def test_bands_and_levels() -> None:
    for row, band in zip(table("Control coefficients", 2), bands.MISSION_BANDS, strict=True):
        assert row["band"] == band.name
        assert int(row["in the mode"]) == 1 << bands.MISSION_BANDS.index(band)
        assert (float(row["from (Hz)"]), float(row["to (Hz)"])) == (band.low, band.high)
        assert int(row["data bytes of 255"]) == band.data_bytes
    exact, coarse = {}, {}
    for row in table("Words in coefficients"):
        if row["robustness"] == "exact":
            exact[int(row["coefficients a word, n"])] = float(row["distance of levels"])
        else:
            coarse[row["robustness"]] = row["coefficients a word, n"]
    assert exact == shape.DISTANCE
    assert coarse == {
        "broadcast": "{}, {} or {}".format(*shape.BROADCAST_FIELDS),
        "lossy": str(shape.LOSSY_FIELDS),
    }
    assert math.sqrt(255 / 12) / 32 == shape.LOUD


@pytest.mark.parametrize(
    ("profile", "plan", "robustness"),
    [("embedded", "flat", "exact"), ("desktop", "mission", "exact"), ("desktop", "flat", "broadcast")],
)
def test_a_page_of_frequencies_as_it_is_described(
    tmp_path: Path, profile: str, plan: str, robustness: str
) -> None:
    """The first words of a page, from its samples, by nothing but the document."""
    options = {"profile": profile, "modulation": "spectrum", "band_plan": plan, "robustness": robustness}
    with Table.create(tmp_path / "t.flac", ["v INTEGER"], options) as made:
        made.append([{"v": 1}])
        made.checkpoint()
    samples, rate = soundfile.read(tmp_path / "t.flac", dtype="int32", always_2d=True)
    bits = 24 if profile == "desktop" else 16
    per_word, distance = (3, 2.3) if bits == 24 else (5, 3.4)
    silent = 0
    if robustness == "broadcast":
        per_word, distance, silent = 16, 2**23 / 32, math.ceil(rate / 16_384) * 16_384
        assert not samples[:silent].any()
        assert not samples[-silent:].any()
    block = (samples[silent : silent + 4096, 0] >> 32 - bits).astype(float)
    t = np.arange(4096)

    def coefficient(k: int) -> float:
        return float((2 / 4096) ** 0.5 * (block * np.cos(np.pi * (2 * t + 1) * k / 8192)).sum())

    widths = [64 // per_word + (j >= per_word - 64 % per_word) for j in range(per_word)]
    rms = distance * (sum((4**b - 1) / 12 for b in widths) / per_word) ** 0.5
    first = math.ceil(20 * 8192 / rate)
    digits = []
    for k in range(first, first + 7):
        level = round(coefficient(k) / (rms / (63 / 12) ** 0.5) + 3.5)
        digits.append(level ^ level >> 1)
    seed = sum(digit << 3 * place for place, digit in enumerate(digits[:4]))
    assert digits[4] | digits[5] << 3 == {"flat": 0, "mission": 15}[plan] + 32 * (robustness == "broadcast")
    assert digits[6] == 7 ^ 7 >> 1
    low, high = (
        (first + 7, math.ceil(18_000 * 8192 / rate) if silent else 4096)
        if plan == "flat"
        else (math.ceil(100 * 8192 / rate), math.ceil(500 * 8192 / rate))
    )
    words = (high - low - (5 if plan == "flat" else 0)) // per_word
    rest = high - low - words * per_word
    found = b""
    for w in range(5):
        word, at = 0, 0
        for j, width in enumerate(widths):
            value = coefficient(low + j * words + j * rest // per_word + w) / distance + (2**width - 1) / 2
            level = round(value)
            word |= (level ^ level >> 1) << at
            at += width
        stream = finalised(((seed << 32) + (w + 1) * 0x9E3779B97F4A7C15) % 2**64)
        found += (word ^ stream).to_bytes(8, "little")
    if plan == "flat":
        assert page_header.PageHeader.unpack(found[:32]) is not None
    else:  # interleaved over five codewords: the data comes first, byte by byte
        blocks_of_all = 2 * 4
        codewords = blocks_of_all * words * 8 // 255
        assert codewords == 5
        assert page_header.PageHeader.unpack(found[:32]) is not None
