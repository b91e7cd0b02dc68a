"""Opens the file of a table, of which all may have arrived, or only a part."""

from __future__ import annotations

import os

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError, TruncatedFileError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.urls import is_playlist, shown
from audiomem_sql.storage.segment import TableFile, open_table_file


def open_base(
    where: str | ByteSource, cache: BlockCache, before: TableFile | None = None, *, partial: bool = False
) -> TableFile:
    """The file at a path, or in a source, which is taken over; see ``open_table_file``.

    TruncatedFileError for one that is read in part where not even the catalog at its front has arrived, or
    where newer segments than those that have are told.
    """
    if not partial:
        return open_table_file(where, cache, before)
    name = where if isinstance(where, str) else where.name
    try:
        # What was open has fewer rows than there are by now: nothing of it is used again.
        file = open_table_file(where, cache, partial=True)
    except (DamagedFileError, NotAudioMemoryError) as error:
        raise TruncatedFileError(
            f"the front of the table has not arrived, or cannot be read: {error.what.rstrip('.')}",
            file=name,
            remedy="Wait for more of it. If all of it is there, open it without partial.",
        ) from None
    front = file.front
    if front is not None and front.sealed > file.stop:
        file.close()
        raise TruncatedFileError(
            "segments behind those that have arrived have newer commits",
            file=name,
            remedy="Wait until all of it has arrived, or stream it with `audiomem stream`.",
        )
    return file


def only_read(where: str | os.PathLike[str]) -> UnsupportedError:
    """The error of a write to a URL, or to a playlist."""
    if is_playlist(where):
        return UnsupportedError(
            "a stream is only read",
            file=shown(os.fspath(where)),
            remedy="Copy it with `audiomem backup`, write to the copy, and stream that.",
        )
    return UnsupportedError(
        "a table that is one object in a store, or on a web server, is only read",
        file=shown(os.fspath(where)),
        remedy="`audiomem backup` copies it to a table that can be written to: a local file, or another URL "
        "of a bucket, s3://bucket/new.flac.",
    )
