"""Repair: damage of every kind within a level's reach; files are then what they were, byte for byte."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from samples import MODULATIONS, arrow, content, rows

from audiomem_sql.audio import VerbatimPages
from audiomem_sql.audio.flac.metadata import read_metadata
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.connections import register
from audiomem_sql.errors import (
    DamagedFileError,
    DamageWarning,
    OptionError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.storage.pages import laying_out
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.repair import repair_copy
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import placement

Damage = Callable[[bytearray, random.Random], None]


def sectors(share: float) -> Damage:
    def damage(data: bytearray, rng: random.Random) -> None:
        count = len(data) // 4096
        for sector in rng.sample(range(count), int(count * share)):
            data[sector * 4096 : (sector + 1) * 4096] = rng.randbytes(4096)

    return damage


def scattered(share: float) -> Damage:
    def damage(data: bytearray, rng: random.Random) -> None:
        for _ in range(int(len(data) * share)):
            data[rng.randrange(len(data))] ^= rng.randint(1, 255)

    return damage


def hole(share: float, where: float) -> Damage:
    def damage(data: bytearray, rng: random.Random) -> None:
        length = int(len(data) * share)
        start = int((len(data) - length) * where)
        data[start : start + length] = bytes(length)

    return damage


DAMAGES = {
    "standard": [sectors(0.05), scattered(0.005), hole(0.05, 0.4), scattered(0.0001), hole(0.05, 1.0)],
    "archive": [sectors(0.12), scattered(0.02), hole(0.12, 0.5), hole(0.12, 1.0), sectors(0.12)],
}


#: Where pages are frequencies, a wrong byte disturbs a block of 4,096 samples, so fewer scattered ones can be
#: borne.
FREQUENCIES = {
    "standard": [sectors(0.02), scattered(0.00005), hole(0.05, 0.4), hole(0.05, 1.0)],
    "archive": [sectors(0.03), scattered(0.00005), hole(0.12, 0.5), hole(0.12, 1.0)],
}


def made(path: Path, protection: str, count: int = 4000, **options: str) -> bytes:
    write_flac(
        arrow(rows(count)), path, primary_key="id", profile="embedded", protection=protection, **options
    ).close()
    return path.read_bytes()


@pytest.mark.damages
@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("protection", DAMAGES)
def test_what_was_damaged_is_what_it_was(tmp_path: Path, protection: str, modulation: str) -> None:
    path = tmp_path / "t.flac"
    whole = made(path, protection, 4000 if modulation == "pcm" else 1500, **MODULATIONS[modulation])
    with Table(path) as table:
        truth = content(table)
        assert list(problems(table)) == []
    for seed, damage in enumerate(DAMAGES[protection] if modulation == "pcm" else FREQUENCIES[protection]):
        rng, data = random.Random(seed), bytearray(whole)
        damage(data, rng)
        path.write_bytes(data)
        with Table(path) as table:
            assert content(table) == truth
            found = list(problems(table))
            assert found or modulation != "pcm"  # single wrong samples are taken out of the sound
            assert all(problem.repair for problem in found)
            assert [repair.changed for repair in table.repair()] == [True]
            assert list(problems(table)) == []
            assert content(table) == truth
        assert path.read_bytes() == whole
        assert [entry.name for entry in tmp_path.iterdir()] == ["t.flac"]


def test_an_announcement_that_was_taken_back_is_cut_off(tmp_path: Path) -> None:
    """The front says that no log goes with the file; a crash came before the page was gone."""
    path = tmp_path / "t.flac"
    made(path, "archive", 10)
    with Table(path) as table:
        table.begin().insert(None, tuple(None for _ in table.schema.names))
        table.prepare()
        announced = path.read_bytes()
        table.rollback()
        table.checkpoint()
    closed = path.read_bytes()
    assert len(announced) > len(closed)
    path.write_bytes(closed + announced[len(closed) :])
    with Table(path) as table:
        assert [repair.changed for repair in table.repair()] == [True]
    assert len(path.read_bytes()) == len(closed)


def test_room_for_tags_is_blank_again(tmp_path: Path) -> None:
    """No data depends on it, but FLAC wants zeros there."""
    path = tmp_path / "t.flac"
    whole = made(path, "standard", 10)
    padding = re.search(rb"\x00{800}", whole)
    assert padding is not None
    path.write_bytes(whole[: padding.start() + 9] + b"stray" + whole[padding.start() + 14 :])
    with Table(path) as table:
        assert [repair.changed for repair in table.repair()] == [True]
    assert path.read_bytes() == whole


@pytest.mark.damages
@pytest.mark.parametrize("profile", ["embedded", "desktop"])
@pytest.mark.parametrize("protection", ["standard", "archive"])
def test_a_stuck_bit(tmp_path: Path, protection: str, profile: str) -> None:
    """In every so many bytes of the sound, with a byte more between the channels of each frame."""
    path = tmp_path / "t.flac"
    write_flac(arrow(rows(1500)), path, primary_key="id", profile=profile, protection=protection).close()
    whole = path.read_bytes()
    with Table(path) as table:
        truth = content(table)
        file = table.snapshot.segments[0].file
        assert isinstance(file.source, VerbatimPages)
        heads = [file.source.offset(page) for page in range(file.page_count)]
        kept = 18 + file.layout.header_bytes  # headers of frame and page, which have no parity
    for stride in (16, 17, 18, 23, 64, 96, 192):
        data = np.frombuffer(whole, np.uint8).copy()
        data[heads[0] + stride // 3 :: stride] |= 16
        for head in heads:
            data[head : head + kept] = np.frombuffer(whole[head : head + kept], np.uint8)
        path.write_bytes(data.tobytes())
        with Table(path) as table:
            assert content(table) == truth, stride
            table.repair()
        assert path.read_bytes() == whole


@pytest.mark.damages
@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_a_copy_is_repaired(tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several segments, appended or under one parity, and a log; what is damaged stays as it is."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", limit)
    path, new = tmp_path / "t.flac", tmp_path / "new.flac"
    made(path, "archive", 500)
    with Table(path) as table:
        for start in (1000, 2000, 3000):
            table.append(arrow(rows(100, 0, start)))
            table.checkpoint()
        table.append([{"id": 9001}])
        truth = content(table)
        assert len(table.snapshot.segments) == 4
        whole = path.read_bytes()
        with Table(path) as reader:
            done = repair_copy(reader.snapshot, reader.files, str(new))
            assert [each.changed for each in done] == [False]
        assert content_of(new) == truth
        sound = len(whole) - audio_start(path)
        assert new.read_bytes()[-sound:] == whole[-sound:]
        for name in ("new.flac", "new.flac-wal"):
            (tmp_path / name).unlink()
        broken = bytearray(whole)
        sectors(0.1)(broken, random.Random(1))
        path.write_bytes(broken)
        with Table(path) as broken_table:
            done = repair_copy(broken_table.snapshot, broken_table.files, str(new))
            assert [each.changed for each in done] == [True]
            assert done[0].inner + done[0].outer > 0
            with pytest.raises(StorageError, match="exists already"):
                repair_copy(broken_table.snapshot, broken_table.files, str(new))
        assert path.read_bytes() == broken
        path.write_bytes(whole)
    assert new.read_bytes()[-sound:] == whole[-sound:]
    assert content_of(new) == truth


def content_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a table in which nothing is damaged."""
    with Table(path) as table:
        assert list(problems(table)) == []
        return content(table)


