"""The trellis, beside a search and a decoder in plain Python that go coordinate by coordinate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors.packing import pack_bytes, pack_codes, unpack_bytes, unpack_codes
from audiomem_sql.indexes.vectors.trellis import MAX_NUMBER, NO_TRELLIS, Trellis


def restored(numbers: list[int]) -> list[int]:
    """The codes of the numbers of one vector, all of it in the trellis, as the documents say it."""
    quantisers, codes = list[int](), list[int]()
    for at, number in enumerate(numbers):
        before = [quantisers[at - back] for back in (1, 3) if at >= back]
        quantiser = (sum(before) + (numbers[at - 2] & 1 if at >= 2 else 0)) % 2
        quantisers.append(quantiser)
        codes.append(2 * number - quantiser * ((number > 0) - (number < 0)))
    return codes


def least_error(scaled: list[float]) -> float:
    """The squared error of the best of all paths whose numbers are near."""
    near = [range(int(value // 2) - 1, int(value // 2) + 4) for value in scaled]
    return min(
        sum((code - value) ** 2 for code, value in zip(restored(list(path)), scaled, strict=True))
        for path in itertools.product(*near)
    )


def columns(codes: np.ndarray) -> np.ndarray:
    """Codes (n, d) as int8 (d, n)."""
    return np.ascontiguousarray(codes.astype(np.int8).T)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=5))
def test_the_path_is_the_nearest_of_all(scaled: list[float]) -> None:
    trellis = Trellis(0, len(scaled))
    codes = trellis.quantised(np.array([scaled], np.float32))
    numbers = trellis.numbers(columns(codes))
    assert restored(numbers[:, 0].tolist()) == codes[0].tolist()
    error = float(np.square(codes - np.array([scaled])).sum())
    assert error == pytest.approx(least_error(scaled), abs=1e-3)


@pytest.mark.parametrize("size", [0.3, 0.9, 1.1, 1.4, 1.6, 2.1, 2.9])
def test_the_path_is_the_nearest_where_codes_change(size: float) -> None:
    """Around 0, where the odd codes have the gap from 0 to 3."""
    signs = np.array(list(itertools.product((-1, 1), repeat=4)), np.float32)
    scaled = signs * np.array([1.3, size, size, 1.2], np.float32)
    codes = Trellis(0, 4).quantised(scaled)
    errors = np.square(codes - scaled).sum(axis=1).tolist()
    assert errors == pytest.approx([least_error(row) for row in scaled.tolist()], abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.int8, st.tuples(st.integers(1, 40), st.integers(1, 20)), elements=st.integers(-63, 63))
)
def test_restoring_is_as_in_plain_python(numbers: np.ndarray) -> None:
    codes = numbers.copy()
    Trellis(0, len(numbers)).restore(codes)
    assert [restored(column) for column in numbers.T.tolist()] == codes.T.tolist()
    assert (Trellis(0, len(numbers)).numbers(codes) == numbers).all()


@pytest.mark.parametrize("dimensions", [1, 2, 8, 96, 1536])
@pytest.mark.parametrize("kind", ["zeros", "one axis", "constant", "edge", "any"])
@pytest.mark.parametrize("count", [1, 9])
def test_what_was_decoded_is_coded_the_same(dimensions: int, kind: str, count: int) -> None:
    rng = np.random.default_rng(5)
    scaled = np.zeros((count, dimensions), np.float32)
    if kind == "one axis":
        scaled[:, dimensions // 2] = 77.7
    elif kind != "zeros":
        scaled[:] = {"constant": 3.3, "edge": 125}.get(kind, rng.normal(0, 9, scaled.shape).clip(-99, 99))
    trellis = Trellis(0, dimensions)
    codes = trellis.quantised(scaled)
    assert np.abs(codes - scaled).max() <= 2
    numbers = trellis.numbers(columns(codes))
    assert restored(numbers[:, -1].tolist()) == codes[-1].tolist()
    noise = rng.normal(0, 0.002, codes.shape).astype(np.float32)
    assert (trellis.quantised(codes + noise) == codes).all()
    assert kind != "zeros" or not codes.any()


def test_what_lies_outside_is_rounded() -> None:
    scaled = np.random.default_rng(6).normal(0, 5, (5000, 12)).astype(np.float32)
    codes = Trellis(3, 9).quantised(scaled)
    assert (np.delete(codes, range(3, 9), 1) == np.delete(np.rint(scaled), range(3, 9), 1)).all()
    assert (codes[:, 3:9] == Trellis(0, 6).quantised(scaled[:, 3:9])).all()
    assert (codes[:, 3:9] != np.rint(scaled[:, 3:9])).any()
    one_by_one = np.concatenate([Trellis(3, 9).quantised(row[None]) for row in scaled[2040:2060]])
    assert (one_by_one == codes[2040:2060]).all()
    numbers = Trellis(3, 9).numbers(columns(codes))
    assert (np.delete(numbers.T, range(3, 9), 1) == np.delete(codes, range(3, 9), 1)).all()
    Trellis(3, 9).restore(numbers)
    assert (codes == numbers.T).all()


def test_the_squared_error_is_a_fifth_less() -> None:
    scaled = np.random.default_rng(7).normal(0, 12, (500, 200)).astype(np.float32)
    error = np.square(Trellis(0, 200).quantised(scaled) - scaled).mean()
    rounded = np.square(2 * np.rint(scaled / 2) - scaled).mean()
    assert 0.74 < error / rounded < 0.79


def test_numbers_that_no_code_has() -> None:
    for number in (MAX_NUMBER + 1, -MAX_NUMBER - 1, 127, -128):
        numbers = np.zeros((8, 3), np.int8)
        numbers[5, 1] = number
        with pytest.raises(DamagedFileError, match="trellis"):
            Trellis(2, 6).restore(numbers)
        Trellis(2, 5).restore(numbers)
    assert NO_TRELLIS.width == 0


@pytest.mark.parametrize("shape", [(0, 5), (1, 8), (700, 12), (33, 96), (1, 1), (3, 2)])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_packing(shape: tuple[int, int], share: float) -> None:
    rng = np.random.default_rng(8)
    trellis = Trellis(shape[1] // 4, max(shape[1] // 4 + 1, round(share * shape[1])))
    spread = np.linspace(30, 0.5, shape[1])
    codes = trellis.quantised((rng.normal(0, 1, shape) * spread).astype(np.float32)).astype(np.int8)
    for centre in (np.zeros(shape[1], np.int8), rng.integers(-128, 128, shape[1]).astype(np.int8)):
        data = pack_codes(codes, centre, trellis)
        assert (unpack_codes(data, len(codes), centre, trellis) == codes).all()


def test_codes_of_great_variance_behind_the_trellis() -> None:
    """What is larger than four coordinates a byte can say stands behind them."""
    rng = np.random.default_rng(9)
    codes = rng.integers(-128, 128, (50, 11)).astype(np.int8)
    codes[:, :4] = 0
    trellis, centre = Trellis(0, 4), np.zeros(11, np.int8)
    data = pack_codes(codes, centre, trellis)
    assert (unpack_codes(data, 50, centre, trellis) == codes).all()
    escaped = int(((codes[:, 4:] > 1) | (codes[:, 4:] < -1)).sum())
    size = (4 + 2) * 50 + escaped
    content = unpack_bytes(data, size)
    for wrong in (content[:-1], content + b"x", content[:299], content + bytes(7 * 50), b""):
        with pytest.raises(DamagedFileError):
            unpack_codes(pack_bytes(wrong), 50, centre, trellis)
    with pytest.raises(DamagedFileError):
        unpack_codes(data[:-1], 50, centre, trellis)
    with pytest.raises(DamagedFileError):
        unpack_codes(b"no frame", 50, centre, trellis)
