"""The bands of a table: what they hold, how well they are heard, and which the next file does without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from samples import arrow, content, create, rows, same

from audiomem_sql import connect
from audiomem_sql.audio.spectrum.plans import MISSION_BANDS
from audiomem_sql.errors import OptionError
from audiomem_sql.sound.band_health import UNHEALTHY, band_states, unhealthy
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

BROADCAST = {"modulation": "spectrum", "band_plan": "mission", "robustness": "broadcast"}


def noisy(made: Path, heard: Path, low: float, high: float) -> None:
    """The sound at ``made`` with as loud a noise between two frequencies."""
    sound, rate = soundfile.read(made)
    noise = np.random.default_rng(1).normal(0, 0.1, sound.shape)
    spectrum = np.fft.rfft(noise, axis=0)
    frequencies = np.fft.rfftfreq(len(sound), 1 / rate)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    soundfile.write(heard, sound + np.fft.irfft(spectrum, len(sound), axis=0), rate, subtype="PCM_24")


@pytest.mark.parametrize(
    "options",
    [{}, {"modulation": "spectrum"}, {"modulation": "spectrum", "band_plan": "mission"}, BROADCAST],
    ids=["pcm", "flat", "mission", "broadcast"],
)
def test_of_a_whole_file(tmp_path: Path, options: dict[str, Any]) -> None:
    with create(tmp_path / "t.flac", 300, profile="embedded", **options) as table:
        table.checkpoint()
        table.append(arrow(rows(20, 0, 1001)))
        table.checkpoint()
        found = band_states(table.snapshot)
        files = [segment.file for segment in table.snapshot.segments]
        assert sum(band.bytes for band in found) == sum(
            file.page_count * file.source.page_size for file in files
        )
        assert not unhealthy(table.snapshot)
    if not options:
        assert [(band.name, band.high, band.health) for band in found] == [("whole", 11_025, None)]
        return
    assert all(band.health is not None and band.health > 0.95 and not band.lost for band in found)
    if "band_plan" in options:
        assert [band.name for band in found] == [band.name for band in MISSION_BANDS[:4]]
        assert [round(band.redundancy, 1) for band in found] == [4.0, 3.0, 2.0, 1.5]


def test_in_sql(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 300, modulation="spectrum", band_plan="mission") as table:
        table.checkpoint()
    connection = connect(str(tmp_path / "t.flac"))
    found = connection.execute("SELECT band, low_hz, bytes, health, lost FROM audiomem_bands('t')").fetchall()
    assert [row[0] for row in found] == [band.name for band in MISSION_BANDS[:4]]
    assert [round(row[1], -2) for row in found] == [100, 500, 2000, 8000]
    assert all(0.95 < row[3] <= 1 and row[4] == 0 for row in found)
    connection.close()


def test_what_is_not_heard_is_avoided(tmp_path: Path) -> None:
    made, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    with create(made, 300, profile="desktop", protection="archive", **BROADCAST) as table:
        table.checkpoint()
        expected = content(table)
    noisy(made, heard, 600, 1900)
    with Table(heard) as table:
        assert same(content(table), expected)
        reliable = next(band for band in band_states(table.snapshot) if band.name == "reliable")
        assert (reliable.error or 0) > UNHEALTHY
        assert unhealthy(table.snapshot) == {"reliable"}
        table.append(arrow(rows(5, 0, 5001)))
        table.checkpoint()  # a file behind it does without that band, too
        delta = table.snapshot.segments[-1].file.source
        assert [slot.band.name for slot in delta.shape.slots] == ["critical", "standard", "high-density"]
        expected = content(table)
        table.vacuum()
        assert [band.name for band in band_states(table.snapshot)] == ["critical", "standard", "high-density"]
        assert unhealthy(table.snapshot) == {"reliable"}
        assert same(content(table), expected)
        assert not list(problems(table))
        table.transcode({"profile": "desktop"})
        assert len(band_states(table.snapshot)) == 4


def test_transcode(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path, 300) as table:
        table.checkpoint()
        table.append(arrow(rows(20, 0, 1001)))
        expected, versions = content(table), table.versions
        for changes in (
            {"modulation": "spectrum", "band_plan": "mission"},
            {"profile": "desktop", "protection": "archive", "robustness": "broadcast"},
            {"modulation": "pcm", "profile": "mobile", "protection": "none"},
        ):
            table.transcode(changes)
            assert same(content(table), expected)
            assert table.versions == versions
            for name, value in changes.items():
                assert getattr(table.options, name) == value
        with Table(path) as again:
            assert same(content(again), expected)
            assert again.options.modulation == "pcm"
        whole = path.read_bytes()
        for wrong, what in (
            ({"model": "hash"}, "model is not how a table sounds"),
            ({"band_plan": "mission"}, "band_plan says how modulation=spectrum is done"),
            ({"profile": "pocket"}, "no profile 'pocket'"),
        ):
            with pytest.raises(OptionError, match=what):
                table.transcode(wrong)
        assert path.read_bytes() == whole
