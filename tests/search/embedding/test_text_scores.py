"""How near a text is by the cosines of its passages."""

from __future__ import annotations

import math
import random

import numpy as np
import pyarrow as pa
import pytest

from audiomem_sql.columns.text_vectors import Passages
from audiomem_sql.search.embedding.text_scores import text_cosines, text_distances


def one(cosines: list[float], lengths: list[int]) -> float:
    found = text_cosines(np.array(cosines), np.array(lengths, np.int64), np.zeros(1, np.int64))
    assert found.shape == (1,)
    return float(found[0])


def test_a_text_of_one_passage_has_its_cosine() -> None:
    for cosine in (-1.0, -0.3, 0.0, 0.123456789, 1.0):
        assert one([cosine], [1]) == one([cosine], [900]) == one([cosine], [0]) == cosine


def test_equal_passages_are_one() -> None:
    assert one([0.4] * 5, [10, 20, 30, 40, 50]) == pytest.approx(0.4, abs=1e-12)


def test_between_the_mean_and_the_best() -> None:
    rng = random.Random(3)
    for _ in range(200):
        count = rng.randint(2, 12)
        cosines = [rng.uniform(-1, 1) for _ in range(count)]
        found = one(cosines, [100] * count)
        assert sum(cosines) / count <= found <= max(cosines)
        assert found >= max(cosines) - math.log(count) / 20 - 1e-12


def test_the_figure_in_the_documentation() -> None:
    """A passage of 0.6 that is a quarter of its text, beside three of 0."""
    assert one([0.0, 0.6, 0.0, 0.0], [100] * 4) == pytest.approx(
        math.log((math.exp(12) + 3) / 4) / 20, abs=1e-12
    )


def test_a_longer_passage_counts_more() -> None:
    assert one([0.6, 0.1], [300, 100]) > one([0.6, 0.1], [100, 100]) > one([0.6, 0.1], [100, 300])


def test_a_book_is_not_pushed_down_ever_further() -> None:
    """A passage weighs a twelfth at least, and many that answer are no more than one that does."""
    alone = [one([0.7] + [-1.0] * (count - 1), [100] * count) for count in (2, 12, 13, 50, 4096)]
    assert alone[0] > alone[1] == pytest.approx(0.7 - math.log(12) / 20, abs=1e-9)
    assert alone[2:] == pytest.approx([alone[1]] * 3, abs=1e-9)
    assert one([0.7] * 4096, [100] * 4096) == 0.7


def test_texts_beside_one_another() -> None:
    rng = random.Random(5)
    texts = [[rng.uniform(-1, 1) for _ in range(rng.choice([1, 1, 2, 7, 30]))] for _ in range(40)]
    lengths = [[rng.randint(1, 900) for _ in text] for text in texts]
    counts = np.array([len(text) for text in texts])
    together = text_cosines(
        np.concatenate(texts), np.concatenate(lengths).astype(np.int64), np.cumsum(counts) - counts
    )
    assert together.tolist() == pytest.approx(
        [one(text, spans) for text, spans in zip(texts, lengths, strict=True)], abs=1e-12
    )


def test_what_a_damaged_file_may_say_is_a_number() -> None:
    """Spans without a character, and cosines that underflow."""
    assert one([0.5, 0.4], [0, 0]) == pytest.approx(
        min(0.5, math.log((math.exp(10) + math.exp(8)) / 12) / 20), abs=1e-12
    )
    assert one([1.0, -1.0], [1, 1 << 31]) == pytest.approx(1 - math.log(12) / 20, abs=1e-6)


def test_distances_of_rows_of_which_some_are_cut() -> None:
    """What is handed over stays as it was."""
    query = np.array([1, 0, 0], np.float32)
    further = np.array([[0.6, 0.8, 0], [0, 3, 4]], np.float32)
    cut = Passages(np.array([[0, 100], [50, 350], [350, 400]]), further).to_bytes()
    firsts = np.array([0.3, 0.9, 0.7], np.float32)
    found = text_distances(pa.array([None, cut, None], pa.binary()), query, firsts)
    assert found.dtype == np.float32
    assert firsts.tolist() == np.array([0.3, 0.9, 0.7], np.float32).tolist()
    assert found[[0, 2]].tolist() == firsts[[0, 2]].tolist()
    assert found[1] == pytest.approx(1 - one([0.1, 0.6, 0.0], [100, 300, 50]), abs=1e-6)
