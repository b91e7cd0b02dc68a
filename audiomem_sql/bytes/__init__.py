"""Where bytes are: files on a local disk. Nothing here knows what the bytes mean."""

from __future__ import annotations

import os

from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.bytes.source import ByteSource, ByteStream

__all__ = ["ByteSource", "ByteStream", "LocalFile", "open_source"]


def open_source(where: str | os.PathLike[str] | ByteSource) -> ByteSource:
    """The bytes at ``where``: a path, or a source, which is taken as it is. Raises as ``LocalFile`` does."""
    return LocalFile(where) if isinstance(where, (str, os.PathLike)) else where
