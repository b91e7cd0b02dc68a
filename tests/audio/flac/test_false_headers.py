"""Samples that a decoder could take for the header of a frame are found, wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest
from fastcrc import crc8
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.audio import PROFILES
from audiomem_sql.audio.flac.false_headers import false_headers, is_header
from audiomem_sql.audio.flac.frames import frame_header
from audiomem_sql.audio.flac.profiles import Profile

REST = bytes(range(1, 21))


def closed(fields: bytes) -> bytes:
    """Fields of a header with their CRC-8."""
    return fields + bytes([crc8.smbus(fields)])


@given(
    profile=st.sampled_from(list(PROFILES.values())),
    number=st.one_of(st.integers(0, 300), st.integers(0, 2**36 - 1)),
    bit=st.integers(0, 127),
)
def test_headers_of_frames_are_found_and_wrong_ones_are_not(profile: Profile, number: int, bit: int) -> None:
    header = frame_header(profile, number)
    assert is_header(header)
    assert is_header(header + REST)
    assert not is_header(header[:-1])
    wrong = bytearray(header)
    wrong[bit // 8 % len(header)] ^= 1 << bit % 8
    assert not is_header(bytes(wrong))


@pytest.mark.parametrize(
    "fields",
    [
        "fff81000 00",
        "fff9eea2 7f 1234",  # the rate in two bytes
        "fff86b1e 05 ff",  # the block size in one
        "fff87c64 c280 ffff 30",  # in two, and the rate in one
        "fff9fe00 febfbfbfbfbfbf 0001",
        "fff87e00 febfbfbfbfbfbf 0001 0001",  # the longest
    ],
)
def test_every_length(fields: str) -> None:
    raw = bytes.fromhex(fields)
    assert is_header(closed(raw) + REST)
    assert not is_header(closed(raw[:-1]) + REST)
    assert not is_header(closed(raw + b"\1") + REST)


@pytest.mark.parametrize(
    "fields",
    [
        "fff01000 00",  # no sync code
        "fefff810 00",
        "fff80900 00",  # no block size
        "fff81f00 00",  # no rate
        "fff810b0 00",  # eleven kinds of channels
        "fff81006 00",  # no depth
        "fff81001 00",  # a reserved bit
        "fff81000 80",  # no beginning of a number
        "fff81000 ff",
        "fff81000 c200",  # no second byte of one
        "fff81000 e080c0",
    ],
)
def test_what_no_decoder_accepts(fields: str) -> None:
    assert not is_header(closed(bytes.fromhex(fields)) + REST)


def test_ten_kinds_of_channels_and_seven_depths() -> None:
    found = [
        (channels, depth)
        for channels in range(16)
        for depth in range(8)
        if is_header(closed(bytes([0xFF, 0xF8, 0x10, channels << 4 | depth << 1, 0])))
    ]
    assert found == [(channels, depth) for channels in range(11) for depth in (0, 1, 2, 4, 5, 6, 7)]


@given(st.integers(0, 99), st.integers(0, 3))
def test_in_rows(at: int, row: int) -> None:
    header = np.frombuffer(closed(bytes.fromhex("fff81000 00")), np.uint8)
    data = np.full((4, 100), 0xFF, np.uint8)
    data[row, at : at + 6] = header[: 100 - at]
    expected = [False] * 4
    expected[row] = at <= 94
    assert false_headers(data).tolist() == expected
