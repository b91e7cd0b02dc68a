"""A part of what ``make damage`` does, on small tables; and whether it would notice a wrong value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from samples import arrow, rows

from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.protection.crc32c import Crc32cCells
from damage.campaign import LOST, MOVED, Tally, run
from damage.comparison import Comparison, Reading
from damage.damages import Damage, Hole, Inserted, Scattered, Sectors
from damage.ours import Ours

pytestmark = pytest.mark.damages
ROWS = 2000


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ours]:
    """A table with every type of column at each level."""
    folder, table = tmp_path_factory.mktemp("levels"), arrow(rows(ROWS))
    return {level: Ours(folder, table, level) for level in ("none", "standard", "archive")}


def never_silent(tally: Tally) -> None:
    """Nothing but the values that were written, and errors of ours."""
    assert (tally.wrong, tally.wrong_rows, dict(tally.foreign)) == (0, 0, {})


@pytest.mark.parametrize("damage", LOST, ids=lambda damage: damage.name)
def test_archive_survives_what_it_is_made_for(levels: dict[str, Ours], damage: Damage) -> None:
    tally = run(levels["archive"], damage, range(5))
    never_silent(tally)
    assert (tally.whole, tally.values) == (5, 5 * ROWS * 11)
    assert Hole(0.15, "end") == damage or tally.corrected["outer"] > 0


@pytest.mark.parametrize(("level", "rate"), [("standard", 1e-3), ("archive", 1e-3), ("archive", 1e-2)])
def test_scattered_bytes(levels: dict[str, Ours], level: str, rate: float) -> None:
    tally = run(levels[level], Scattered(rate), range(2))
    never_silent(tally)
    assert tally.whole == 2
    assert tally.corrected["inner"] > 0


@pytest.mark.parametrize("level", ["none", "standard", "archive"])
@pytest.mark.parametrize(
    "damage", [Sectors(0.3), Scattered(1e-5), Scattered(0.05), *MOVED], ids=lambda d: d.name
)
def test_more_than_can_be_borne_is_never_silent(levels: dict[str, Ours], level: str, damage: Damage) -> None:
    tally = run(levels[level], damage, range(2))
    never_silent(tally)
    assert tally.values <= 2 * ROWS * 11


def test_without_protection_exactly_the_rows_that_were_hit_are_lost(
    levels: dict[str, Ours], tmp_path: Path
) -> None:
    store = levels["none"]
    lost = set()
    for at in range(20_000, len(store.data) - 20_000, 4_000):
        data = store.data.copy()
        data[at : at + 500] ^= 0xFF
        hit = store.rows_in(at, at + 500)
        reading = store.read(tmp_path, data)
        assert (reading.intact == ~hit).all()
        assert (reading.error is not None and "damaged.flac" in reading.error) == bool(hit.any())
        lost.add(int(hit.sum()))
    assert any(0 < count < ROWS for count in lost)


def test_a_wrong_value_would_be_noticed() -> None:
    expected = pa.table({"id": [1, 2, 3], "text": ["a", "b", None]})
    comparison = Comparison(expected)
    comparison.add(0, 0, pa.array([1, 2, 3]))
    comparison.add(1, 0, pa.array(["a", "B", None]))
    assert comparison.intact.tolist() == [True, False, True]
    assert (comparison.wrong_rows, comparison.values) == (1, 6)
    comparison.add(1, 1, pa.array(["b"]))  # right the second time, which nobody waits for
    assert comparison.wrong_rows == 1
    comparison.row_missing(0)
    tally, reading = Tally(), Reading(np.zeros(3, bool))
    reading.take(comparison)
    tally.add(reading, np.zeros(3, bool))
    with pytest.raises(AssertionError):
        never_silent(tally)


def test_without_checksums_wrong_values_come_back(
    levels: dict[str, Ours], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the CRCs stand between damage and the reader: the campaign sees it when nobody checks them."""

    def decode(self: Crc32cCells, cells: U8Array, seed: int, first: int) -> tuple[U8Array, BoolArray]:
        return np.ascontiguousarray(cells[:, : self.payload_bytes]), np.ones(len(cells), bool)

    monkeypatch.setattr(Crc32cCells, "decode", decode)
    tally = run(levels["none"], Scattered(5e-5), range(5))
    assert tally.wrong > 0
    with pytest.raises(AssertionError):
        never_silent(tally)


@pytest.mark.parametrize("damage", [*LOST, *MOVED, Scattered(0.01)], ids=lambda damage: damage.name)
def test_damage_is_what_it_says(damage: Damage) -> None:
    data = np.random.default_rng(1).integers(0, 256, 400 * 4096 + 77, np.uint8)
    before = data.copy()
    damaged = damage.apply(data, np.random.default_rng(2))
    assert (data == before).all()
    start, stop = damaged.gone
    moved = len(damaged.data) - len(data)
    if isinstance(damage, Inserted):
        assert 1 <= moved <= damage.most
    elif moved:
        assert moved == start - stop
    else:
        sector = (np.add.reduceat(damaged.data != data, np.arange(0, len(data), 4096)) > 0).mean()
        share = 0.01 if isinstance(damage, Scattered) else 0.15
        touched = (damaged.data != data).mean() if isinstance(damage, Scattered) else sector
        assert abs(touched - share) < 0.015
