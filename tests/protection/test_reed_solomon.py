"""Reed-Solomon: the bytes of reedsolo; errors within the bound are corrected, others are not passed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import reedsolo
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.protection.galois import inverse, multiply, power
from audiomem_sql.protection.reed_solomon import ReedSolomon

GOLDEN = json.loads((Path(__file__).parent.parent / "fixtures" / "codecs.json").read_text())
CODES = [(255, 223), (255, 239), (255, 247), (255, 191), (100, 68), (40, 8), (12, 5), (3, 1), (2, 1)]


def random_bytes(seed: int, *shape: int) -> U8Array:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def spoil(words: U8Array, seed: int, errors: U8Array, erasures: U8Array) -> tuple[U8Array, BoolArray]:
    """Each word with so many wrong bytes, and so many erased ones beside these."""
    rng = np.random.default_rng(seed)
    out, erased = words.copy(), np.zeros(words.shape, np.bool_)
    for i, (e, f) in enumerate(zip(errors.tolist(), erasures.tolist(), strict=True)):
        places = rng.permutation(words.shape[1])
        out[i, places[:e]] ^= rng.integers(1, 256, e, np.uint8)
        out[i, places[e : e + f]] = rng.integers(0, 256, f, np.uint8)
        erased[i, places[e : e + f]] = True
    return out, erased


def test_the_field() -> None:
    every = np.arange(1, 256, dtype=np.uint8)
    assert (multiply(every, inverse(every)) == 1).all()
    assert len(set(power(np.arange(255)).tolist())) == 255
    assert power(-1) == inverse(np.uint8(2))
    assert (multiply(every, np.uint8(0)) == 0).all()


@pytest.mark.parametrize(("n", "k"), CODES)
def test_codewords_are_those_of_reedsolo(n: int, k: int) -> None:
    peer = reedsolo.RSCodec(n - k, nsize=n)
    data = random_bytes(n + k, 20, k)
    words = ReedSolomon(n, k).encode(data)
    assert [word.tobytes() for word in words] == [bytes(peer.encode(one.tobytes())) for one in data]


def test_what_reedsolo_corrects() -> None:
    code, peer = ReedSolomon(60, 40), reedsolo.RSCodec(20, nsize=60)
    words = code.encode(random_bytes(1, 30, 40))
    bad, _ = spoil(words, 2, np.full(30, 10), np.zeros(30, np.int64))
    ours = code.decode(bad).codewords
    assert [word.tobytes() for word in ours] == [bytes(peer.decode(word.tobytes())[1]) for word in bad]


@pytest.mark.parametrize("golden", GOLDEN["reed_solomon"], ids=lambda golden: f"{golden['n']}-{golden['k']}")
def test_golden_codewords(golden: dict[str, int | str]) -> None:
    n, k = int(golden["n"]), int(golden["k"])
    parity = ReedSolomon(n, k).parity(np.arange(1, k + 1, dtype=np.uint8)[None])
    assert parity.tobytes().hex() == golden["parity"]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_all_within_the_bound_is_corrected(data: st.DataObject) -> None:
    n, k = data.draw(st.sampled_from(CODES))
    count = data.draw(st.integers(1, 30))
    seed = data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    erasures = rng.integers(0, n - k + 1, count) * rng.integers(0, 2, count)
    errors = rng.integers(0, (n - k - erasures) // 2 + 1)
    if data.draw(st.booleans()):
        errors = (n - k - erasures) // 2
    code = ReedSolomon(n, k)
    words = code.encode(random_bytes(seed, count, k))
    bad, erased = spoil(words, seed, errors, erasures)
    found = code.decode(bad, erased)
    assert found.intact.all()
    assert np.array_equal(found.codewords, words)
    assert np.array_equal(found.corrections, (words != bad).sum(axis=1))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_beyond_the_bound_it_is_a_codeword_or_reported(data: st.DataObject) -> None:
    n, k = data.draw(st.sampled_from(CODES))
    seed = data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    code = ReedSolomon(n, k)
    words = code.encode(random_bytes(seed, 30, k))
    erasures = rng.integers(0, n // 2, 30)
    errors = np.minimum(rng.integers(0, n - k + 3, 30), n - erasures)
    bad, erased = spoil(words, seed, errors, erasures)
    found = code.decode(bad, erased)
    assert code.check(found.codewords[found.intact]).all()
    assert not code.check(found.codewords[~found.intact]).any()
    assert np.array_equal(found.codewords[~found.intact], bad[~found.intact])
    # What changed stays within the bound: another codeword as near as the true one, never one further away.
    changed = (found.codewords != bad) & ~erased
    assert (2 * changed.sum(axis=1) + erased.sum(axis=1) <= n - k)[found.corrections > 0].all()
    assert found.intact[2 * errors + erasures <= n - k].all()


def test_seventeen_errors_are_reported() -> None:
    words = ReedSolomon().encode(random_bytes(5, 500, 223))
    bad, _ = spoil(words, 6, np.full(500, 17), np.zeros(500, np.int64))
    assert not ReedSolomon().decode(bad).intact.any()


def test_an_erasure_map_for_all_words() -> None:
    code = ReedSolomon(40, 30)
    words = code.encode(random_bytes(7, 9, 30))
    erased = np.zeros(40, np.bool_)
    erased[5:15] = True
    bad = words.copy()
    bad[:, 5:15] = 0
    assert np.array_equal(code.decode(bad, erased).codewords, words)


def test_layouts_and_sizes() -> None:
    code = ReedSolomon()
    data = random_bytes(8, 5000, 223)
    by_places = np.ascontiguousarray(data.T).T
    assert np.array_equal(code.encode(data), code.encode(by_places))
    assert code.encode(data[:0]).shape == (0, 255)
    assert code.decode(np.zeros((0, 255), np.uint8)).codewords.shape == (0, 255)
    words = code.encode(data)
    before = words.copy()
    bad, _ = spoil(words, 9, np.full(5000, 3), np.zeros(5000, np.int64))
    assert np.array_equal(code.decode(bad).codewords, before)
    assert np.array_equal(code.syndromes(words), np.zeros((5000, 32), np.uint8))


@pytest.mark.parametrize(("n", "k"), [(256, 223), (255, 255), (255, 0), (10, 12)])
def test_no_code(n: int, k: int) -> None:
    with pytest.raises(ValueError, match="is not a code"):
        ReedSolomon(n, k)
