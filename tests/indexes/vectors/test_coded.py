"""Vectors as they are stored: what they decode to, and their cosines."""

from __future__ import annotations

import numpy as np
import pytest

from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.indexes.vectors.coded import CodedVectors
from indexes.vectors.clustered import brute_force, clustered


@pytest.fixture(scope="module", params=["plain", "trained"])
def coded(request: pytest.FixtureRequest) -> CodedVectors:
    """Some are longer than 1, one has codes of zeros, and two have no length: zeros, whatever their codes."""
    vectors = clustered(2000)
    codec = (VectorCodec.plain if request.param == "plain" else VectorCodec.trained)(vectors)
    assert (codec.rotation is None) == (request.param == "plain")
    codes = codec.encode(vectors)
    assert codes is not None
    codes[[2, 3]] = 0
    lengths = np.linspace(0.5, 90, len(codes), dtype=np.float32)
    lengths[[3, 5]] = 0
    return CodedVectors(codec, codes, lengths)


def test_cosines_are_those_of_what_is_decoded(coded: CodedVectors) -> None:
    decoded = coded.decoded()
    lengths = np.linalg.norm(decoded, axis=1)
    assert (lengths > 0).tolist() == [
        row not in (3, 5) and (row != 2 or bool(coded.codec.offset.any())) for row in range(len(decoded))
    ]
    for query in clustered(3, seed=8):
        cosines = coded.cosines(query)
        assert cosines.dtype == np.float64
        there = lengths > 0
        expected = 1 - brute_force(decoded[there], query[np.newaxis])[0]
        assert np.allclose(cosines[there], expected, atol=1e-5)
        assert (cosines[~there] == -1).all()


def test_nothing_has_no_cosines(coded: CodedVectors) -> None:
    none = CodedVectors(coded.codec, coded.codes[:0], coded.lengths[:0])
    assert none.cosines(clustered(1)[0]).shape == (0,)
    assert none.decoded().shape == (0, 96)
