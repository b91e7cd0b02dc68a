"""Chains of segments in modulated tables: folds, backup, lost segments, and what sound goes through."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import soundfile

from audiomem_sql.audio.finding.modulated import ModulatedPages
from audiomem_sql.errors import DamagedFileError, DamageWarning
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from sound.test_broadcast import LOSSY, SURVIVED, Process

COLUMNS = ["id INTEGER PRIMARY KEY", "v TEXT"]
SOUNDS: dict[str, dict[str, str]] = {
    "flat": {},
    "mission": {"band_plan": "mission"},
    "ultrasonic": {"band_plan": "ultrasonic", "profile": "server"},
    "embedded": {"profile": "embedded"},
    "broadcast": {"robustness": "broadcast"},
    "mission broadcast": {"robustness": "broadcast", "band_plan": "mission"},
    "lossy": {"robustness": "lossy"},
}


@pytest.fixture(autouse=True)
def segments_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)


def rows(table: Any) -> dict[int, str]:
    return {row["id"]: row["v"] for row in table.to_arrow().to_pylist()}


def chain(path: Path, sound: str, protection: str = "none") -> dict[int, str]:
    """Four segments: versions 1 and 2, then one that ends with 3, 4 and 5; its rows."""
    options = {"modulation": "spectrum", "protection": protection, **SOUNDS[sound]}
    with Table.create(path, COLUMNS, options) as table:
        table.append([{"id": number, "v": f"first {number}"} for number in range(1, 9)])
    for number in range(3):
        with Table(path) as table:
            table.append([{"id": 100 + number, "v": f"chain {number}"}])
        assert os.listdir(path.parent) == [path.name]
    with Table(path) as table:
        assert [segment.catalog.last_version for segment in table.snapshot.segments] == [2, 3, 4, 5]
        return rows(table)


def is_flac(path: Path) -> None:
    subprocess.run(["flac", "-t", "-s", str(path)], check=True)


@pytest.mark.damages
@pytest.mark.parametrize(
    ("sound", "protection"),
    [*((sound, "none") for sound in SOUNDS), ("flat", "archive"), ("mission broadcast", "archive")],
)
def test_a_chain(tmp_path: Path, sound: str, protection: str) -> None:
    """Folded at each close, backed up while a log is open, merged, vacuumed: valid FLAC and all rows."""
    path, alone = tmp_path / "one" / "t.flac", tmp_path / "alone.flac"
    path.parent.mkdir()
    expected = chain(path, sound, protection)
    is_flac(path)
    with Table(path) as table:
        assert list(problems(table)) == []
        table.append([{"id": 200, "v": "logged"}])
        shutil.copy(path, alone)
        is_flac(alone)
        for target, version in (("new.flac", None), ("old.flac", 4)):
            table.backup(tmp_path / target, version=version)
            is_flac(tmp_path / target)
            with Table(tmp_path / target) as copy:
                assert rows(copy) == rows(table.checkout(version))
                assert list(problems(copy)) == []
    with pytest.raises(DamagedFileError, match="which is not here"):
        Table(alone)
    expected[200] = "logged"
    with Table(path) as table:
        assert len(table.snapshot.segments) == 5
        table.merge()
        assert len(table.snapshot.segments) == 2
        assert list(problems(table)) == []
        assert rows(table) == expected
        table.vacuum()
        assert rows(table) == expected
    is_flac(path)
    assert os.listdir(path.parent) == ["t.flac"]


def without_segment(path: Path, number: int, target: Path) -> None:
    """The samples of a segment are silence, and the metadata are gone."""
    with Table(path) as table:
        segment = table.snapshot.segments[number].file
        source = segment.source
        assert isinstance(source, ModulatedPages)
        first = source.shape.first_frame(segment.first) * source.profile.block_size
        stop = source.shape.first_frame(segment.first + segment.own_pages) * source.profile.block_size
    samples, rate = soundfile.read(path, dtype="int32", always_2d=True)
    samples[first:stop] = 0
    subtype = soundfile.info(path).subtype
    soundfile.write(target, samples, rate, subtype=subtype, format="FLAC")


@pytest.mark.damages
@pytest.mark.parametrize(
    ("sound", "number"),
    [
        *(("embedded", number) for number in range(4)),
        ("flat", 3),
        ("mission", 1),
        ("broadcast", 2),
        ("lossy", 1),
    ],
)
def test_a_segment_that_is_lost(tmp_path: Path, sound: str, number: int) -> None:
    """Without protection the others are saved; with it nothing is lost, and repair makes the file again."""
    path, lost = tmp_path / "one" / "t.flac", tmp_path / "lost.flac"
    path.parent.mkdir()
    expected = chain(path, sound)
    without_segment(path, number, lost)
    gone = range(1, 9) if number == 0 else [99 + number]
    left = {key: text for key, text in expected.items() if key not in gone}
    if number < 3:
        with pytest.raises(DamagedFileError, match="CRC-32C mismatch"), Table(lost) as table:
            rows(table)
        with pytest.warns(DamageWarning, match="missing"), Table(lost, salvage=True) as table:
            assert rows(table) == left
    else:  # nothing says that there was one, but verify sees that something is there
        with Table(lost) as table:
            assert rows(table) == left
            (told,) = problems(table)
            assert "behind version 4: if they held newer versions, these are lost" in told.what
            assert told.repair is None


@pytest.mark.damages
@pytest.mark.parametrize(
    ("sound", "number"),
    [*(("embedded", number) for number in range(4)), ("mission broadcast", 2), ("lossy", 3)],
)
def test_a_segment_that_is_brought_back(tmp_path: Path, sound: str, number: int) -> None:
    path, lost = tmp_path / "one" / "t.flac", tmp_path / "lost.flac"
    path.parent.mkdir()
    expected = chain(path, sound, "archive")
    without_segment(path, number, lost)
    with Table(lost) as table:
        assert rows(table) == expected
        table.repair()
        assert list(problems(table)) == []
    assert lost.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("sound", "name"),
    [
        ("broadcast", "everything"),
        ("broadcast", "silence added"),
        ("mission broadcast", "a second cut off"),
        ("mission broadcast", "48-44.1-48 ffmpeg"),
    ],
)
def test_a_broadcast(tmp_path: Path, sound: str, name: str) -> None:
    outlived(tmp_path, sound, SURVIVED[name])


@pytest.mark.parametrize("name", ["MP3 192", "Opus 256"])
def test_a_lossy_encoder(tmp_path: Path, name: str) -> None:
    outlived(tmp_path, "lossy", LOSSY[name])


def outlived(tmp_path: Path, sound: str, process: Process) -> None:
    """What a table of one segment outlives, one of several does; it can be written to afterwards."""
    path, heard = tmp_path / "one" / "t.flac", tmp_path / "heard.flac"
    path.parent.mkdir()
    expected = chain(path, sound)
    process(path, heard)
    with Table(heard) as table:
        assert rows(table) == expected
        assert len(table.snapshot.segments) == 4
        assert {problem.what.partition("; ")[2] for problem in problems(table)} <= {"nothing is stored there"}
        table.append([{"id": 300, "v": "afterwards"}])
    with Table(heard) as table:
        assert rows(table) == expected | {300: "afterwards"}
    is_flac(heard)


@pytest.mark.damages
@pytest.mark.parametrize("name", ["AAC 256"])
def test_an_announcement_outlives_a_lossy_encoder(tmp_path: Path, name: str) -> None:
    """A copy of the file of an open writer says that it is not all, even as an MP3."""
    path, heard = tmp_path / "one" / "t.flac", tmp_path / "heard.flac"
    path.parent.mkdir()
    chain(path, "lossy")
    with Table(path) as table:
        table.append([{"id": 300, "v": "logged"}])
        LOSSY[name](path, heard)
    with pytest.raises(DamagedFileError, match=r"version 6 and those after it are in .*, which is not here"):
        Table(heard)
