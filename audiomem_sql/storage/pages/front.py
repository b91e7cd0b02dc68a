"""The front of a file to which pages were appended: STREAMINFO and the head record, changed in one write."""

from __future__ import annotations

from audiomem_sql.arrays import U8Array
from audiomem_sql.audio import STREAM_HEAD_BYTES, Profile, changed_streaminfo, pack_frames
from audiomem_sql.storage.pages.head_record import HEAD_RECORD, HeadRecord
from audiomem_sql.storage.pages.header import PAGE_HEADER

_APPLICATION = b"AUDM"
_STREAMINFO_AT = 8
_BLOCK_HEADER = 4
#: The head record behind fLaC, STREAMINFO, and the copy of a page header in the APPLICATION block.
HEAD_AT = STREAM_HEAD_BYTES + _BLOCK_HEADER + len(_APPLICATION) + PAGE_HEADER.size
FRONT_BYTES = HEAD_AT + HEAD_RECORD.size


def changed_front(front: bytes, profile: Profile, frames: int, record: HeadRecord) -> bytes:
    """The first bytes of a file of so many frames, in the state of ``record``.

    front: the first ``FRONT_BYTES`` as they are. Where another program moved or removed the APPLICATION
    block, only STREAMINFO is changed: the samples say the same.
    """
    kept = front[:_STREAMINFO_AT]
    changed = kept + changed_streaminfo(profile, frames)[_STREAMINFO_AT:]
    if has_head(front):
        changed += front[STREAM_HEAD_BYTES:HEAD_AT] + record.pack()
    return changed


def has_head(front: bytes) -> bool:
    """Whether the APPLICATION block with a head record stands where we put it."""
    at = STREAM_HEAD_BYTES + _BLOCK_HEADER
    length = len(_APPLICATION) + PAGE_HEADER.size + HEAD_RECORD.size
    return (
        len(front) >= FRONT_BYTES
        and front[STREAM_HEAD_BYTES] & 0x7F == 2
        and int.from_bytes(front[STREAM_HEAD_BYTES + 1 : at], "big") == length
        and front[at : at + len(_APPLICATION)] == _APPLICATION
    )


def packed_frames(profile: Profile, first: int, pages: U8Array) -> bytes:
    """Frames from number ``first`` on with ``pages``, uint8 (n, page_size), all numbers of one length."""
    return pack_frames(profile, first, pages).tobytes()
