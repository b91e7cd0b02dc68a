"""Samples that a decoder could take for the header of a frame.

A frame begins with 15 fixed bits, some fields with forbidden values, and a CRC-8 (RFC 9639 §9.1). Samples
that are as good as random agree with that once in some 50 MB. Decoders that look for frames by their headers
compare what follows and take the right one; but ffmpeg ends with an error where the last frame of a stream
has such samples.
"""

from __future__ import annotations

import numpy as np
from fastcrc import crc8

from audiomem_sql.audio.flac.frames import MAX_HEADER_SIZE, Bytes, Flags

_NO_CHANNELS, _NO_DEPTH, _NO_RATE, _NO_SIZE = 11, 3, 15, 0
"""Codes that RFC 9639 reserves or forbids: channels from that one on."""
_SIZE_BYTES = {6: 1, 7: 2}
_RATE_BYTES = {12: 1, 13: 2, 14: 2}


def false_headers(data: Bytes) -> Flags:
    """Whether there is a frame header in the bytes of each row: uint8 (n, m) → bool (n,).

    One that is not there to its end is none.
    """
    found = np.zeros(len(data), np.bool_)
    flat = data.reshape(-1)
    sync = (flat[:-1] == 0xFF) & (flat[1:] & 0xFE == 0xF8)
    for at in np.flatnonzero(sync).tolist():
        row, start = divmod(at, data.shape[1])
        if not found[row]:
            found[row] = is_header(data[row, start : start + MAX_HEADER_SIZE].tobytes())
    return found


def is_header(raw: bytes) -> bool:
    """Whether ``raw`` begins with a header that a decoder accepts, of any stream."""
    if len(raw) < 6 or raw[0] != 0xFF or raw[1] & 0xFE != 0xF8:
        return False
    size, rate, channels, depth = raw[2] >> 4, raw[2] & 15, raw[3] >> 4, raw[3] >> 1 & 7
    if size == _NO_SIZE or rate == _NO_RATE or channels >= _NO_CHANNELS or depth == _NO_DEPTH or raw[3] & 1:
        return False
    ones = 8 - (raw[4] ^ 0xFF).bit_length()
    if ones in (1, 8) or any(byte & 0xC0 != 0x80 for byte in raw[5 : 4 + ones]):
        return False
    end = 4 + max(ones, 1) + _SIZE_BYTES.get(size, 0) + _RATE_BYTES.get(rate, 0)
    return end < len(raw) and crc8.smbus(raw[:end]) == raw[end]


__all__ = ["false_headers", "is_header"]
