"""Interleaving, and the inner code of a page that is made of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.arrays import I64Array, U8Array
from audiomem_sql.protection.interleave import Interleave, TurnedInterleave
from audiomem_sql.protection.page_code import PageCode
from audiomem_sql.protection.reed_solomon import ReedSolomon
from audiomem_sql.protection.regular_errors import regular_places

PAGE = PageCode(ReedSolomon(), 96)
seeds = st.integers(0, 2**32)


def random_bytes(seed: int, *shape: int) -> U8Array:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_golden_order() -> None:
    words = np.arange(12, dtype=np.uint8).reshape(4, 3)
    assert Interleave(2, 3).encode(words).tolist() == [[0, 3, 1, 4, 2, 5], [6, 9, 7, 10, 8, 11]]


@given(st.booleans(), st.integers(1, 40), st.integers(1, 255), st.integers(0, 9), st.integers(0, 5), seeds)
@settings(max_examples=120, deadline=None)
def test_inverse_for_bytes_and_erasures(
    turned: bool, depth: int, n: int, first: int, count: int, seed: int
) -> None:
    layout = TurnedInterleave(depth, n, first) if turned else Interleave(depth, n)
    words = random_bytes(seed, count * depth, n)
    wholes = layout.encode(words)
    assert wholes.shape == (count, layout.size)
    assert np.array_equal(layout.decode(wholes), words)
    assert np.array_equal(layout.decode(wholes > 7), words > 7)


@given(st.booleans(), st.integers(1, 40), st.integers(1, 100), st.integers(0, 500), st.integers(0, 4000))
@settings(max_examples=120, deadline=None)
def test_a_burst_is_shared_out(turned: bool, depth: int, n: int, length: int, start: int) -> None:
    layout = TurnedInterleave(depth, n) if turned else Interleave(depth, n)
    erased = np.zeros((1, layout.size), np.bool_)
    erased[0, start : start + length] = True
    hit = layout.decode(erased).sum(axis=1)
    assert hit.max() <= -(-length // depth) + turned
    assert hit.sum() == erased.sum()
    assert turned or hit.max() - hit.min() <= 1


def test_page_begins_with_its_data() -> None:
    data = random_bytes(1, 3, PAGE.data_bytes)
    pages = PAGE.encode(data)
    assert pages.shape == (3, PAGE.page_bytes) == (3, 24480)
    assert np.array_equal(pages[:, : PAGE.data_bytes], data)
    assert PAGE.code.check(Interleave(96, 255).decode(pages)).all()


@pytest.mark.parametrize("at", [0, 7000, 21408, 24480 - 1536])
def test_a_burst_of_16_bytes_a_codeword_is_corrected(at: int) -> None:
    data = random_bytes(2, 2, PAGE.data_bytes)
    pages = PAGE.encode(data)
    pages[1, at : at + 16 * 96] ^= 0x55
    found = PAGE.decode(pages)
    assert found.intact.all()
    assert np.array_equal(found.data, data)
    assert found.corrections.tolist() == [0, 1536]


def test_a_burst_of_32_bytes_a_codeword_is_corrected_where_known() -> None:
    data = random_bytes(3, 1, PAGE.data_bytes)
    pages = PAGE.encode(data)
    pages[0, 5000 : 5000 + 3072] = 0
    erased = np.zeros(pages.shape, np.bool_)
    erased[0, 5000 : 5000 + 3072] = True
    assert not PAGE.decode(pages).intact.any()
    assert np.array_equal(PAGE.decode(pages, erased).data, data)


def test_random_bytes_and_a_sector() -> None:
    data = random_bytes(4, 8, PAGE.data_bytes)
    pages = PAGE.encode(data)
    pages[:4, 3000:7096] = random_bytes(5, 4, 4096)
    rng = np.random.default_rng(6)
    scattered = pages[4:].reshape(-1)
    at = rng.choice(len(scattered), len(scattered) // 100, replace=False)
    scattered[at] ^= 0xA7
    assert PAGE.worth_decoding(pages).tolist() == [False] * 4 + [True] * 4
    found = PAGE.decode(pages)
    assert not found.intact[:4].any()
    assert found.intact[4:].all()
    assert np.array_equal(found.data[4:], data[4:])


def test_no_pages() -> None:
    none = np.zeros((0, PAGE.page_bytes), np.uint8)
    assert PAGE.encode(none[:, : PAGE.data_bytes]).shape == none.shape
    assert PAGE.decode(none).data.shape == (0, PAGE.data_bytes)
    assert PAGE.worth_decoding(none).shape == (0,)


DEPTHS = [32, 48, 96, 384]
"""Codewords of the pages of all profiles, small pages too."""


def codewords_of(depth: int) -> I64Array:
    """The codeword of each byte of a page, int64 (255 × depth,)."""
    words = np.repeat(np.arange(depth, dtype=np.uint16)[:, None], 255, axis=1)
    return TurnedInterleave(depth).encode(words).reshape(-1).astype(np.int64)  # type: ignore[type-var]


def test_turned_order() -> None:
    """As the format's document says."""
    for depth in (5, 32):
        i = np.arange(255 * depth)
        place = i // depth
        assert (codewords_of(depth) == (i + 5 * (place // 4) + 3 * (place // 16)) % depth).all()


@pytest.mark.parametrize("depth", DEPTHS)
def test_no_stride_falls_on_one_codeword(depth: int) -> None:
    """Of every stride from 24 on, the most bytes of one codeword: 16. Of lower ones others tell the place.

    Strides of 16 times the depth and more have no more than 16 bytes in a page.
    """
    words = codewords_of(depth)
    i = np.arange(len(words))
    strides = set(range(24, min(4096, 16 * depth) + 1, 1 if depth < 384 else 11))
    for stride in sorted(strides | set(range(24, 400)) | {64 * n for n in range(1, 9)}):
        hits = np.bincount(i % stride * depth + words, minlength=stride * depth)
        assert hits.max() <= 16, stride


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_stuck_bit_in_every_so_many_bytes_is_corrected(depth: int) -> None:
    """From every tenth byte on, whatever codewords that hits: half of the bytes have the bit anyway."""
    code = PageCode(ReedSolomon(), depth, turned=True)
    data = random_bytes(7, 1, code.data_bytes)
    whole = code.encode(data)
    for stride in (*range(10, 40), *(64 * n for n in range(1, 7)), 1000, 4096):
        for first in (0, stride // 2, stride - 1):
            pages = whole.copy()
            pages[:, first::stride] |= 8
            assert code.worth_decoding(pages).all()
            assert np.array_equal(code.decode(pages).data, data), (stride, first)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_wrong_byte_in_every_so_many_is_corrected(depth: int) -> None:
    """From every 16th on, which is as many as the code corrects: where some codewords have more, too."""
    code = PageCode(ReedSolomon(), depth, turned=True)
    data = random_bytes(8, 2, code.data_bytes)
    whole = code.encode(data)
    for stride in (*range(16, 32), 64, 96, 128, 192):
        for first in (0, stride // 2, stride - 1):
            pages = whole.copy()
            pages[:, first::stride] ^= 8
            assert code.worth_decoding(pages).all()
            found = code.decode(pages)
            assert np.array_equal(found.data, data), (stride, first)
            assert found.intact.all()
            assert found.corrections.tolist() == 2 * [len(range(first, code.page_bytes, stride))]


def test_strides_that_defeated_the_order_of_version_1() -> None:
    data = random_bytes(7, 2, PAGE.data_bytes)
    for stride in (64, 128, 192):
        pages = PAGE.encode(data)
        pages[:, 17::stride] ^= 8
        assert not PAGE.decode(pages).intact.all()


def test_regular_places() -> None:
    wrong = np.arange(5, 2000, 17)
    places = regular_places(wrong, 2000)
    assert places is not None
    assert np.array_equal(np.flatnonzero(places), wrong)
    some = np.sort(np.random.default_rng(1).permutation(wrong)[:60])
    found = regular_places(some, 2000)
    assert found is not None
    assert np.array_equal(found, places)  # some of them are enough, and so are most
    found = regular_places(np.sort(np.concatenate([some, [100, 777]])), 2000)
    assert found is not None
    assert np.array_equal(found, places)
    assert regular_places(np.sort(np.concatenate([some, np.arange(600, 620)])), 2000) is None
    shifted = np.concatenate([wrong[wrong < 1000], wrong[wrong >= 1000] + 1])  # a byte between two channels
    found = regular_places(shifted[shifted < 2000], 2000)
    assert found is not None
    assert np.array_equal(np.flatnonzero(found), shifted[shifted < 2000])
    assert regular_places(wrong[:23], 2000) is None
    assert regular_places(np.arange(0, 2000, 7), 2000) is None
    assert regular_places(np.arange(500, 900), 2000) is None
