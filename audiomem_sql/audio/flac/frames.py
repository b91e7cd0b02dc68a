"""FLAC frames that hold a page verbatim, and where they are.

Source: RFC 9639 §9 (frame structure), §9.2.2 (verbatim subframe). With 16 or 24 bits every part is byte
aligned, so the samples of a frame *are* the bytes of the page:

====================  ==================================================================================
bytes                 field
====================  ==================================================================================
2                     ``FF F8``: sync code, fixed block size strategy (§9.1)
1                     block size code, sample rate code (§9.1.1, §9.1.2)
1                     channels code, bit depth code (§9.1.3, §9.1.4)
1–7                   frame number, coded like UTF-8 (§9.1.5)
0 or 2                block size minus one, when its code is 7 (§9.1.6)
0, 1 or 2             sample rate in kHz, Hz or tens of Hz, when its code is 12, 13 or 14 (§9.1.7)
1                     CRC-8, polynomial 0x07, of the header (§9.1.8)
per channel: 1        ``02``: verbatim subframe, no wasted bits
per channel: the rest ``block_size`` big-endian signed samples
2                     CRC-16, polynomial 0x8005, of the whole frame (§9.3)
====================  ==================================================================================

Only the frame number changes its length, at fixed numbers, so the offset of a frame is arithmetic.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from fastcrc import crc8, crc16

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.audio.flac.profiles import Profile, match
from audiomem_sql.errors import OptionError

#: What a probe of pages is given of a page: the first payload bytes of channel 0.
HEAD_BYTES = 64

Bytes: TypeAlias = U8Array
Numbers: TypeAlias = I64Array
Flags: TypeAlias = BoolArray

SYNC = b"\xff\xf8"
VARIABLE_SYNC = b"\xff\xf9"
"""The same of a stream with frames of different sizes, which are not ours."""
VERBATIM = 0x02
FOOTER_SIZE = 2
MAX_HEADER_SIZE = 16

BLOCK_SIZE_CODES = {1024: 10, 2048: 11, 4096: 12, 8192: 13, 16384: 14, 32768: 15}
BLOCK_SIZE_16 = 7
SAMPLE_RATE_CODES = {
    88_200: 1,
    176_400: 2,
    192_000: 3,
    8_000: 4,
    16_000: 5,
    22_050: 6,
    24_000: 7,
    32_000: 8,
    44_100: 9,
    48_000: 10,
    96_000: 11,
}
RATE_KHZ, RATE_HZ, RATE_TENS = 12, 13, 14
BIT_DEPTH_CODES = {16: 4, 24: 6}

NUMBER_STEPS = (1 << 7, 1 << 11, 1 << 16, 1 << 21, 1 << 26, 1 << 31)
"""Frame numbers from which the coded number is one byte longer."""

_CRC8_TABLE: Bytes = np.array([crc8.smbus(bytes([value])) for value in range(256)], dtype=np.uint8)
_BLOCK_SIZES = {code: size for size, code in BLOCK_SIZE_CODES.items()}
_SAMPLE_RATES = {code: rate for rate, code in SAMPLE_RATE_CODES.items()}
_BIT_DEPTHS = {code: bits for bits, code in BIT_DEPTH_CODES.items()}


def number_length(n: int) -> int:
    """Bytes of the coded frame number ``n``, 1 to 7."""
    return 1 + bisect_right(NUMBER_STEPS, n)


def header_size(profile: Profile, n: int) -> int:
    """Bytes of the header of frame ``n``, its CRC-8 included."""
    return 5 + number_length(n) + _tail_size(profile)


def frame_size(profile: Profile, n: int) -> int:
    """Bytes of frame ``n``."""
    return header_size(profile, n) + profile.channels + profile.page_size + FOOTER_SIZE


def frame_offset(profile: Profile, audio_start: int, n: int) -> int:
    """Byte offset in the file of frame ``n``, where frame 0 is at ``audio_start``."""
    return audio_start + n * frame_size(profile, 0) + sum(n - step for step in NUMBER_STEPS if n > step)


def frame_offsets(profile: Profile, numbers: Numbers) -> Numbers:
    """``frame_offset(profile, 0, n)`` of many frames: int64 (n,) → int64 (n,)."""
    offsets = numbers * frame_size(profile, 0)
    for step in NUMBER_STEPS:
        offsets += np.maximum(numbers - step, 0)
    return offsets


def frame_sizes(profile: Profile, first: int, count: int) -> Numbers:
    """Bytes of frames ``first … first + count``: int64 (count,)."""
    return np.diff(frame_offsets(profile, np.arange(first, first + count + 1, dtype=np.int64)))


def frame_count(profile: Profile, audio_bytes: int) -> int:
    """Whole frames in ``audio_bytes`` bytes.

    The largest n with ``frame_offset(profile, 0, n) <= audio_bytes``.
    """
    most = max(audio_bytes, 0) // frame_size(profile, 0)
    if most <= NUMBER_STEPS[0]:  # all are as long as the first
        return most
    return bisect_right(range(most + 1), max(audio_bytes, 0), key=lambda n: frame_offset(profile, 0, n)) - 1


@lru_cache(256)
def frame_header(profile: Profile, n: int) -> bytes:
    """Header of frame ``n``, its CRC-8 included."""
    return frame_headers(profile, n, 1).tobytes()


def frame_headers(profile: Profile, first: int, count: int) -> Bytes:
    """Headers of ``count`` frames from ``first`` on, uint8 (count, header size).

    All of them must have numbers of one length: see ``number_runs``.
    """
    return numbered_headers(profile, np.arange(first, first + count, dtype=np.int64), number_length(first))


def numbered_headers(profile: Profile, numbers: Numbers, length: int) -> Bytes:
    """Headers of the frames ``numbers``, int64 (n,) → uint8 (n, header size).

    Each is coded in ``length`` bytes.
    """
    size_code, size_bytes = _block_size_field(profile)
    rate_code, rate_bytes = _rate_field(profile)
    count, tail = len(numbers), size_bytes + rate_bytes
    headers = np.empty((count, 5 + length + len(tail)), dtype=np.uint8)
    headers[:, 0:2] = np.frombuffer(SYNC, dtype=np.uint8)
    headers[:, 2] = size_code << 4 | rate_code
    headers[:, 3] = (profile.channels - 1) << 4 | BIT_DEPTH_CODES[profile.bits_per_sample] << 1
    lead = 0 if length == 1 else 0xFF << (8 - length) & 0xFF
    headers[:, 4] = lead | numbers >> 6 * (length - 1)
    for index in range(1, length):
        headers[:, 4 + index] = 0x80 | numbers >> 6 * (length - 1 - index) & 0x3F
    if tail:
        headers[:, 4 + length : -1] = np.frombuffer(tail, dtype=np.uint8)
    crc = np.zeros(count, dtype=np.uint8)
    for index in range(headers.shape[1] - 1):
        crc = _CRC8_TABLE[crc ^ headers[:, index]]
    headers[:, -1] = crc
    return headers


def number_runs(first: int, count: int) -> Iterator[tuple[int, int]]:
    """First and count of the parts of ``first … first + count`` whose frame numbers are of one length."""
    end = first + count
    while first < end:
        step = bisect_right(NUMBER_STEPS, first)
        stop = min(end, NUMBER_STEPS[step]) if step < len(NUMBER_STEPS) else end
        yield first, stop - first
        first = stop


def parse_frame_header(raw: bytes) -> tuple[Profile, int] | None:
    """Profile and number of the frame whose header ``raw`` begins with.

    ``None`` if it is not one that we write.

    Accepts exactly what ``frame_header`` makes: the header is rebuilt and compared, its CRC-8 included.
    """
    if len(raw) < 6 or raw[:2] != SYNC:
        return None
    size_code, rate_code = raw[2] >> 4, raw[2] & 15
    length = max(1, 8 - (raw[4] ^ 0xFF).bit_length())
    if length > 7:
        return None
    n = raw[4] & (0x7F if length == 1 else 0x7F >> length)
    for byte in raw[5 : 4 + length]:
        n = n << 6 | byte & 0x3F
    at = 4 + length
    block_size = _BLOCK_SIZES.get(size_code, 0)
    if size_code == BLOCK_SIZE_16:
        block_size = int.from_bytes(raw[at : at + 2], "big") + 1
        at += 2
    rate = _SAMPLE_RATES.get(rate_code, 0)
    if rate_code == RATE_KHZ:
        rate = int.from_bytes(raw[at : at + 1], "big") * 1000
    elif rate_code in (RATE_HZ, RATE_TENS):
        rate = int.from_bytes(raw[at : at + 2], "big") * (10 if rate_code == RATE_TENS else 1)
    try:
        profile = match(rate, _BIT_DEPTHS.get(raw[3] >> 1 & 7, 0), (raw[3] >> 4) + 1, block_size)
    except OptionError:
        return None
    return (profile, n) if raw.startswith(frame_header(profile, n)) else None


def pack_frames(profile: Profile, first: int, payload: Bytes) -> Bytes:
    """Frames ``first … first + n`` of the pages ``payload``, uint8 (n, page_size) → (n, frame size).

    All of them must have numbers of one length: see ``number_runs``.
    """
    count = payload.shape[0]
    header = header_size(profile, first)
    frames = np.empty((count, frame_size(profile, first)), dtype=np.uint8)
    frames[:, :header] = frame_headers(profile, first, count)
    body = _body(profile, frames, header)
    body[:, :, 0] = VERBATIM
    body[:, :, 1:] = payload.reshape(count, profile.channels, profile.channel_size)
    footers = b"".join(crc16.umts(frame[:-FOOTER_SIZE].tobytes()).to_bytes(2, "big") for frame in frames)
    frames[:, -FOOTER_SIZE:] = np.frombuffer(footers, dtype=np.uint8).reshape(count, FOOTER_SIZE)
    return frames


def unpack_frames(profile: Profile, first: int, frames: Bytes, pages: Bytes) -> Flags:
    """Copy the samples of ``frames`` (n, frame size) into ``pages`` (n, page_size).

    The reverse of ``pack_frames``.

    Returns bool (n,): whether header and subframe bytes are exactly those of these frame numbers. CRC-16 is
    not looked at.
    """
    count = frames.shape[0]
    header = header_size(profile, first)
    body = _body(profile, frames, header)
    pages.reshape(count, profile.channels, profile.channel_size)[...] = body[:, :, 1:]
    expected = frame_headers(profile, first, count)
    ok: Flags = (frames[:, :header] == expected).all(axis=1)
    ok &= (body[:, :, 0] == VERBATIM).all(axis=1)
    return ok


def _body(profile: Profile, frames: Bytes, header: int) -> Bytes:
    """View (n, channels, 1 + channel_size) of the subframes."""
    body = frames[:, header:-FOOTER_SIZE]
    shape = (frames.shape[0], profile.channels, 1 + profile.channel_size)
    strides = (body.strides[0], shape[2] * body.strides[1], body.strides[1])
    return np.lib.stride_tricks.as_strided(body, shape, strides)


@lru_cache(64)
def _tail_size(profile: Profile) -> int:
    """Bytes of a frame header behind the frame number, but for the CRC-8."""
    return len(_block_size_field(profile)[1]) + len(_rate_field(profile)[1])


def _block_size_field(profile: Profile) -> tuple[int, bytes]:
    code = BLOCK_SIZE_CODES.get(profile.block_size)
    if code is not None:
        return code, b""
    return BLOCK_SIZE_16, (profile.block_size - 1).to_bytes(2, "big")


def _rate_field(profile: Profile) -> tuple[int, bytes]:
    rate = profile.sample_rate
    code = SAMPLE_RATE_CODES.get(rate)
    if code is not None:
        return code, b""
    if rate % 1000 == 0 and rate <= 255_000:
        return RATE_KHZ, (rate // 1000).to_bytes(1, "big")
    if rate <= 0xFFFF:
        return RATE_HZ, rate.to_bytes(2, "big")
    return RATE_TENS, (rate // 10).to_bytes(2, "big")
