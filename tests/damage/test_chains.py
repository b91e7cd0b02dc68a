"""Damage as a level bears it, to files of several segments: under one parity, and appended with their own."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import process
from samples import arrow, content, rows

import audiomem_sql
from audiomem_sql.errors import DamagedFileError, DamageWarning
from audiomem_sql.frames.read_write import write_flac
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


def made(path: Path, segments: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """An archive file of so many segments; files below ``limit`` bytes are written anew. Its rows."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(compaction, "SMALL_DELTAS", 1000)
    monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", limit)
    table = write_flac(arrow(rows(6000)), path, primary_key="id", profile="embedded", protection="archive")
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


@pytest.mark.parametrize("segments", [2, 6])
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
    assert "not covered against a hole at the end of the file; vacuum makes it so" in shown.err
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
    with pytest.warns(DamageWarning):
        table = audiomem_sql.open(path, salvage=True, on_damage="skip")
    with table:
        found = content(table)
        assert found[:6000] == truth[:6000]  # the base is whole
        assert all(row in truth for row in found)


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
