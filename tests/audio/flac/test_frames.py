from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.conftest import SHAPES, make_pages, shape_id, smallest, write_file
from audiomem_sql.audio import PROFILES, Profile, frame_count, frame_offset, frame_size
from audiomem_sql.audio.flac.frames import (
    NUMBER_STEPS,
    frame_header,
    frame_headers,
    number_runs,
    pack_frames,
    parse_frame_header,
    unpack_frames,
)

RATES = (
    1,
    999,
    8_000,
    22_050,
    37_000,
    44_100,
    48_000,
    65_535,
    88_200,
    96_000,
    176_400,
    192_000,
    250_000,
    384_000,
    655_350,
)


def crc(data: bytes, bits: int, polynomial: int) -> int:
    """The plainest CRC: most significant bit first, starting from zero."""
    value = 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value >> (bits - 1) else value << 1) & ((1 << bits) - 1)
    return value


def profiles() -> st.SearchStrategy[Profile]:
    return st.builds(
        Profile,
        st.just("custom"),
        st.one_of(
            st.sampled_from(RATES), st.integers(1, 65_535), st.integers(1, 65_535).map(lambda tens: tens * 10)
        ),
        st.sampled_from((16, 24)),
        st.integers(4, 8),
        st.integers(1, 63).map(lambda step: step * 1024),
    )


def test_desktop_header_bytes() -> None:
    assert frame_header(PROFILES["desktop"], 0)[:-1] == bytes.fromhex("fff8 ca 1c 00")
    assert frame_header(PROFILES["server"], 0x80)[:-1] == bytes.fromhex("fff8 db 3c c280")
    assert frame_header(PROFILES["embedded"], 0)[:-1] == bytes.fromhex("fff8 c6 08 00")
    odd = Profile("custom", 655_350, 16, 8, 3072)
    assert frame_header(odd, 1)[:-1] == bytes.fromhex("fff8 7e 78 01 0bff ffff")


@given(profiles(), st.integers(0, 0x10FFFF))
def test_header_against_a_plain_encoder(profile: Profile, n: int) -> None:
    header = frame_header(profile, n)
    number = chr(n).encode("utf-8", "surrogatepass")
    assert header[4 : 4 + len(number)] == number
    assert header[-1] == crc(header[:-1], 8, 0x07)
    assert frame_size(profile, n) == len(header) + profile.channels + profile.page_size + 2


@given(
    profiles(),
    st.one_of(
        st.integers(0, (1 << 36) - 1), st.sampled_from([step + d for step in NUMBER_STEPS for d in (-1, 0)])
    ),
)
def test_header_parses_back(profile: Profile, n: int) -> None:
    parsed = parse_frame_header(frame_header(profile, n) + b"\x02")
    assert parsed is not None
    assert parsed[1] == n
    assert (parsed[0].sample_rate, parsed[0].page_size) == (profile.sample_rate, profile.page_size)


@given(st.binary(max_size=20))
def test_parse_takes_any_bytes(raw: bytes) -> None:
    parsed = parse_frame_header(b"\xff\xf8" + raw)
    assert parsed is None or (b"\xff\xf8" + raw).startswith(frame_header(*parsed))


def test_every_flipped_bit_of_a_header_is_seen() -> None:
    header = frame_header(Profile("custom", 37_001, 24, 3, 5120), 0x1234)
    for bit in range(len(header) * 8):
        raw = bytearray(header)
        raw[bit // 8] ^= 1 << bit % 8
        assert parse_frame_header(bytes(raw)) is None


@pytest.mark.parametrize("step", NUMBER_STEPS)
def test_offsets_grow_by_frame_sizes(step: int) -> None:
    profile = PROFILES["mobile"]
    for n in range(step - 3, step + 3):
        assert frame_offset(profile, 77, n + 1) - frame_offset(profile, 77, n) == frame_size(profile, n)
    assert frame_size(profile, step) == frame_size(profile, step - 1) + 1


def test_offsets_add_up() -> None:
    profile = PROFILES["mobile"]
    sums = accumulate((frame_size(profile, n) for n in range(70_000)), initial=8)
    assert all(frame_offset(profile, 8, n) == total for n, total in enumerate(sums))


@given(profiles(), st.integers(0, 1 << 27), st.integers(0, 10**7))
def test_frame_count_is_the_inverse(profile: Profile, n: int, extra: int) -> None:
    end = frame_offset(profile, 0, n)
    assert frame_count(profile, end) == n
    assert frame_count(profile, end + extra % frame_size(profile, n)) == n
    assert frame_count(profile, end - 1) == max(0, n - 1)


def test_number_runs() -> None:
    assert list(number_runs(0, 0)) == []
    assert list(number_runs(100, 28)) == [(100, 28)]
    assert list(number_runs(100, 0x10000)) == [(100, 28), (128, 1920), (2048, 63488), (65536, 100)]


def test_header_rows_equal_single_headers() -> None:
    profile = PROFILES["desktop"]
    rows = frame_headers(profile, 0x7F0, 16)
    assert [row.tobytes() for row in rows] == [frame_header(profile, n) for n in range(0x7F0, 0x800)]


@pytest.mark.parametrize("profile", SHAPES, ids=shape_id)
def test_pack_and_unpack(profile: Profile) -> None:
    pages = make_pages(profile, 3)
    frames = pack_frames(profile, 200, pages)
    assert frames.shape == (3, frame_size(profile, 200))
    back = np.zeros_like(pages)
    assert unpack_frames(profile, 200, frames, back).all()
    assert np.array_equal(back, pages)
    assert not unpack_frames(profile, 201, frames, back).any()


def test_footer_is_the_plain_crc() -> None:
    profile = smallest(16, 2)
    frame = pack_frames(profile, 5, make_pages(profile, 1))[0].tobytes()
    assert int.from_bytes(frame[-2:], "big") == crc(frame[:-2], 16, 0x8005)


def test_scanning_finds_frames_where_arithmetic_says(tmp_path: Path) -> None:
    profile = smallest(16, 1)
    count = 0x800 + 40
    path = tmp_path / "long.flac"
    writer = write_file(path, profile, make_pages(profile, count))
    data = path.read_bytes()
    at = writer.audio_start
    for n in range(count):
        assert parse_frame_header(data[at : at + 16]) == (profile, n)
        assert at == frame_offset(profile, writer.audio_start, n)
        following = data.find(b"\xff\xf8", at + 2)
        while following >= 0 and (parse_frame_header(data[following : following + 16]) or (0, 0))[1] != n + 1:
            following = data.find(b"\xff\xf8", following + 2)
        at = following
    assert at == -1
    assert len(data) == frame_offset(profile, writer.audio_start, count) == writer.file_size
