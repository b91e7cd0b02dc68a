"""Tables whose pages are frequencies: the files of before, damage, and searches."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from damage.campaign import run
from damage.damages import Damage, Hole, Inserted, Scattered, Sectors
from damage.ours import Ours
from fixtures.make_spectrum import FOLDER, PLANS, expected, make
from samples import MODULATIONS, arrow, content, create, rows, same

from audiomem_sql.audio.finding.modulated import ModulatedPages
from audiomem_sql.errors import AudioMemError, OptionError
from audiomem_sql.machine import hardware
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems


@pytest.mark.parametrize("name", PLANS)
def test_files_of_before(tmp_path: Path, name: str) -> None:
    shutil.copy(FOLDER / f"{name}.flac", tmp_path)
    with Table(tmp_path / f"{name}.flac") as table:
        assert content(table) == expected(name)
        assert not list(problems(table))
        assert table.snapshot.segments[0].file.by_bands == (name in ("bands", "lossy"))
        for option, value in PLANS[name].items():
            assert getattr(table.options, option) == value
        rows = len(table)
        table.append([{"id": 1000, "body": "new"}])
        table.vacuum()
        assert len(table) == rows + 1
        assert table.snapshot.segments[0].file.by_bands == (name in ("mission", "bands", "lossy"))


def test_they_are_made_as_before(tmp_path: Path) -> None:
    """Where the same scipy makes them: levels and layout, not the last bit of a sample."""
    make(tmp_path)
    for name in PLANS:
        with Table(tmp_path / f"{name}.flac") as table:
            assert content(table) == expected(name)


@pytest.mark.damages
@pytest.mark.parametrize("modulation", ["flat", "mission"])
@pytest.mark.parametrize(
    ("protection", "damage"),
    [
        ("standard", Scattered(1e-5)),
        ("standard", Hole(0.05, "anywhere")),
        ("archive", Scattered(1e-5)),
        ("archive", Sectors(0.01)),
        ("archive", Hole(0.12, "front")),
        ("archive", Hole(0.12, "end")),
    ],
    ids=str,
)
def test_protected(tmp_path: Path, modulation: str, protection: str, damage: Damage) -> None:
    store = Ours(tmp_path, arrow(rows(3000)), protection, profile="embedded", **MODULATIONS[modulation])
    tally = run(store, damage, range(2))
    assert (tally.wrong, tally.wrong_rows, dict(tally.foreign)) == (0, 0, {})
    assert tally.whole == 2


@pytest.mark.damages
@pytest.mark.parametrize("modulation", ["flat", "mission"])
@pytest.mark.parametrize("protection", ["none", "archive"])
@pytest.mark.parametrize(
    "damage", [Scattered(1e-3), Sectors(0.3), Inserted(), Hole(0.4, "anywhere")], ids=lambda d: d.name
)
def test_more_than_can_be_borne_is_never_silent(
    tmp_path: Path, modulation: str, protection: str, damage: Damage
) -> None:
    store = Ours(tmp_path, arrow(rows(1000)), protection, profile="embedded", **MODULATIONS[modulation])
    tally = run(store, damage, range(2))
    assert (tally.wrong, tally.wrong_rows, dict(tally.foreign)) == (0, 0, {})


@pytest.mark.damages
@pytest.mark.parametrize("modulation", ["flat", "mission"])
def test_repair_makes_the_file_what_it_was(tmp_path: Path, modulation: str) -> None:
    path = tmp_path / "t.flac"
    with create(path, 3000, protection="archive", **MODULATIONS[modulation]) as table:
        table.checkpoint()
        truth = content(table)
    whole = path.read_bytes()
    data = bytearray(whole)
    start = len(data) // 3
    data[start : start + len(data) // 10] = bytes(len(data) // 10)
    path.write_bytes(data)
    with Table(path) as table:
        assert same(content(table), truth)
        assert [repair.changed for repair in table.repair()] == [True]
        assert list(problems(table)) == []
    assert path.read_bytes() == whole


@pytest.mark.damages
def test_a_lost_block_of_samples_is_corrected_by_the_page_alone(tmp_path: Path) -> None:
    """One of the eight blocks of a page is lost.

    That is just what the inner code can bear when it is told which bytes are lost.
    """
    path = tmp_path / "t.flac"
    options = {"profile": "desktop", "protection": "standard", "modulation": "spectrum"}
    with create(path, 3000, **options) as table:
        truth = content(table)
        source = table.snapshot.segments[0].file.source
        assert isinstance(source, ModulatedPages)
        page_bytes = source.profile.page_size
        pages = table.snapshot.segments[0].file.page_count
    data = np.fromfile(path, np.uint8)
    start = len(data) - pages * (page_bytes + 11)
    for page in range(pages):
        at = start + page * (page_bytes + 11) + page_bytes // 4 + 3000
        data[at : at + 4000] = 0x55
    data.tofile(path)
    with Table(path) as table:
        assert same(content(table), truth)
        found = table.snapshot.segments[0].file.corrections
        assert found.inner > 0
        assert (found.outer, found.failed) == (0, 0)


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    for options, what in (
        ({"modulation": "spectrum", "band_plan": "loud"}, "no band plan 'loud'"),
        ({"modulation": "spectrum", "robustness": "steel"}, "no robustness 'steel'"),
        ({"modulation": "spectrum", "robustness": "lossy", "band_plan": "flat"}, "needs bands with codes"),
        ({"band_plan": "mission"}, "band_plan says how modulation=spectrum is done"),
        ({"robustness": "broadcast"}, "robustness says how modulation=spectrum is done"),
    ):
        with pytest.raises(OptionError, match=what):
            Table.create(path, ["a TEXT"], options)
        assert not path.exists()


def test_a_profile_that_the_container_cannot_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("300000000\n")
    monkeypatch.setattr(hardware, "CGROUP_MEMORY", (str(tmp_path / "memory.max"),))
    path = tmp_path / "t.flac"
    for name in ("server", "desktop"):
        with pytest.raises(OptionError, match=f"{name} cannot be served"):
            Table.create(path, ["a TEXT"], {"profile": name, "modulation": "spectrum"})
        assert not path.exists()
    with Table.create(path, ["a TEXT"], {"profile": "embedded"}) as table:
        before = path.read_bytes()
        with pytest.raises(OptionError, match="server cannot be served"):
            table.transcode({"profile": "server", "modulation": "spectrum"})
        with pytest.raises(OptionError, match="no band plan 'loud'"):
            table.transcode({"modulation": "spectrum", "band_plan": "loud"})
        assert path.read_bytes() == before


@pytest.mark.damages
def test_music_is_no_table(tmp_path: Path) -> None:
    import soundfile

    noise = np.random.default_rng(1).normal(0, 0.1, (16_384 * 3, 2))
    soundfile.write(tmp_path / "music.flac", noise, 48_000, subtype="PCM_24")
    with pytest.raises(AudioMemError, match="holds sound"):
        Table(tmp_path / "music.flac")
