"""Frames that are decompressed in one call."""

from __future__ import annotations

import pytest

from audiomem_sql.blocks.compression import Compressor, Decompressor

TEXTS = [f"row {n} of the table".encode() * (n + 1) for n in range(40)]


@pytest.mark.parametrize("dictionary", [None, b"row of the table" * 8])
def test_many_frames_are_what_each_is(dictionary: bytes | None) -> None:
    packer = Compressor(9, dictionary, 1 << 15)
    frames = [packer.compress(text) + b"label" for text in TEXTS]
    assert Decompressor(dictionary).decompress_many(frames, list(map(len, TEXTS))) == TEXTS


def test_none_of_many_where_one_is_wrong() -> None:
    packer, sizes = Compressor(9), list(map(len, TEXTS))
    frames = [packer.compress(text) for text in TEXTS]
    unpacker = Decompressor()
    assert unpacker.decompress_many(frames, [*sizes[:-1], sizes[-1] + 1]) is None
    assert unpacker.decompress_many([*frames[:-1], b"nothing"], sizes) is None
    assert unpacker.decompress_many([*frames[:-1], frames[-1][:-1]], sizes) is None
    assert unpacker.decompress_many(frames, sizes) == TEXTS
