"""How much is done between two looks at whether it is still wanted: counted, not timed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from audiomem_sql.errors import InterruptError
from audiomem_sql.indexes.vectors import clusters
from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.index_writing import encode_index
from audiomem_sql.indexes.words import batches, index, tokenizer
from audiomem_sql.indexes.words.encoder import encode_keywords
from audiomem_sql.indexes.words.fts_query import parse_query
from audiomem_sql.indexes.words.index import KeywordIndex
from audiomem_sql.indexes.words.matching import match
from audiomem_sql.indexes.words.terms import BLOCK_TERMS
from audiomem_sql.machine import interrupts, spooled_arrays
from audiomem_sql.machine.interrupts import watched

TEXTS = pa.array([f"the word{number} of row{number % 7} {number:05}" for number in range(4000)])


class Looks:
    """Who is asked: it counts, and says stop after so many times."""

    def __init__(self, most: int | None = None) -> None:
        self.count = 0
        self.events: list[str] = []
        self._most = most

    def __call__(self) -> bool:
        self.count += 1
        self.events.append("look")
        return self._most is not None and self.count > self._most


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "INTERVAL", 0)


def apart_from_each_other(events: list[str]) -> bool:
    """Whether a look stands between any two pieces of work."""
    return all("look" in pair for pair in pairwise(events))


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)


def test_one_list_of_vectors_is_searched(vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encode_index(vectors, embed=True, lists=40)
    opened = VectorIndex(encoded.header, len(vectors), encoded.lists.__getitem__)
    expected = opened.search(vectors[:1], 20, probes=40)
    looks, decode = Looks(), VectorIndex._decoded

    def counted(self: VectorIndex, number: int) -> object:
        looks.events.append("list")
        return decode(self, number)

    monkeypatch.setattr(VectorIndex, "_decoded", counted)
    with watched(looks):
        found = opened.search(vectors[:1], 20, probes=40)
    assert [part.tolist() for part in found] == [part.tolist() for part in expected]
    assert looks.events.count("list") >= 40
    assert apart_from_each_other(looks.events)
    with watched(Looks(3)), pytest.raises(InterruptError):
        opened.search(vectors[:1], 20, probes=40)
    assert opened.search(vectors[:1], 20, probes=40)[0].tolist() == expected[0].tolist()


def test_an_index_of_vectors_is_made(vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled_arrays, "PIECE_BYTES", 64 * 4 * 100)
    monkeypatch.setattr(clusters, "CHUNK", 100)
    expected = encode_index(vectors, lists=10)
    looks = Looks()
    with watched(looks):
        made = encode_index(vectors, lists=10)
    assert (made.header, made.lists) == (expected.header, expected.lists)
    pieces = len(vectors) // 100
    least = (
        3 * pieces + (clusters.ROUNDS + 1) * 640 // 100 + 10
    )  # for lengths, training, codes; clusters; lists
    assert looks.count >= least
    for most in range(0, least, 13):
        with watched(Looks(most)), pytest.raises(InterruptError):
            encode_index(vectors, lists=10)


def test_a_codec_is_trained_apart(vectors: np.ndarray) -> None:
    with watched(Looks(0)), pytest.raises(InterruptError):
        VectorCodec.trained(vectors)


def test_an_index_of_words_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = encode_keywords(TEXTS)
    monkeypatch.setattr(tokenizer, "_BYTES_AT_ONCE", 2000)
    monkeypatch.setattr(batches, "_BATCH_BYTES", 20_000)
    looks = Looks()
    with watched(looks):
        made = encode_keywords(TEXTS)
    assert (made.header, made.pieces) == (expected.header, expected.pieces)
    size = sum(len(text) for text in TEXTS.to_pylist())
    assert looks.count >= size // 2000 + size // 20_000 + len(made.pieces) - 1
    for most in range(0, size // 2000, 11):
        with watched(Looks(most)), pytest.raises(InterruptError):
            encode_keywords(TEXTS)


@pytest.mark.parametrize("query", ['"the word7"', '"of row3"', "NEAR(the row3, 2)", "word1* OR row*"])
def test_words_are_looked_for(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encode_keywords(TEXTS)
    looks = Looks()

    def texts(rows: np.ndarray) -> pa.Array:
        assert len(rows) <= 100
        looks.events.append("texts")
        return TEXTS.take(pa.array(rows))

    def found() -> list[int]:
        opened = KeywordIndex(encoded.header, encoded.pieces.__getitem__, len(TEXTS), texts)
        return [int(row) for row in match(parse_query(query, ("body",)), {"body": opened}).rows]

    monkeypatch.setattr(index, "TEXTS_AT_ONCE", 100)
    expected = found()
    assert expected
    looks.events.clear()
    with watched(looks):
        assert found() == expected
    assert apart_from_each_other(looks.events)
    with watched(Looks(0)), pytest.raises(InterruptError):
        found()


def test_every_block_of_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encode_keywords(pa.array([f"a{number:06}" for number in range(3 * BLOCK_TERMS)]))
    opened = KeywordIndex(encoded.header, encoded.pieces.__getitem__, 3 * BLOCK_TERMS)
    looks = Looks()
    with watched(looks):
        assert len(opened.prefixed(b"a")) == 3 * BLOCK_TERMS
    assert looks.count >= 3
