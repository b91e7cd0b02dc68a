"""Comments and pictures that others put into a file, which we keep when it is written again.

Source: RFC 9639 §8.6 (Vorbis comments) and §8.8 (PICTURE). No data depends on any of it, and it has no
checksum: what does not fit together is left out, and no file is less of a table because of it.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from struct import Struct, error

from audiomem_sql.audio.flac.metadata import (
    MAX_BLOCKS,
    PADDING,
    PICTURE,
    VORBIS_COMMENT,
    blocks_of,
    comment_entries,
    is_comment_name,
    join_blocks,
    stream_start,
)
from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.errors import DamagedFileError, LimitError, NotAudioMemoryError, StorageError

FRONT_COVER = 3
MAX_COMMENTS_BYTES = 1 << 20
MAX_PICTURES_BYTES = 64 << 20
"""What is kept of each, all together: it is held in memory while a file is written."""
MAX_PICTURES = MAX_BLOCKS // 2
"""So that with the blocks that we write there are not more than a reader takes."""

_NUMBER = Struct(">I")
_SHAPE = Struct(">IIIII")
"""Width and height in pixels, bits a pixel, colours of a palette (0 for none), bytes of the picture."""


@dataclass(frozen=True)
class Picture:
    """A picture, as the bytes of a file of type ``mime``.

    depth: bits a pixel. kind: as in ID3v2, 3 for the front cover.
    """

    data: bytes
    mime: str
    width: int
    height: int
    depth: int = 24
    description: str = ""
    kind: int = FRONT_COVER

    def to_bytes(self) -> bytes:
        """The body of a PICTURE block (§8.8)."""
        mime, description = self.mime.encode(), self.description.encode()
        return b"".join(
            (
                _NUMBER.pack(self.kind),
                _NUMBER.pack(len(mime)) + mime,
                _NUMBER.pack(len(description)) + description,
                _SHAPE.pack(self.width, self.height, self.depth, 0, len(self.data)),
                self.data,
            )
        )


@dataclass(frozen=True)
class Tags:
    """Comments, name and text, and bodies of PICTURE blocks, in the order of the file."""

    comments: tuple[tuple[str, str], ...] = ()
    pictures: tuple[bytes, ...] = ()

    def has(self, name: str) -> bool:
        """Whether there is a comment of this name."""
        return any(own_name.upper() == name for own_name, _ in self.comments)


NO_TAGS = Tags()


def read_tags(path: str | os.PathLike[str]) -> Tags:
    """The tags of a FLAC file, ours among them; as far as they are whole.

    ``NO_TAGS`` where there is no such file.
    """
    comments: tuple[tuple[str, str], ...] = ()
    pictures: list[bytes] = []
    try:
        file = open_source(path)
    except (StorageError, NotAudioMemoryError):
        return NO_TAGS
    try:
        room = MAX_PICTURES_BYTES
        for kind, at, length in blocks_of(file, stream_start(file)):
            if kind == VORBIS_COMMENT and not comments and length <= MAX_COMMENTS_BYTES:
                comments = _comments(file.read_at(at, length))
            elif kind == PICTURE and length <= room and len(pictures) < MAX_PICTURES:
                if not is_picture(body := file.read_at(at, length)):
                    continue
                pictures.append(body)
                room -= length
    except (DamagedFileError, NotAudioMemoryError, StorageError):
        pass  # what came before the damage is kept
    finally:
        file.close()
    return Tags(comments, tuple(pictures))


def has_blank_padding(path: str | os.PathLike[str]) -> bool:
    """Whether all bytes of the PADDING blocks are zeros, as FLAC demands. Errors are those of opening."""
    with closing(open_source(path)) as file:
        try:
            return not any(
                any(file.read_at(at, length))
                for kind, at, length in blocks_of(file, stream_start(file))
                if kind == PADDING
            )
        except (DamagedFileError, NotAudioMemoryError):
            return False


def _comments(raw: bytes) -> tuple[tuple[str, str], ...]:
    entries, complete = comment_entries(raw)
    if not complete:  # a length is damaged: where the texts begin and end is a guess
        return ()
    comments = []
    for entry in entries:
        name, equals, text = entry.partition(b"=")
        try:
            if equals and is_comment_name(name.decode("ascii")):
                comments.append((name.decode("ascii"), text.decode()))
        except UnicodeDecodeError:
            continue
    return tuple(comments)


def is_picture(body: bytes) -> bool:
    """Whether the lengths in the body of a PICTURE block fit together, and its texts are texts."""
    try:
        start = 2 * _NUMBER.size
        mime_end = start + _NUMBER.unpack_from(body, _NUMBER.size)[0]
        end = mime_end + _NUMBER.size + _NUMBER.unpack_from(body, mime_end)[0]
        body[start:mime_end].decode("ascii")
        body[mime_end + _NUMBER.size : end].decode()
        return bool(_SHAPE.unpack_from(body, end)[-1] == len(body) - end - _SHAPE.size)
    except (error, UnicodeDecodeError):
        return False


def with_cover(file: ByteSource, cover: Picture | None) -> tuple[bytes, int]:
    """The metadata with which ``cover`` is the front cover of ``file``, and where its frames begin now.

    None: so that it has no front cover. All other blocks stay as they are, and what stands before the stream.
    Raises ``DamagedFileError`` and ``NotAudioMemoryError`` where the blocks cannot be told, ``LimitError``
    for a cover that is too large.
    """
    start = at = stream_start(file)
    blocks: list[tuple[int, bytes]] = []
    for kind, at, length in blocks_of(file, start):
        body = file.read_at(at, length)
        if kind != PICTURE or body[: _NUMBER.size] != _NUMBER.pack(FRONT_COVER):
            blocks.append((kind, body))
        at += length
    if cover is not None:
        block_index = next((i for i, (kind, _) in enumerate(blocks) if kind == PADDING), len(blocks))
        blocks.insert(block_index, (PICTURE, cover.to_bytes()))
    if len(blocks) > MAX_BLOCKS:
        raise LimitError(
            f"the file would have {len(blocks):,} metadata blocks, the limit is {MAX_BLOCKS:,}",
            file=file.name,
            remedy="Remove some of its pictures.",
        )
    return file.read_at(0, start) + join_blocks(blocks), at
