"""FLAC metadata blocks: built for a new file, read from any file.

Source: RFC 9639 §8; comments are Vorbis comments (§8.6), little-endian, unlike the rest. Every length is
compared with the file before anything is read, and only the three blocks with something to say are read at
all. A block of ours that is damaged is left out: metadata speeds things up, no page depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct, error

from audiomem_sql._version import __version__
from audiomem_sql.audio.flac.frames import frame_offset, frame_size
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import DamagedFileError, LimitError, NotAudioMemoryError, OptionError

MAGIC = b"fLaC"
STREAMINFO, PADDING, APPLICATION, SEEKTABLE, VORBIS_COMMENT, PICTURE, INVALID = 0, 1, 2, 3, 4, 6, 127
LAST_BLOCK = 0x80
MAX_BLOCK_LENGTH = (1 << 24) - 1
MAX_BLOCKS = 4096
"""Blocks of one stream that are looked at; there are more only in a file made to be bad."""

STREAMINFO_BODY = Struct(">HH3s3sQ16s")
"""Block size least and most, frame size least and most, rate (20 bits) channels − 1 (3) depth − 1 (5) samples
(36), MD5."""
MD5_OFFSET = len(MAGIC) + 4 + STREAMINFO_BODY.size - 16
"""Where the MD5 of the samples is, from the start of the stream."""
STREAM_HEAD_BYTES = MD5_OFFSET + 16
"""``fLaC`` and the STREAMINFO block."""
MAX_SAMPLES = (1 << 36) - 1

SEEK_POINT = Struct(">QQH")
"""Number of the first sample, offset from the first frame, samples in the frame (§8.5)."""
SEEK_SECONDS = 10
MAX_SEEK_POINTS = 1000

APPLICATION_ID = b"AUDM"
VENDOR = f"audiomem-sql {__version__}"
LENGTH = Struct("<I")

ID3_HEADER_SIZE = 10
ID3_FOOTER_FLAG = 0x10


@dataclass(frozen=True)
class Metadata:
    """What the blocks say.

    ``total_samples`` is 0 when the writer did not know; ``audio_start`` is a file offset.
    """

    sample_rate: int
    bits_per_sample: int
    channels: int
    min_block_size: int
    max_block_size: int
    total_samples: int
    md5: bytes
    audio_start: int
    application: bytes | None = None
    comments: dict[str, str] = field(default_factory=dict)


def build_metadata(
    profile: Profile,
    pages: int,
    application: bytes,
    comments: Mapping[str, str],
    padding: int,
    more: Sequence[tuple[str, str]] = (),
    pictures: Sequence[bytes] = (),
) -> bytes:
    """``fLaC`` and every block, the MD5 still zero. Field names of comments are upper-cased.

    more: comments that follow, with names as they are, maybe several of a name. pictures: bodies of PICTURE
    blocks. Raises ``OptionError`` for a comment that cannot be stored, ``LimitError`` for what is too long.
    """
    if pages * profile.block_size > MAX_SAMPLES:
        raise too_many_pages(profile, pages)
    blocks = [
        (STREAMINFO, _streaminfo(profile, pages)),
        (APPLICATION, APPLICATION_ID + application),
        (SEEKTABLE, _seek_table(profile, pages)),
        (
            VORBIS_COMMENT,
            _vorbis_comment([*((name.upper(), text) for name, text in comments.items()), *more]),
        ),
        *((PICTURE, body) for body in pictures),
    ]
    if padding:
        blocks.append((PADDING, bytes(padding)))
    return join_blocks(blocks)


def too_many_pages(profile: Profile, pages: int) -> LimitError:
    """The error for a stream of so many pages."""
    return LimitError(
        f"{pages} pages are more samples than a FLAC stream can number",
        remedy=f"At block size {profile.block_size} a file holds {MAX_SAMPLES // profile.block_size} pages",
    )


def changed_streaminfo(profile: Profile, pages: int, md5: bytes = bytes(16)) -> bytes:
    """The first ``STREAM_HEAD_BYTES`` of a stream of so many pages: ``fLaC`` and STREAMINFO.

    For a stream to which pages were appended: number of samples, largest frame and MD5 are other ones then.
    By default there is no MD5, which is legal. STREAMINFO is never the last block of ours.
    """
    return join_blocks([(STREAMINFO, _streaminfo(profile, pages, md5)), (PADDING, b"")])[:STREAM_HEAD_BYTES]


def join_blocks(blocks: Sequence[tuple[int, bytes]]) -> bytes:
    """``fLaC`` and the blocks: types and bodies. ``LimitError`` for a body that is too long."""
    parts = [MAGIC]
    for index, (kind, body) in enumerate(blocks):
        if len(body) > MAX_BLOCK_LENGTH:
            raise LimitError(f"a FLAC metadata block of {len(body)} bytes; the most is {MAX_BLOCK_LENGTH}")
        last = LAST_BLOCK if index == len(blocks) - 1 else 0
        parts += [bytes([kind | last]), len(body).to_bytes(3, "big"), body]
    return b"".join(parts)


def _streaminfo(profile: Profile, pages: int, md5: bytes = bytes(16)) -> bytes:
    block = profile.block_size
    packed = (
        profile.sample_rate << 44
        | (profile.channels - 1) << 41
        | (profile.bits_per_sample - 1) << 36
        | pages * block
    )
    least, most = frame_size(profile, 0), frame_size(profile, pages - 1)
    return STREAMINFO_BODY.pack(block, block, least.to_bytes(3, "big"), most.to_bytes(3, "big"), packed, md5)


def _seek_table(profile: Profile, pages: int) -> bytes:
    seconds = pages * profile.block_size / profile.sample_rate
    points = min(pages, MAX_SEEK_POINTS, 1 + int(seconds // SEEK_SECONDS))
    return b"".join(
        SEEK_POINT.pack(n * profile.block_size, frame_offset(profile, 0, n), profile.block_size)
        for n in (index * pages // points for index in range(points))
    )


def is_comment_name(name: str) -> bool:
    """Whether a field may be called so."""
    return bool(name) and all(" " <= char <= "}" and char != "=" for char in name)


def _vorbis_comment(comments: Sequence[tuple[str, str]]) -> bytes:
    entries = []
    for name, value in comments:
        if not is_comment_name(name):
            raise OptionError(
                f"{name!r} cannot be the name of a comment", remedy="Use printable ASCII without ="
            )
        entries.append(_utf8(f"{name}={value}"))
    vendor = VENDOR.encode()
    packed = [LENGTH.pack(len(vendor)), vendor, LENGTH.pack(len(entries))]
    for entry in entries:
        packed += [LENGTH.pack(len(entry)), entry]
    return b"".join(packed)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise OptionError(f"comment {text!r} is not valid Unicode text") from None


def read_metadata(file: ByteSource, start: int) -> Metadata:
    """The blocks of the stream whose ``fLaC`` is at offset ``start``.

    Raises ``NotAudioMemoryError`` where there is no such stream, ``DamagedFileError`` for lengths beyond the
    file and for a STREAMINFO that is missing or impossible.
    """
    streaminfo: bytes | None = None
    application: bytes | None = None
    comments: dict[str, str] = {}
    at = start
    for kind, at, length in blocks_of(file, start):
        if kind == STREAMINFO:
            if length != STREAMINFO_BODY.size:
                raise _damaged(file, at, f"STREAMINFO of {length} bytes")
            streaminfo = file.read_at(at, length)
        elif kind == APPLICATION and application is None and file.read_at(at, 4) == APPLICATION_ID:
            application = file.read_at(at + 4, length - 4) if length >= 4 else None
        elif kind == VORBIS_COMMENT and not comments:
            comments = _parse_comments(file.read_at(at, length))
        at += length
    if streaminfo is None:  # unreachable: the loop demands it first
        raise _damaged(file, at, "STREAMINFO is missing")
    least, most, _, _, packed, md5 = STREAMINFO_BODY.unpack(streaminfo)
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    if not rate or least > most or most < 16 or bits < 4:
        raise _damaged(file, start, "STREAMINFO is nonsense")
    return Metadata(rate, bits, channels, least, most, packed & MAX_SAMPLES, md5, at, application, comments)


def blocks_of(file: ByteSource, start: int) -> Iterator[tuple[int, int, int]]:
    """Type, offset of the body and its length, of each block of the stream whose ``fLaC`` is at ``start``.

    Raises as :func:`read_metadata` does. What follows the last body is the first frame.
    """
    if file.read_at(start, len(MAGIC)) != MAGIC:
        raise NotAudioMemoryError(
            "not a FLAC file", file=file.name, remedy="Tables are kept in files made by audiomem create"
        )
    at, first, last, blocks = start + len(MAGIC), True, False, 0
    while not last:
        if (blocks := blocks + 1) > MAX_BLOCKS:
            raise _damaged(file, at, f"there are more than {MAX_BLOCKS:,} blocks")
        head = file.read_at(at, 4)
        if len(head) < 4:
            raise _damaged(file, at, "the metadata ends in the middle")
        kind, last = head[0] & ~LAST_BLOCK, bool(head[0] & LAST_BLOCK)
        length = int.from_bytes(head[1:], "big")
        at += 4
        if length > file.size - at:
            raise _damaged(file, at, f"a block of {length} bytes is longer than the file")
        if kind == INVALID or first != (kind == STREAMINFO):
            raise _damaged(file, at, "STREAMINFO is not the first block")
        yield kind, at, length
        at, first = at + length, False


def total_pages(metadata: Metadata | None, profile: Profile) -> int:
    """Pages that STREAMINFO says there are; 0 if it does not know, or speaks of another sound."""
    if metadata is None or (
        metadata.sample_rate,
        metadata.bits_per_sample,
        metadata.channels,
        metadata.max_block_size,
    ) != (profile.sample_rate, profile.bits_per_sample, profile.channels, profile.block_size):
        return 0
    return metadata.total_samples // profile.block_size


def comment_entries(raw: bytes) -> tuple[list[bytes], bool]:
    """The entries of the body of a VORBIS_COMMENT block, ``name=text`` each.

    Also whether they are all there is in it.
    """
    complete_entries: list[bytes] = []
    try:
        at = LENGTH.size + LENGTH.unpack_from(raw)[0]
        (entries,) = LENGTH.unpack_from(raw, at)
        at += LENGTH.size
        for _ in range(min(entries, len(raw) // LENGTH.size)):
            (length,) = LENGTH.unpack_from(raw, at)
            at += LENGTH.size + length
            if at > len(raw):
                return complete_entries, False
            complete_entries.append(raw[at - length : at])
    except error:
        return complete_entries, False
    return complete_entries, len(complete_entries) == entries and at == len(raw)


def _parse_comments(raw: bytes) -> dict[str, str]:
    """First value of each field, names upper-cased; whatever can be read of a damaged block."""
    comments: dict[str, str] = {}
    for entry in comment_entries(raw)[0]:
        name, equals, value = entry.decode(errors="replace").partition("=")
        if equals:
            comments.setdefault(name.upper(), value)
    return comments


def _damaged(file: ByteSource, at: int, what: str) -> DamagedFileError:
    return DamagedFileError(
        f"FLAC metadata: {what}",
        file=file.name,
        place=f"byte {at}",
        remedy="Restore the file from a copy",
    )


def stream_start(file: ByteSource) -> int:
    """Offset of the FLAC stream: after an ID3v2 tag (ID3v2.4.0 §3.1) if the file begins with one, else 0."""
    head = file.read_at(0, ID3_HEADER_SIZE)
    if len(head) < ID3_HEADER_SIZE or head[:3] != b"ID3" or max(head[6:]) > 0x7F:
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = ID3_HEADER_SIZE if head[5] & ID3_FOOTER_FLAG else 0
    return min(ID3_HEADER_SIZE + length + footer, file.size)
