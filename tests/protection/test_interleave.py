"""Interleaving, and the inner code of a page that is made of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.arrays import U8Array
from audiomem_sql.protection.interleave import Interleave
from audiomem_sql.protection.page_code import PageCode
from audiomem_sql.protection.reed_solomon import ReedSolomon

PAGE = PageCode(ReedSolomon(), 96)


def random_bytes(seed: int, *shape: int) -> U8Array:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_golden_order() -> None:
    words = np.arange(12, dtype=np.uint8).reshape(4, 3)
    assert Interleave(2, 3).encode(words).tolist() == [[0, 3, 1, 4, 2, 5], [6, 9, 7, 10, 8, 11]]


@given(st.integers(1, 40), st.integers(1, 255), st.integers(0, 5), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_inverse_for_bytes_and_erasures(depth: int, n: int, count: int, seed: int) -> None:
    layout = Interleave(depth, n)
    words = random_bytes(seed, count * depth, n)
    wholes = layout.encode(words)
    assert wholes.shape == (count, layout.size)
    assert np.array_equal(layout.decode(wholes), words)
    assert np.array_equal(layout.decode(wholes > 7), words > 7)


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 500), st.integers(0, 4000))
@settings(max_examples=60, deadline=None)
def test_a_burst_is_shared_out(depth: int, n: int, length: int, start: int) -> None:
    layout = Interleave(depth, n)
    erased = np.zeros((1, layout.size), np.bool_)
    erased[0, start : start + length] = True
    hit = layout.decode(erased).sum(axis=1)
    assert hit.max() - hit.min() <= 1
    assert hit.sum() == erased.sum()


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
