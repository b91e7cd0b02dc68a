"""Outer codes: what they bring back is right, what they cannot is named, and they seldom cannot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.protection.cell_code import CellCode, ReedSolomonCells, cell_code
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.gf2 import combine, eliminate
from audiomem_sql.protection.ldpc import Staircase

GOLDEN = json.loads((Path(__file__).parent.parent / "fixtures" / "codecs.json").read_text())
BOTH = [ReedSolomonCells(40, 12), Staircase(40, 30), Staircase(300, 80), Staircase(1000, 110)]


def whole(code: CellCode, seed: int, size: int = 36) -> U8Array:
    sources = np.random.default_rng(seed).integers(0, 256, (code.sources, size), np.uint8)
    return np.concatenate([sources, code.encode(sources)])


def without(count: int, lost: int, seed: int) -> BoolArray:
    present = np.ones(count, np.bool_)
    present[np.random.default_rng(seed).choice(count, lost, replace=False)] = False
    return present


def splitmix64(number: int) -> int:
    mask = 2**64 - 1
    h = (number + 0x9E3779B97F4A7C15) & mask
    h = ((h ^ h >> 30) * 0xBF58476D1CE4E5B9) & mask
    h = ((h ^ h >> 27) * 0x94D049BB133111EB) & mask
    return h ^ h >> 31


def parity_check(code: Staircase) -> BoolArray:
    """The matrix in full, bool (parities, sources + parities)."""
    matrix = np.zeros((code.parities, code.sources + code.parities), np.bool_)
    matrix[code.rows.T, np.arange(code.sources)] = True
    row = np.arange(code.parities)
    matrix[row, code.sources + row] = True
    keys = [splitmix64((code.seed << 32) + (1 << 31) + at) for at in range(code.parities)]
    order = sorted(range(code.parities), key=keys.__getitem__)
    matrix[order[1:], [code.sources + above for above in order[:-1]]] = True
    return matrix


@given(st.integers(1, 90), st.integers(1, 90), st.floats(0.02, 0.6), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_elimination(rows: int, columns: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.random((rows, columns)) < density
    x = rng.integers(0, 256, (columns, 5), np.uint8)
    sums = np.array([np.bitwise_xor.reduce(x[row], axis=0) for row in matrix], np.uint8)
    found = eliminate(matrix)
    assert eliminate(matrix, combine=False).rank == found.rank
    known = found.determined
    assert np.array_equal(combine(found.combination[known], sums), x[known])
    # An unknown is determined unless some x that differs in it has the same sums: unless dropping it keeps
    # the rank.
    for column in range(columns):
        rest = np.delete(matrix, column, axis=1)
        smaller = eliminate(rest, combine=False).rank if rest.shape[1] else 0
        assert known[column] == (smaller < found.rank)


def test_golden_staircase() -> None:
    golden = GOLDEN["staircase"]
    code = Staircase(golden["sources"], golden["parities"])
    assert code.rows.tolist() == golden["rows"]
    cells = np.arange(code.sources * 4, dtype=np.uint8).reshape(-1, 4)
    assert code.encode(cells).tobytes().hex() == golden["parity"]
    for large in GOLDEN["staircase_crc32c_of_rows"]:
        rows = Staircase(large["sources"], large["parities"]).rows
        assert crc32c(rows.astype("<u4").tobytes()) == large["crc32c"]


@pytest.mark.parametrize("code", [Staircase(300, 80), Staircase(6, 4), Staircase(5, 9)])
def test_the_matrix(code: Staircase) -> None:
    matrix = parity_check(code)
    sources = matrix[:, : code.sources]
    assert (sources.sum(axis=0) == min(7, code.parities)).all()
    cells = whole(code, 1)
    for row in matrix:
        assert not np.bitwise_xor.reduce(cells[row], axis=0).any()


@pytest.mark.parametrize("code", BOTH, ids=repr)
def test_summing_up_in_any_order_is_encoding(code: CellCode) -> None:
    cells = whole(code, 2)
    sums = np.zeros((code.held, cells.shape[1]), np.uint8)
    for column in np.random.default_rng(3).permutation(code.sources).tolist():
        code.add(sums, column, cells[column])
    assert np.array_equal(code.finish(sums), cells[code.sources :])


@given(st.sampled_from(BOTH), st.integers(0, 2**32), st.floats(0, 1.1))
@settings(max_examples=80, deadline=None)
def test_what_comes_back_is_right(code: CellCode, seed: int, share: float) -> None:
    cells = whole(code, seed)
    present = without(len(cells), min(len(cells), int(code.parities * share)), seed)
    spoiled = cells.copy()
    spoiled[~present] = 0xEE
    found, there = code.decode(spoiled, present)
    assert there[present].all()
    assert np.array_equal(found[there], cells[there])
    assert np.array_equal(spoiled[present], cells[present])


@given(st.integers(0, 2**32), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_a_staircase_finds_all_that_its_equations_determine(seed: int, lost: int) -> None:
    code = Staircase(40, 30)
    present = without(70, lost, seed)
    unknown = np.flatnonzero(~present)
    there = code.decodable(present)
    assert np.array_equal(there[unknown], eliminate(parity_check(code)[:, unknown], False).determined)


@pytest.mark.parametrize("lost", [1, 5, 12, 13])
def test_reed_solomon_cells_bring_back_as_many_as_parity(lost: int) -> None:
    code = ReedSolomonCells(40, 12)
    cells = whole(code, 4)
    present = without(52, lost, 5)
    found, there = code.decode(np.where(present[:, None], cells, 0).astype(np.uint8), present)
    assert there.all() == (lost <= 12)
    assert np.array_equal(found[there], cells[there])


def test_losses_close_to_the_parity_come_back() -> None:
    code = Staircase(1600, 400)
    failed = sum(not code.decodable(without(2000, 380, seed)).all() for seed in range(40))
    assert failed == 0


@pytest.mark.parametrize(("sources", "parities"), [(1600, 400), (5216, 1504), (900, 100)])
def test_a_hole_anywhere_comes_back(sources: int, parities: int) -> None:
    """Also one that takes most of the parity and some sources."""
    code = Staircase(sources, parities)
    for length in (parities * 2 // 3, parities - parities // 40 - 20):
        for start in range(0, sources + parities - length, parities // 5):
            present = np.ones(sources + parities, np.bool_)
            present[start : start + length] = False
            assert code.decodable(present).all(), (start, length)


@pytest.mark.parametrize("code", BOTH, ids=repr)
@pytest.mark.parametrize("at", [0, -1])
def test_a_wrong_cell_that_counts_as_present_spoils_no_other(code: CellCode, at: int) -> None:
    cells = whole(code, 6)
    present = without(len(cells), code.parities // 2, 7)
    cells[np.flatnonzero(present)[at], 3] ^= 1
    _, there = code.decode(cells, present)
    assert np.array_equal(there, present)


def test_nothing_left() -> None:
    code = Staircase(300, 80)
    _, there = code.decode(np.zeros((380, 3), np.uint8), np.zeros(380, np.bool_))
    assert not there.any()


def test_the_code_of_a_group() -> None:
    assert cell_code(200, 55) == ReedSolomonCells(200, 55)
    assert cell_code(200, 56) == Staircase(200, 56)
