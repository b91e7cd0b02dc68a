"""Puts a picture into the metadata of a table's file: what a player shows while it plays."""

from __future__ import annotations

import contextlib
import os

from audiomem_sql.audio import Picture, with_cover
from audiomem_sql.bytes import open_source
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError
from audiomem_sql.machine.durable import flush, storage_error, temporary_file

_AT_ONCE = 4 << 20


def covered(path: str, cover: Picture | None) -> str:
    """The name of a copy of the FLAC file at ``path`` that has ``cover`` as its front cover, or none.

    It is on the disk.

    Frames are copied as they are, damage included; a SEEKTABLE counts from the first frame, and stays true.
    DamagedFileError where the metadata does not say where it ends. After any error nothing is left behind.
    """
    file = open_source(path)
    temporary = ""
    try:
        try:
            head, start = with_cover(file, cover)
        except (DamagedFileError, NotAudioMemoryError) as error:
            raise DamagedFileError(
                f"the metadata is damaged: {error.what}",
                file=path,
                place=error.place,
                remedy="`audiomem repair` or `audiomem vacuum` writes it anew.",
            ) from error
        handle, temporary = temporary_file(path)
        with os.fdopen(handle, "w+b") as sink:
            sink.write(head)
            for at in range(start, file.size, _AT_ONCE):
                sink.write(file.read_at(at, _AT_ONCE))
            sink.flush()
            flush(sink.fileno())
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise
    finally:
        file.close()
    return temporary