def audio_start(path: Path) -> int:
    file = LocalFile(path)
    try:
        return read_metadata(file, 0).audio_start
    finally:
        file.close()


@pytest.mark.damages
def test_too_much_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    whole = made(path, "standard")
    data = bytearray(whole)
    start = len(data) // 4
    data[start : start + len(data) // 4] = random.Random(1).randbytes(len(data) // 4)
    path.write_bytes(data)
    with Table(path) as table:
        found = list(problems(table))
        lost = [problem for problem in found if problem.repair is None]
        assert lost
        assert any("of rows" in problem.what for problem in lost)
        with pytest.raises(DamagedFileError, match="page"):
            table.repair()
        with pytest.raises(DamagedFileError, match="CRC-32C"):
            content(table)
    assert path.read_bytes() == data


def test_without_protection_there_is_nothing_to_repair_with(tmp_path: Path) -> None:
    made(tmp_path / "t.flac", "none", 10)
    with Table(tmp_path / "t.flac") as table, pytest.raises(UnsupportedError, match="protection none"):
        table.repair()


@pytest.mark.parametrize("before", ["none", "standard", "archive"])
def test_a_vacuum_changes_the_level(tmp_path: Path, before: str) -> None:
    path = tmp_path / "t.flac"
    made(path, before, 300)
    with Table(path) as table:
        truth = content(table)
        for after in ("archive", "none", "standard"):
            table.vacuum(level=3, protection=after)
            assert table.options.protection == after
            assert table.snapshot.segments[0].file.layout.level.name == after
            assert content(table) == truth
            assert list(problems(table)) == []
    with Table(path) as table:
        assert table.options.protection == "standard"


@pytest.mark.damages
@pytest.mark.parametrize("copies_in_all", [2, 4])
def test_every_copy_of_the_catalog_but_one(
    tmp_path: Path, copies_in_all: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.flac"
    if copies_in_all == 4:
        monkeypatch.setattr(laying_out, "COMPACT_PAGES", 1)
    whole = made(path, "archive")
    with Table(path) as table:
        file = table.snapshot.segments[0].file
        assert file.map is not None
        copies, size = file.map.copies, len(whole) // file.page_count
        assert len(set(copies)) == copies_in_all
        truth = content(table)
    for kept in range(copies_in_all):
        data = bytearray(whole)
        for number, cell in enumerate(copies):
            if number != kept:
                at = len(whole) * (cell // 8) // file.page_count
                data[at : at + size] = bytes(size)
        path.write_bytes(data)
        with Table(path) as table:
            assert content(table) == truth


def broken_table(folder: Path) -> tuple[Path, dict[int, object]]:
    """A table of which a hole took more than its level can bring back; the rows that were in it by id."""
    path = folder / "t.flac"
    whole = made(path, "standard")
    with Table(path) as table:
        truth = {row["id"]: row for row in content(table)}
    data = bytearray(whole)
    start = len(data) * 3 // 10
    data[start : start + len(data) // 5] = random.Random(2).randbytes(len(data) // 5)
    path.write_bytes(data)
    return path, truth


@pytest.mark.damages
@pytest.mark.filterwarnings("ignore::audiomem_sql.errors.DamageWarning")
def test_what_cannot_be_recovered_is_left_out(tmp_path: Path) -> None:
    path, truth = broken_table(tmp_path)
    with Table(path) as table, pytest.raises(DamagedFileError):
        content(table)
    with Table(path, on_damage="skip") as table:
        with pytest.warns(DamageWarning, match=r"rows \d+ to \d+ are left out"):
            found = content(table)
        assert 100 < len(found) < len(truth)
        assert all(row == truth[row["id"]] for row in found)
        narrow = table.to_arrow(["id"]).num_rows
        assert narrow >= len(found)  # only the columns that are read count
        assert len(table.to_arrow(where="title LIKE '%1%'")) < len(truth)
        assert table.to_arrow(where="id = 3").num_rows <= 1
    con = apsw.Connection(":memory:")
    register(con)
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}', on_damage=skip)")
    assert con.execute("SELECT count(*), min(id) FROM (SELECT * FROM t)").fetchone() is not None
    ids = [row[0] for row in con.execute("SELECT * FROM t ORDER BY id DESC")]
    assert sorted(ids) == [row["id"] for row in found]
    assert ids == sorted(ids, reverse=True)
    con.close()
    with pytest.raises(OptionError, match="on_damage"):
        Table(path, on_damage="ignore")


@pytest.mark.damages
@pytest.mark.filterwarnings("ignore::audiomem_sql.errors.DamageWarning")
def test_the_rest_is_saved(tmp_path: Path) -> None:
    path, truth = broken_table(tmp_path)
    with (
        Table(path, salvage=True, on_damage="skip") as broken,
        Table.salvaged(broken, tmp_path / "new.flac", {"protection": "archive"}) as saved,
    ):
        rows_of = content(saved)
        assert saved.versions[-1].inserted == len(rows_of)
        assert "salvaged" in (saved.versions[-1].message or "")
        assert list(problems(saved)) == []
    assert 100 < len(rows_of) < len(truth)
    assert all(row == truth[row["id"]] for row in rows_of)


def moved(kind: str, where: float, count: int) -> Damage:
    def damage(data: bytearray, rng: random.Random) -> None:
        at = int(len(data) * where)
        if kind == "in":
            data[at:at] = rng.randbytes(count)
        elif kind == "out":
            del data[at : at + count]
        else:  # and back in place behind it
            del data[at : at + count]
            data[at * 3 // 2 : at * 3 // 2] = rng.randbytes(count)

    return damage


@pytest.mark.damages
@pytest.mark.parametrize("kind", ["in", "out", "both"])
@pytest.mark.parametrize("protection", ["none", "archive"])
def test_bytes_that_were_put_in_or_taken_out(tmp_path: Path, protection: str, kind: str) -> None:
    path = tmp_path / "t.flac"
    whole = made(path, protection)
    with Table(path) as table:
        truth = {row["id"]: row for row in content(table)}
    for seed, (where, count) in enumerate([(0.3, 1), (0.55, 700), (0.5, 30_000), (0.001, 40), (0.9, 5000)]):
        if kind == "both" and where > 0.6:
            continue
        data = bytearray(whole)
        moved(kind, where, count)(data, random.Random(seed))
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamageWarning)
            with Table(path, on_damage="skip") as table:
                found = content(table)
                titles = content(table.to_arrow(["id", "title"]))
        assert all(row == truth[row["id"]] for row in found)
        assert all(row.items() <= truth[row["id"]].items() for row in titles)
        if protection == "archive":
            assert len(found) == len(truth)
            with Table(path) as table:
                table.repair()
            assert path.read_bytes() == whole
        elif kind == "in":  # the page that is lost may be all that a column has, as one of titles is not
            assert len(titles) > len(truth) * 0.6
