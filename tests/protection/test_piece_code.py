"""Pieces in copies: wrong bytes within the bound, and lost sides of a sector.

Nothing passes that its CRC does not confirm.
"""

from __future__ import annotations

import random

import pytest

from audiomem_sql.protection.piece_code import (
    PAYLOAD_BYTES,
    SECTOR_BYTES,
    encode_full_pieces,
    encode_piece,
    payload_of,
    piece_bytes,
    readings,
)

SIZES = [0, 1, 20, 44, 218, 219, 220, 441, 442, 443, 700, PAYLOAD_BYTES]


def recovered(copies: list[bytes], size: int, seed: int, offset: int = 0) -> set[bytes]:
    return {
        payload for each in readings(copies, offset) if (payload := payload_of(each, size, seed)) is not None
    }


@pytest.mark.parametrize("size", SIZES)
def test_sixteen_bytes_of_each_codeword_in_a_single_copy(size: int) -> None:
    rng = random.Random(size)
    payload = rng.randbytes(size)
    piece = encode_piece(payload, 2**32 + 5)
    assert len(piece) == piece_bytes(size)
    assert payload_of(piece, size, 5) == payload
    assert payload_of(piece, size, 6) is None
    words = -(-(size + 4) // 223)
    spoiled = bytearray(piece)
    start = words * 223 - (size + 4)  # place 0 is a zero that is not stored
    for word in range(words):
        places = [i for i in range(len(piece)) if (start + i) % words == word]
        for place in rng.sample(places, min(16, len(places))):
            spoiled[place] ^= rng.randrange(1, 256)
    assert recovered([bytes(spoiled)], size, 5) == {payload}


def test_full_pieces_at_once() -> None:
    data = random.Random(1).randbytes(3 * PAYLOAD_BYTES)
    single = [encode_piece(data[n * PAYLOAD_BYTES :][:PAYLOAD_BYTES], 2**32 - 2 + n) for n in range(3)]
    assert encode_full_pieces(data, 2**32 - 2) == b"".join(single)


@pytest.mark.parametrize("size", SIZES)
def test_one_side_of_a_sector_each(size: int) -> None:
    """One copy has what is before the edge of a sector, another what is behind it; a third copy is noise."""
    rng = random.Random(size)
    payload = rng.randbytes(size)
    piece = encode_piece(payload, 5)
    for edge in {1, len(piece) // 2, len(piece) - 1}:
        copies = [
            piece[:edge] + rng.randbytes(len(piece) - edge),
            rng.randbytes(edge) + piece[edge:],
            rng.randbytes(len(piece)),
        ]
        assert recovered(copies, size, 5, SECTOR_BYTES - edge) == {payload}


@pytest.mark.parametrize("copies", [2, 3, 6])
def test_nothing_but_what_was_written(copies: int) -> None:
    rng = random.Random(copies)
    for _ in range(30):
        size = rng.choice(SIZES)
        payload = rng.randbytes(size)
        piece = encode_piece(payload, 5)
        rate = rng.choice([0.02, 0.1, 0.5, 1])
        spoiled = [
            bytes(rng.randrange(256) if rng.random() < rate else b for b in piece) for _ in range(copies)
        ]
        assert recovered(spoiled, size, 5, rng.randrange(SECTOR_BYTES)) <= {payload}
        if rate == 0.02:
            assert recovered(spoiled, size, 5) == {payload}
    assert recovered([bytes(100)] * copies, 64, 5) == set()
