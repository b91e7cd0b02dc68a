"""FLAC frames in a fragmented MP4: the initialisation section, and what stands in front of frames.

Source: ISO/IEC 14496-12 (boxes), and *Encapsulation of FLAC in ISO Base Media File Format* 1.0 (``fLaC``,
``dfLa``). A frame is a sample of the one track; frames are copied as they are, one behind the other.

    …-init.mp4   ftyp, moov (mvhd, trak …, mvex), uuid: all metadata blocks of the FLAC file, as they were
    …-00001.m4s  styp, moof (mfhd, traf: tfhd, tfdt, trun), mdat: frames
"""

from __future__ import annotations

from struct import Struct

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.audio.flac.metadata import STREAM_HEAD_BYTES, STREAMINFO_BODY
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.errors import LimitError

#: The type of the box with the metadata blocks, a UUID that was made for it.
METADATA_UUID = bytes.fromhex("a5b3b8e6c04f4d0c9a526d2f3f3f6c6d")
TRACK = 1
#: The rate in a sample entry has 16 bits; of a greater one it is the greatest part that fits.
MOST_RATE = (1 << 16) - 1
_BRANDS = b"iso6" + bytes(4) + b"iso6mp41"
_UNITY = Struct(">9I").pack(1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_HEADER = Struct(">I4s")
_LARGE_HEADER = Struct(">I4sQ")
_MOST_BOX = (1 << 32) - 1
#: Flags: a run of samples says where its data begins, and (the second) how long each sample is.
_RUN_OFFSET, _RUN_SIZES = 0x000001, 0x000200
#: Flags of a fragment: duration, size and flags of its samples; places count from the moof.
_DURATION, _SIZE, _SAMPLE_FLAGS, _FROM_MOOF = 0x000008, 0x000010, 0x000020, 0x020000
#: Of a sample that depends on no other.
_INDEPENDENT = 2 << 24


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box. LimitError for one that its length does not fit."""
    size = _HEADER.size + sum(map(len, parts))
    if size > _MOST_BOX:
        raise LimitError(f"a box of {size:,} bytes in an MP4", remedy="Cut the stream into shorter segments.")
    return b"".join((_HEADER.pack(size, kind), *parts))


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box with a version and flags."""
    return box(kind, (version << 24 | flags).to_bytes(4, "big"), *parts)


def initialisation(profile: Profile, metadata: bytes) -> tuple[bytes, int]:
    """The initialisation section of a stream, and where ``metadata`` is in it.

    metadata: ``fLaC`` and all metadata blocks. They come last, so that a player need not read them.
    """
    header = box(b"ftyp", _BRANDS) + _movie(profile, metadata[8:STREAM_HEAD_BYTES])
    last = box(b"uuid", METADATA_UUID, metadata)
    return header + last, len(header) + len(last) - len(metadata)


def fragment_head(number: int, first_frame: int, profile: Profile, sizes: I64Array) -> bytes:
    """What stands in front of the frames of a media segment, up to their first byte.

    number: of the segment, from 1. first_frame: of it, counted in the stream. sizes: bytes of its frames,
    int64 (n,).
    """
    styp = box(b"styp", _BRANDS)
    moof = _moof(number, first_frame * profile.block_size, profile, sizes, 0)
    data_bytes = int(sizes.sum())
    large = data_bytes + _HEADER.size > _MOST_BOX
    head = (
        _LARGE_HEADER.pack(1, b"mdat", data_bytes + _LARGE_HEADER.size)
        if large
        else _HEADER.pack(data_bytes + _HEADER.size, b"mdat")
    )
    moof = _moof(number, first_frame * profile.block_size, profile, sizes, len(moof) + len(head))
    return styp + moof + head


def _moof(number: int, time: int, profile: Profile, sizes: I64Array, offset: int) -> bytes:
    """A movie fragment with one run of samples, whose data begins ``offset`` bytes behind its start."""
    even = bool((sizes == sizes[0]).all())
    flags = _FROM_MOOF | _DURATION | _SAMPLE_FLAGS | (_SIZE if even else 0)
    fields = [TRACK, profile.block_size, *([int(sizes[0])] if even else []), _INDEPENDENT]
    tfhd = full_box(b"tfhd", 0, flags, *(value.to_bytes(4, "big") for value in fields))
    tfdt = full_box(b"tfdt", 1, 0, time.to_bytes(8, "big"))
    run = len(sizes).to_bytes(4, "big") + offset.to_bytes(4, "big")
    each = b"" if even else sizes.astype(">u4").tobytes()
    trun = full_box(b"trun", 0, _RUN_OFFSET | (0 if even else _RUN_SIZES), run, each)
    mfhd = full_box(b"mfhd", 0, 0, number.to_bytes(4, "big"))
    return box(b"moof", mfhd, box(b"traf", tfhd, tfdt, trun))


def _movie(profile: Profile, streaminfo: bytes) -> bytes:
    rate = profile.sample_rate
    mvhd = full_box(
        b"mvhd", 0, 0, _numbers(0, 0, rate, 0, 1 << 16), b"\x01\0" + bytes(10), _UNITY, bytes(24),
        _numbers(TRACK + 1),
    )  # fmt: skip
    tkhd = full_box(
        b"tkhd", 0, 7, _numbers(0, 0, TRACK, 0, 0), bytes(8), bytes(4), b"\x01\0\0\0", _UNITY, bytes(8)
    )
    mdhd = full_box(b"mdhd", 0, 0, _numbers(0, 0, rate, 0), b"\x55\xc4\0\0")  # language: und
    hdlr = full_box(b"hdlr", 0, 0, bytes(4), b"soun", bytes(12), b"audiomem\0")
    dref = full_box(b"dref", 0, 0, _numbers(1), full_box(b"url ", 0, 1))
    tables = [full_box(kind, 0, 0, _numbers(0)) for kind in (b"stts", b"stsc", b"stco")]
    sizes = full_box(b"stsz", 0, 0, _numbers(0, 0))
    stsd = full_box(b"stsd", 0, 0, _numbers(1), _sample_entry(profile, streaminfo))
    media = box(
        b"minf",
        full_box(b"smhd", 0, 0, bytes(4)),
        box(b"dinf", dref),
        box(b"stbl", stsd, *tables, sizes),
    )
    trak = box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, media))
    trex = full_box(b"trex", 0, 0, _numbers(TRACK, 1, profile.block_size, 0, 0))
    return box(b"moov", mvhd, trak, box(b"mvex", trex))


def _sample_entry(profile: Profile, streaminfo: bytes) -> bytes:
    """How the track is coded: the STREAMINFO block, which is the last of its list here."""
    assert len(streaminfo) == STREAMINFO_BODY.size
    rate = profile.sample_rate
    parts = (rate // divisor for divisor in range(1, rate + 1) if rate % divisor == 0)
    entry_rate = next((part for part in parts if part <= MOST_RATE), MOST_RATE)
    length = len(streaminfo).to_bytes(3, "big")
    return box(
        b"fLaC",
        bytes(6) + b"\0\1",  # the first and only place that data is at
        bytes(8),
        profile.channels.to_bytes(2, "big") + profile.bits_per_sample.to_bytes(2, "big"),
        bytes(4),
        (entry_rate << 16).to_bytes(4, "big"),
        full_box(b"dfLa", 0, 0, b"\x80" + length + streaminfo),
    )


def _numbers(*values: int) -> bytes:
    return np.array(values, ">u4").tobytes()
