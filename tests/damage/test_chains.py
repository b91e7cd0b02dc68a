"""Damage as a level bears it, to files of several segments: under one parity, and appended with their own."""

from __future__ import annotations

import random
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import process
from samples import arrow, content, rows

import audiomem_sql
from audiomem_sql.errors import DamagedFileError, DamageWarning
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.table.exposure import exposure
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import placement

pytestmark = pytest.mark.damages
SHARE = 0.15
Damage = Callable[[bytearray], None]


def sectors(seed: int) -> Damage:
    def damage(data: bytearray) -> None:
        rng, count = random.Random(seed), len(data) // 4096
        for sector in rng.sample(range(count), int(count * SHARE)):
            data[sector * 4096 : (sector + 1) * 4096] = rng.randbytes(4096)

    return damage


def hole(where: float, share: float = SHARE) -> Damage:
    def damage(data: bytearray) -> None:
        length = int(len(data) * share)
        start = int((len(data) - length) * where)
        data[start : start + length] = bytes(length)

    return damage


def made(
    path: Path, segments: int, limit: int, monkeypatch: pytest.MonkeyPatch, level: str = "archive"
) -> list[dict[str, object]]:
    """A protected file of so many segments; files below ``limit`` bytes are written anew. Its rows."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(compaction, "MERGED_AT_ONCE", 1000)
    monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", limit)
    table = write_flac(arrow(rows(6000)), path, primary_key="id", profile="embedded", protection=level)
    with table:
        table.checkpoint()
        for number in range(1, segments):
            table.append(arrow(rows(8, number, 10_000 * number)))
            table.checkpoint()
        assert len(table.snapshot.segments) == segments
        return content(table)


@pytest.mark.parametrize("segments", [1, 5, 30])
def test_a_file_under_one_parity(tmp_path: Path, segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The promise of the level holds for the whole file: random sectors, and a hole anywhere."""
    path = tmp_path / "t.flac"
    truth = made(path, segments, 1 << 30, monkeypatch)
    whole = path.read_bytes()
    for damage in (sectors(1), sectors(2), hole(0), hole(0.5), hole(1)):
        data = bytearray(whole)
        damage(data)
        path.write_bytes(data)
        with Table(path) as table:
            assert content(table) == truth
            assert all(problem.repair for problem in problems(table))
            (repair,) = table.repair()
            assert repair.changed
        assert path.read_bytes() == whole


@pytest.mark.parametrize("segments", [2, 4])
def test_appended_segments(tmp_path: Path, segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random sectors cost nothing. A hole at the end costs the tail at most, which is told, also before."""
    path = tmp_path / "t.flac"
    truth = made(path, segments, 0, monkeypatch)
    whole = path.read_bytes()
    exposed = f"{'version 3,' if segments == 2 else f'versions 3 to {segments + 1},'} "
    shown = process("verify", str(path), cwd=tmp_path)
    assert shown.code == 0
    assert f"pages in 1 file and {segments} segments" in shown.out
    assert exposed in shown.err
    assert "not covered against a hole of 15 % of it where " in shown.err
    assert exposed in process("info", str(path), cwd=tmp_path).out
    for damage in (sectors(1), sectors(2), hole(0), hole(0.5)):
        data = bytearray(whole)
        damage(data)
        path.write_bytes(data)
        with Table(path) as table:
            assert content(table) == truth
            assert all(problem.repair for problem in problems(table))
            table.repair()
        with Table(path) as table:
            assert (content(table), list(problems(table))) == (truth, [])
        subprocess.run(["flac", "-ts", str(path)], check=True)
    data = bytearray(whole)
    hole(1)(data)
    path.write_bytes(data)
    with pytest.raises(DamagedFileError):
        audiomem_sql.open(path).to_arrow()
    assert process("verify", str(path), cwd=tmp_path).code == 1
    with (
        pytest.warns(DamageWarning) as warnings_given,
        audiomem_sql.open(path, salvage=True, on_damage="skip") as table,
    ):
        found, newest = content(table), table.snapshot.newest
    assert found[:6000] == truth[:6000]  # the base is whole
    assert all(row in truth for row in found)
    told = "\n".join(str(warning.message) for warning in warnings_given)
    if newest <= segments:
        assert f"ended with version {segments + 1}, and has versions up to {newest}." in told
    for number in range(1, newest - 1):  # what is lost of the segments that can be opened is named
        rowids = {row["id"] for row in found} & {*range(10_000 * number, 10_000 * number + 8)}
        assert len(rowids) in {0, 8}
        assert rowids or f"rows {10_000 * number} to {10_000 * number + 7} are left out" in told


def test_a_vacuum_covers_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.flac"
    truth = made(path, 3, 0, monkeypatch)
    with Table(path) as table:
        table.vacuum()
    assert "not covered" not in process("verify", str(path), cwd=tmp_path).err
    data = bytearray(path.read_bytes())
    hole(1)(data)
    path.write_bytes(data)
    with Table(path) as table:
        assert content(table) == truth


def exposed(path: Path) -> tuple[int, int] | None:
    """The first and the last version that a hole may cost, as it is said; None if none."""
    with Table(path) as table:
        told = exposure(table.snapshot)
    return None if told is None else (told.first, told.last)


@pytest.mark.parametrize(("level", "share"), [("archive", 0.15), ("standard", 0.05)])
@pytest.mark.parametrize("segments", [3, 20])
def test_what_a_hole_may_cost_is_told_before(
    tmp_path: Path, segments: int, level: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole wherever it is costs rows of the versions that are told, if any.

    Many segments make the file, and so the hole, larger than the parity of the base can bear.
    """
    path = tmp_path / "t.flac"
    truth = made(path, segments, 0, monkeypatch, level)
    told = exposed(path)
    assert told == ((1, segments + 1) if segments == 20 else (3, 4))
    whole = path.read_bytes()
    lost = set()
    for place in range(11):
        data = bytearray(whole)
        hole(place / 10, share)(data)
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamageWarning)
            with Table(path, salvage=True, on_damage="skip") as table:
                found = {row["id"] for row in content(table)}
        lost |= {row["id"] // 10_000 for row in truth if row["id"] not in found}
    assert lost
    assert (0 in lost) == (segments == 20)
    path.write_bytes(whole)
    with Table(path) as table:
        table.vacuum()
    assert exposed(path) is None


@pytest.mark.parametrize("level", ["standard", "archive"])
@pytest.mark.parametrize("count", [0, 1, 30, 300, 3000])
def test_one_parity_covers_any_size(tmp_path: Path, count: int, level: str) -> None:
    path = tmp_path / "t.flac"
    write_flac(arrow(rows(count)), path, primary_key="id", profile="embedded", protection=level).close()
    assert exposed(path) is None
