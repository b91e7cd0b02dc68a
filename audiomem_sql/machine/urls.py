"""Whether a place is a URL, and how messages show it: without what lets somebody in."""

from __future__ import annotations

import os
import re

from audiomem_sql.errors import named

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def is_url(where: str | bytes | os.PathLike[str]) -> bool:
    """Whether ``where`` names bytes in a store, such as ``s3://bucket/notes.flac``; ``file://`` does not."""
    name = os.fspath(where)
    if not isinstance(name, str):
        return False
    match = _URL.match(name)
    return match is not None and match[1].lower() != "file"


def shown(url: str) -> str:
    """``url`` for messages: without user, password, query and fragment, where keys and signatures are."""
    return named(url)


def without_query(url: str) -> str:
    """``url`` without query and fragment, and with the user and password that it may have."""
    return re.split(r"[?#]", url, maxsplit=1)[0]


def below(url: str, name: str) -> str:
    """The URL of what is called ``name`` in the folder at ``url``, whose query it keeps."""
    path = without_query(url)
    return f"{path.rstrip('/')}/{name}{url[len(path) :]}"


def is_playlist(where: str | os.PathLike[str]) -> bool:
    """Whether a path or a URL names a playlist, such as ``notes.m3u8``: a table that is a stream."""
    return file_name(where).lower().endswith(".m3u8")


def file_name(where: str | os.PathLike[str]) -> str:
    """The last part of a path or of the path of a URL, such as ``notes.flac``."""
    name = os.fspath(where)
    if is_url(name):
        return shown(name).rstrip("/").rpartition("/")[2]
    return os.path.basename(os.fsdecode(name).rstrip(os.sep))
