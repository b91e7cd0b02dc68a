"""Damaged passages: the right rows or one of our errors; without a catalog they are found by their labels."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from damage.catalogs import without_catalog
from samples import verify

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors import DECODED_LISTS
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.storage.segment import Extent
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.warn_once import warned

pytestmark = [pytest.mark.damages, pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")]
FILLING = "The weather of day {} was fine and nobody had {} things to say. "
QUERY = "treaty of Tordesillas"
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC"]
OPTIONS = {"model": "hashing", "passages": 24, "protection": "none", "profile": "embedded"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "t.flac"
    rows = []
    for key in range(140):
        body = "".join(FILLING.format(n * key, n) for n in range(key % 7 * 3))
        rows.append({"id": key, "body": body + ("The treaty of Tordesillas." if key == 90 else "A note.")})
    with Table.create(path, COLUMNS, OPTIONS) as table:
        table.append(rows)
        table.vacuum()
    return path


def check(table: Table) -> None:
    row = table.search(QUERY, 3).to_pylist()[0]
    assert row["id"] == 90
    assert "Tordesillas" in row["body"][slice(*json.loads(row["passage"]))]


def forget() -> None:
    SHARED.clear()
    DECODED_LISTS.clear()
    warned.clear()


def spoil(path: Path, part: str) -> None:
    with Table(path) as table:
        (segment,) = (segment for segment in table.snapshot.segments if segment.rows)
        vectors = segment.catalog.vectors[3]
        extent: Extent = vectors.header if part == "header" else vectors.lists[0]
        stored = segment.file.read(segment.data_cell, extent.offset, extent.stored)
    data = bytearray(path.read_bytes())
    middle = stored[len(stored) // 2 :][:24]
    assert data.count(middle) == 1
    at = data.index(middle)
    data[at : at + 40] = bytes(byte ^ 0x5A for byte in data[at : at + 40])
    path.write_bytes(data)
    forget()


@pytest.mark.parametrize("part", ["header", "codes"])
def test_passages_are_made_anew(path: Path, part: str) -> None:
    spoil(path, part)
    with Table(path) as table:
        assert len(table.to_arrow()) == 140
        with pytest.raises(DamagedFileError, match="audiomem reembed") as raised:
            table.search(QUERY)
        assert raised.value.file == str(path)
        assert raised.value.place is not None
        assert any(problem.page is not None for problem in problems(table))
        table.reembed()
        check(table)
        table.vacuum(retain=Retention(count=1))
        check(table)
    verify(path)


@pytest.mark.parametrize("how", ["zeroed", "cut"])
def test_without_a_catalog(path: Path, tmp_path: Path, how: str) -> None:
    path.write_bytes(without_catalog(path, random.Random(1), how))
    forget()
    with Table(path, salvage=True, on_damage="skip") as broken:
        check(broken)
        with Table.salvaged(broken, tmp_path / "new.flac", {"protection": "none"}) as made:
            assert made.options.passages == "24"
            check(made)
    verify(tmp_path / "new.flac")


@pytest.mark.parametrize("part", ["header", "codes"])
def test_without_a_catalog_and_passages(path: Path, part: str) -> None:
    spoil(path, part)
    path.write_bytes(without_catalog(path, random.Random(1), "zeroed"))
    forget()
    with Table(path, salvage=True, on_damage="skip") as broken:
        found = broken.search(QUERY, 140)
        assert sorted(found["id"].to_pylist()) == list(range(140))
        assert found["passage"].null_count == 140


def test_damage_anywhere(path: Path) -> None:
    """The right rows, or one of our errors."""
    with Table(path) as table:
        expected = table.search(QUERY, 140).to_pydict()
    whole, rng = path.read_bytes(), random.Random(4)
    errors = 0
    for _ in range(60):
        at = rng.randrange(len(whole) - 40)
        path.write_bytes(whole[:at] + rng.randbytes(rng.choice([1, 40])) + whole[at + 40 :])
        forget()
        try:
            with Table(path) as table:
                assert table.search(QUERY, 140).to_pydict() == expected
        except DamagedFileError:
            errors += 1
    assert errors > 5
