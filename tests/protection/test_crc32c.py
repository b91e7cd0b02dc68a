"""Cells: an intact one passes, any other one does not."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.protection.crc32c import CRC_BYTES, Crc32cCells, crc32c
from audiomem_sql.protection.levels import LEVELS, PAGE_BYTES_PER_CELL, level_coded


def test_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


CELLS = Crc32cCells(100)
SEEDS = st.integers(0, 2**32 - 1)


@given(st.binary(min_size=96, max_size=96 * 5), SEEDS, st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_round_trip(data: bytes, seed: int, first: int) -> None:
    payload = np.frombuffer(data[: len(data) // 96 * 96], np.uint8).reshape(-1, 96)
    cells = CELLS.encode(payload, seed, first)
    assert cells.shape == (len(payload), 100)
    out, intact = CELLS.decode(cells, seed, first)
    assert intact.all()
    assert np.array_equal(out, payload)


@given(st.binary(min_size=96, max_size=96), SEEDS, st.integers(0, 799), st.integers(1, 2**16))
def test_any_flip_and_any_other_place_is_found(data: bytes, seed: int, bit: int, step: int) -> None:
    cells = CELLS.encode(np.frombuffer(data, np.uint8).reshape(1, 96), seed, 5)
    assert not CELLS.decode(cells, seed, 5 + step)[1].any()
    assert not CELLS.decode(cells, seed ^ step, 5)[1].any()
    cells[0, bit // 8] ^= 1 << bit % 8
    assert not CELLS.decode(cells, seed, 5)[1].any()


def test_levels() -> None:
    for level in LEVELS.values():
        assert level_coded(level.code) is level
        assert level.cells.payload_bytes + CRC_BYTES == level.cell_bytes <= PAGE_BYTES_PER_CELL
    assert level_coded(255) is None


@given(SEEDS, st.integers(0, 100), st.integers(1, 200), st.data())
@settings(max_examples=200, deadline=None)
def test_many_cells_at_once(seed: int, first: int, count: int, data: st.DataObject) -> None:
    """Runs of cells are checked with one CRC: those that are damaged, or stand elsewhere, are found."""
    rng = np.random.default_rng(seed)
    cells = CELLS.encode(rng.integers(0, 256, (count, 96), np.uint8), seed, first)
    damaged = set(data.draw(st.sets(st.integers(0, count - 1), max_size=6)))
    for cell in damaged:
        cells[cell, rng.integers(100)] ^= rng.integers(1, 256)
    left, right = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count - 1))
    cells[[left, right]] = cells[[right, left]]
    if left != right:
        damaged |= {left, right}
    _, intact = CELLS.decode(cells, seed, first)
    assert set(np.flatnonzero(~intact).tolist()) == damaged


def test_cells_that_change_places() -> None:
    """Every two of a run, whole, in each other's place; and runs across the start value 2**32."""
    for cells in [level.cells for level in LEVELS.values()]:
        for seed in (0, 2**32 - 17):
            made = cells.encode(np.zeros((128, cells.payload_bytes), np.uint8), seed, 0)
            assert cells.decode(made, seed, 0)[1].all()
            for left in range(32, 64):
                for right in range(32, left):
                    other = made.copy()
                    other[[left, right]] = other[[right, left]]
                    assert not cells.decode(other, seed, 0)[1][[left, right]].any()
            assert not cells.decode(made[::-1].copy(), seed, 0)[1].any()
