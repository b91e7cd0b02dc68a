"""What a source is: a file by its resolved path, a page by its URL, a given text by its name.

The name of a file is its resolved path: relative to the folder that the table lies in where it is below that,
so that folder and table can be moved together, otherwise absolute. It stands in the column ``source`` and in
the table's list of sources, whose digests of 16 bytes are: 12 of what the source said and of how it was read,
and 4 that say what it is. Digests of versions before have no such end; their names were as somebody typed
them.

Notes in the list, which are no sources: the folders that names of files were relative to (a table that was
moved alone still knows its files), and what servers said of pages (`PageNote`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audiomem_sql.machine.urls import is_url
from audiomem_sql.versions import FILE, GIVEN, NOTE, PAGE, SAID_BYTES, is_old, without_removed

__all__ = [
    "FILE",
    "GIVEN",
    "MOST_FOLDERS",
    "NOT_KNOWN",
    "PAGE",
    "PageNote",
    "Places",
    "as_text",
    "file_name",
    "folder_of",
    "is_file",
    "is_old",
    "new_tags",
    "on_disk",
    "page_notes",
    "said",
]

_FOLDER = f"{NOTE}folder{NOTE}"
_PAGE = f"{NOTE}page{NOTE}"
#: What is `said` by sources that nothing is known of: none, and those whose rows were restored.
NOT_KNOWN = (b"", bytes(SAID_BYTES))
_ESCAPE = re.compile(r"\\x([89a-f][0-9a-f])")
#: Folders that names of files were relative to, which are looked at.
MOST_FOLDERS = 16


def said(digest: bytes) -> bytes:
    """The part of a digest that tells what the source said and how it was read."""
    return digest[:SAID_BYTES]


def is_file(digest: bytes) -> bool:
    """Whether a digest is that of a file whose name is its resolved path."""
    return digest[SAID_BYTES:] == FILE


def as_text(path: str | os.PathLike[str]) -> str:
    """A path with forward slashes, as it is stored: bytes that are not UTF-8 are spelled as escapes."""
    return os.fsencode(Path(path).as_posix()).decode("utf-8", "backslashreplace")


def on_disk(text: str) -> list[str]:
    """The paths that are stored as ``text``: itself, and where it has escapes what they may stand for."""
    if "\\x" not in text:
        return [text]
    return [text, _ESCAPE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), text)]


def folder_of(table_path: str | os.PathLike[str]) -> str | None:
    """The folder that names of files are relative to, resolved; None for a table in an object store."""
    return None if is_url(str(table_path)) else os.path.dirname(os.path.realpath(table_path))


def file_name(path: str | os.PathLike[str], folder: str | None) -> str:
    """The name of the file at ``path``, which is resolved, in a table of ``folder``."""
    resolved = os.path.realpath(path)
    if folder is not None and resolved.startswith(os.path.join(folder, "")):
        resolved = os.path.relpath(resolved, folder)
    return as_text(resolved)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of a table are: the folder that it is in, and those that it was in before."""

    folder: str | None
    earlier: tuple[str, ...] = ()

    @classmethod
    def of(cls, table_path: str | os.PathLike[str], entries: Mapping[str, bytes]) -> Places:
        """Those of a table with that list of sources."""
        folder = folder_of(table_path)
        noted = [name.removeprefix(_FOLDER) for name in entries if name.startswith(_FOLDER)]
        return cls(folder, tuple(each for each in noted if each != folder)[-MOST_FOLDERS:])

    def path_of(self, name: str) -> str:
        """Where the file called ``name`` is, or was last: an absolute path."""
        paths = self.paths_of(name)
        return next((path for path in paths if os.path.lexists(path)), paths[0])

    def paths_of(self, name: str) -> list[str]:
        """Where a file of that name may be, the likeliest first."""
        if os.path.isabs(name):
            return [name]
        folders = [folder for folder in (self.folder, *self.earlier) if folder is not None]
        return [os.path.normpath(os.path.join(folder, name)) for folder in folders] or [os.path.abspath(name)]

    def earlier_names(self, path: str) -> Iterable[str]:
        """The names that the file at ``path``, which is resolved, had while the table was elsewhere."""
        for folder in self.earlier:
            name = file_name(path, folder)
            if not os.path.isabs(name):
                yield name
        if self.folder is not None:
            yield as_text(path)

    def note(self) -> str | None:
        """The entry that remembers the folder."""
        return None if self.folder is None else _FOLDER + self.folder


@dataclass(frozen=True, slots=True)
class PageNote:
    """What a server said of a page when it was read: its kind, and what tells whether it has changed."""

    kind: str
    etag: str = ""
    modified: str = ""

    def entry(self, url: str) -> str:
        """The entry that remembers it."""
        return _PAGE + NOTE.join((url, self.kind, self.etag, self.modified))


def page_notes(entries: Mapping[str, bytes]) -> dict[str, tuple[PageNote, bytes]]:
    """What is remembered of each page by its URL, with the digest of how it was read."""
    notes: dict[str, tuple[PageNote, bytes]] = {}
    for name, how in entries.items():
        parts = name.removeprefix(_PAGE).split(NOTE) if name.startswith(_PAGE) else ()
        if len(parts) == 4:
            notes[parts[0]] = PageNote(*parts[1:]), how
    return notes


def new_tags(
    entries: Mapping[str, bytes], before: Mapping[str, tuple[PageNote, bytes]]
) -> Mapping[str, bytes]:
    """``entries`` that remember a page, if they have a new ETag for it; nothing otherwise."""
    for url, (note, _) in page_notes(without_removed(entries)).items():
        if note.etag and (url not in before or before[url][0].etag != note.etag):
            return entries
    return {}
