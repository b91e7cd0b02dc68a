"""Frame headers of ours in any bytes.

Where frames are not where arithmetic puts them, their headers tell: sync code, codes, number and CRC-8 are 6
to 16 bytes that do not come about by chance, least of all followed by the mark of a verbatim subframe. All is
done on arrays, so bytes that are made to look like headers cost no more time than others.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.audio.flac.frames import (
    BIT_DEPTH_CODES,
    BLOCK_SIZE_16,
    BLOCK_SIZE_CODES,
    MAX_HEADER_SIZE,
    RATE_HZ,
    RATE_KHZ,
    RATE_TENS,
    SAMPLE_RATE_CODES,
    SYNC,
    VERBATIM,
    Bytes,
    Flags,
    Numbers,
    frame_header,
    numbered_headers,
    parse_frame_header,
)
from audiomem_sql.audio.flac.profiles import MAX_CHANNELS, Profile

MAX_NUMBER = 1 << 31
MAX_LENGTH = 6
"""Frame numbers are below, and coded in no more bytes (RFC 9639 §9.1.5)."""
STEP = 1 << 18
"""Bytes looked at together: they and what is computed from them stay in a processor's cache."""
ANNOUNCED = 1024
"""How many headers of unknown shape are parsed, one by one, in one stretch of bytes."""

_SIZES = (BLOCK_SIZE_16, *BLOCK_SIZE_CODES.values())
_RATES = (RATE_KHZ, RATE_HZ, RATE_TENS, *SAMPLE_RATE_CODES.values())
_SIZE_AND_RATE = np.zeros(256, dtype=np.bool_)
_SIZE_AND_RATE[[size << 4 | rate for size in _SIZES for rate in _RATES]] = True
_CHANNELS_AND_DEPTH = np.zeros(256, dtype=np.bool_)
_CHANNELS_AND_DEPTH[
    [channels << 4 | bits << 1 for channels in range(MAX_CHANNELS) for bits in BIT_DEPTH_CODES.values()]
] = True


def sync_places(data: Bytes) -> Numbers:
    """Where the sync code begins, int64, rising; not in the last ``MAX_HEADER_SIZE`` bytes."""
    found = []
    end = len(data) - MAX_HEADER_SIZE
    for start in range(0, end, STEP):
        part = data[start : min(start + STEP, end) + 1]
        here = part[:-1] == SYNC[0]
        here &= part[1:] == SYNC[1]
        found.append(here.nonzero()[0] + start)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def announced(data: bytes) -> list[tuple[int, Profile, int]]:
    """Headers of any profile: place, profile and frame number, in order.

    The first ``ANNOUNCED`` that could be one are parsed.
    """
    array = np.frombuffer(data, dtype=np.uint8)
    places = sync_places(array)
    places = places[_SIZE_AND_RATE[array[places + 2]] & _CHANNELS_AND_DEPTH[array[places + 3]]]
    found = []
    for place in places[:ANNOUNCED].tolist():
        parsed = parse_frame_header(data[place : place + MAX_HEADER_SIZE])
        if parsed is not None:
            found.append((place, *parsed))
    return found


def find_headers(data: Bytes, profile: Profile) -> tuple[Numbers, Numbers, Flags]:
    """Headers of frames of ``profile``, as three arrays (n,).

    Places, rising; frame numbers; and whether a verbatim subframe follows.

    None that begins in the last ``MAX_HEADER_SIZE`` bytes of ``data``.
    """
    lead = np.frombuffer(frame_header(profile, 0), dtype=np.uint8)
    places = sync_places(data)
    places = places[(data[places + 2] == lead[2]) & (data[places + 3] == lead[3])]
    lengths = _LENGTHS[data[places + 4]]
    found = [np.empty((0, 3), dtype=np.int64)]
    for length in range(1, MAX_LENGTH + 1):
        at = places[lengths == length]
        if not len(at):
            continue
        number = data[at + 4].astype(np.int64) & 0x7F >> (length if length > 1 else 0)
        for index in range(1, length):
            number = number << 6 | data[at + 4 + index] & 0x3F
        canonical = (number >= _LEAST[length]) & (number < _LEAST[length + 1])
        at, number = at[canonical], number[canonical]
        expected = numbered_headers(profile, number, length)
        size = expected.shape[1]
        good = (data[at[:, None] + np.arange(size)] == expected).all(axis=1)
        found.append(np.stack([at, number, data[at + size] == VERBATIM], axis=1)[good])
    headers = np.concatenate(found)
    headers = headers[np.argsort(headers[:, 0])]
    return headers[:, 0], headers[:, 1], headers[:, 2].astype(np.bool_)


_LEAST = np.array([0, 0, 1 << 7, 1 << 11, 1 << 16, 1 << 21, 1 << 26, MAX_NUMBER], dtype=np.int64)
"""Least number that is coded in so many bytes; a number of 7 bytes is none of a frame."""
_LENGTHS = np.array(
    [1] * 0x80 + [0] * 0x40 + [2] * 0x20 + [3] * 0x10 + [4] * 0x08 + [5] * 0x04 + [6] * 0x02 + [0] * 0x02,
    dtype=np.int64,
)
"""Bytes of a coded number by its first byte; 0 where none begins so."""
