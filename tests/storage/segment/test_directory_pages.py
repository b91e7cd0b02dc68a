"""Block directories in two levels: what a page that is lost costs, and that everything else is as before."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage.damages import Sectors
from samples import SCHEMA, arrow, content, rows, same, verify
from two_levels import directories, two_levels

import audiomem_sql
from audiomem_sql.cli.main import run
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.description import describe
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.repair import losses

pytestmark = pytest.mark.damages
ROWS = 4000
COLUMNS = ["id INTEGER PRIMARY KEY", "n INTEGER", "body TEXT", "raw BLOB"]


def row(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    body = rng.randbytes(100 + number % 90).hex()
    return {"id": number, "n": number * 7 if number % 5 else None, "body": body, "raw": rng.randbytes(90)}


def make(path: Path, protection: str, count: int = ROWS) -> Path:
    with (
        two_levels(),
        Table.create(path, COLUMNS, {"profile": "embedded", "protection": protection}) as table,
    ):
        table.append([row(number) for number in range(1, count + 1)])
        table.vacuum(layout="remote")
        assert len(directories(table)) == 3
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("plain") / "t.flac", "none")


def without_cells(path: Path, target: Path, places: list[tuple[int, int]]) -> set[int]:
    """A copy in which the cells of these bytes of the data stream are lost; their numbers in the stream."""
    data = bytearray(path.read_bytes())
    with Table(path) as table:
        segment = table.snapshot.segments[0]
        size = segment.file.layout.cell_payload
        cells = {cell for place, length in places for cell in cells_of(place, length, size)}
        for cell in cells:
            at = data.find(segment.file.read(segment.data_cell, cell * size, size))
            assert at > 0
            data[at + 200 : at + 220] = bytes(byte ^ 255 for byte in data[at + 200 : at + 220])
    target.write_bytes(data)
    return cells


def cells_of(place: int, length: int, size: int) -> range:
    """The cells that have these bytes."""
    return range(place // size, (place + length - 1) // size + 1)


def readable(path: Path, **options: Any) -> dict[int, dict[str, Any]]:
    """What is left of a damaged file, with NULL for what is lost."""
    with warnings.catch_warnings(action="ignore"), Table(path, on_damage="null", **options) as table:
        return {found["id"]: found for found in table.to_arrow().to_pylist()}


def whole(path: Path) -> dict[int, tuple[list[int], list[int], list[int]]]:
    """First rows, places and stored bytes of all blocks, by column."""
    with Table(path) as table:
        found = {number: blocks.across(0, ROWS) for number, blocks in directories(table).items()}
        return {
            number: (blocks.starts.tolist(), blocks.offsets.tolist(), blocks.stored.tolist())
            for number, blocks in found.items()
        }


def test_lost_pages_cost_nothing_where_their_copies_are_left(plain: Path, tmp_path: Path) -> None:
    with Table(plain) as table:
        pages = [blocks.groups.pages for blocks in directories(table).values()]
        size = table.snapshot.segments[0].file.layout.cell_payload
    in_blocks = {
        cell
        for _, offsets, stored in whole(plain).values()
        for place, length in zip(offsets, stored, strict=True)
        for cell in cells_of(place, length, size)
    }
    places = [(int(place), int(stored)) for some in pages for place, _, stored in some]
    alone = [place for place in places if in_blocks.isdisjoint(cells_of(*place, size))]
    assert len(alone) > 5
    target = tmp_path / "t.flac"
    without_cells(plain, target, alone)
    with Table(target) as table:
        assert content(table) == [row(number) for number in range(1, ROWS + 1)]
        assert not any(blocks.across(0, ROWS).of_labels for blocks in directories(table).values())


@pytest.mark.parametrize("seed", range(2))
def test_pages_and_copies_lost_cost_no_block_that_is_left(plain: Path, tmp_path: Path, seed: int) -> None:
    """All pages and copies, and but for seed 0 a tenth of the cells of blocks."""
    rng = random.Random(seed)
    with Table(plain) as table:
        segment = table.snapshot.segments[0]
        size, cells = (
            segment.file.layout.cell_payload,
            segment.catalog.data_bytes // segment.file.layout.cell_payload,
        )
        pages = np.concatenate([blocks.groups.pages for blocks in directories(table).values()]).tolist()
    places = [(place, stored) for first, copy, stored in pages for place in (first, copy)]
    starts = sorted(place for _, offsets, _ in whole(plain).values() for place in offsets)
    cells = range(starts[0] // size + 1, starts[-1] // size)
    places += [(cell * size, 1) for cell in cells if seed and rng.random() < 0.1]
    target = tmp_path / "t.flac"
    lost = without_cells(plain, target, places)
    expected = {number: row(number) for number in range(1, ROWS + 1)}
    for column, (starts, offsets, stored) in whole(plain).items():
        for block, place in enumerate(zip(offsets, stored, strict=True)):
            if not lost.isdisjoint(cells_of(*place, size)):
                for number in range(starts[block] + 1, starts[block + 1] + 1):
                    expected[number][COLUMNS[column].split()[0]] = None
    with Table(target) as table:
        segment = table.snapshot.segments[0]
        told = {
            (loss.column, number)
            for loss in losses(segment, [segment.data_cell + cell for cell in sorted(lost)])
            for number in range(loss.start + 1, loss.stop + 1)
        }
    for found in (readable(target), readable(target, salvage=True)):
        assert found.keys() == expected.keys()
        for number, there in found.items():  # what is in no lost cell is there, and nothing is made up
            for name, value in expected[number].items():
                truth = row(number)[name]
                assert there[name] == value or (value is None and there[name] == truth)
                assert there[name] == truth or (name, number) in told
    with Table(target) as table:
        blocks = directories(table)[2].across(0, ROWS)
        assert len(blocks.of_labels) == len(blocks.offsets)
        assert bool(blocks.lost) is bool(seed)
        if blocks.lost:
            number = min(blocks.lost)
            with pytest.raises(
                DamagedFileError, match=r"block \d+ is lost: .*page \d+, cell \d+: CRC-32C.*audiomem salvage"
            ):
                table.get(int(blocks.starts[number]) + 1)


@pytest.mark.parametrize("seed", range(2))
def test_archive_loses_nothing_to_a_sixth_of_the_sectors(tmp_path: Path, seed: int) -> None:
    path = make(tmp_path / "t.flac", "archive", 2500)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    path.write_bytes(Sectors(0.15).apply(data, np.random.default_rng(seed)).data.tobytes())
    with Table(path) as table:
        assert content(table) == [row(number) for number in range(1, 2501)]
    assert run(["repair", str(path)]) == 0
    assert path.read_bytes() == data.tobytes()


# -- everything else is as before


def test_pages_are_read_where_they_are_needed(plain: Path) -> None:
    def pages_read(ask: Callable[[Table], object]) -> list[int]:
        with Table(plain, cache=BlockCache(0)) as table:
            ask(table)
            return [int(blocks._present.sum()) for blocks in directories(table).values()]

    assert pages_read(lambda table: describe(table)) == [0, 0, 0]
    assert pages_read(lambda table: table.to_arrow(where=f"n > {10**12}")) == [0, 0, 0]
    assert pages_read(lambda table: table.to_arrow(columns=["n"], where="raw = x'00'")) == [0, 0, 7]
    assert pages_read(lambda table: table.get(5)) == [1, 1, 1]
    some = "id BETWEEN 900 AND 950"
    assert pages_read(lambda table: table.to_arrow(columns=["body"], where=some)) == [0, 1, 0]
    in_order = pages_read(lambda table: [table.get(number) for number in (1, 350)])
    assert in_order[1] > 2  # so those behind are read, too


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """A table of every type, in two levels, with versions, a delta and a log."""
    path, values = tmp_path / "t.flac", rows(700, 5)
    with (
        two_levels(3),
        Table.create(path, SCHEMA, {"profile": "embedded", "layout": "remote"}) as table,
    ):
        table.append(arrow(values))
        table.tag("first")
        table.vacuum()
        yield path, values


def test_every_type_is_filtered_alike(sample: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    path, values = sample
    with Table.create(tmp_path / "near.flac", SCHEMA) as near:
        near.append(arrow(values))
        with Table(path) as far:
            assert directories(far)
            for where in (
                "id BETWEEN 300 AND 420", "n > 900", "n IS NULL", "x >= 0.99", "x IS NOT NULL AND x < 0",
                "title LIKE 'a%'", "title IS NULL", "category = 'audio'", "raw IS NULL", "ok = 1 AND n < 9",
                "seen > '2030-01-01'", "code IN ('K000007', 'K000699', 'x')", "NOT (n > 3)", "vec IS NULL",
            ):  # fmt: skip
                assert same(content(far.to_arrow(where=where)), content(near.to_arrow(where=where))), where
    verify(path)


def test_it_goes_through_every_change(sample: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    path, values = sample
    expected = {value["id"]: value for value in values}
    with two_levels(), Table(path) as table:
        for number in (1, 350, 700):
            table.begin()
            assert table.transaction is not None
            table.transaction.delete(number)
            table.commit()
            del expected[number]
        more = rows(50, 6, 701)
        table.append(arrow(more))
        expected |= {value["id"]: value for value in more}
        assert same(content(table), list(expected.values()))  # uncommitted to a segment: log and deltas
        table.checkpoint()
        assert same(content(table), list(expected.values()))
        assert same(content(Table(path, version="first")), values)
        table.vacuum(layout="local", retain="all")
        assert not directories(table)
        assert same(content(table), list(expected.values()))
        table.vacuum(layout="remote", retain="all")
        assert directories(table)
        assert same(content(table), list(expected.values()))
        assert same(content(Table(path, version="first")), values)
    copy = tmp_path / "copy.flac"
    assert run(["backup", str(path), str(copy)]) == 0
    with two_levels():
        assert run(["transcode", str(copy), "--protection", "archive"]) == 0
    for other in (path, copy):
        with Table(other) as table:
            assert directories(table)
            assert same(content(table), list(expected.values()))
        assert run(["info", str(other)]) == 0
        verify(other)


def test_it_is_read_as_it_arrives(plain: Path, tmp_path: Path) -> None:
    data, there = plain.read_bytes(), set()
    for share in (0.08, 0.4, 0.6, 0.8, 0.97):
        part = tmp_path / f"{share}.flac"
        part.write_bytes(data[: int(len(data) * share)])
        with audiomem_sql.open(part, partial=True) as table:
            found = content(table)
        assert found == [row(number) for number in range(1, len(found) + 1)]
        there.add(len(found))
    assert len(there) > 3
