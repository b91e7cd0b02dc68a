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
