"""Which files there are to read, what kind each is, and whether it has changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.ingest import contents

Kind = Literal["text", "markdown", "html", "csv", "jsonl", "parquet"]
Skip = Callable[[Path, str], None]

KINDS: dict[str, Kind] = {
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".log": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
RECORD_KINDS: frozenset[Kind] = frozenset({"csv", "jsonl", "parquet"})


@dataclass(frozen=True)
class Source:
    """A file to read.

    `name` is how the path was given, with forward slashes; `size` is in bytes on the disk.
    """

    path: Path
    name: str
    size: int
    kind: Kind


def suffix_of(path: Path) -> str:
    """The extension that decides the kind, in lower case: ``.txt`` of ``notes.TXT`` and ``notes.txt.gz``."""
    return (Path(path.stem) if contents.is_gzip(path) else path).suffix.lower()


def find_sources(paths: Iterable[str | os.PathLike[str]], *, on_skip: Skip | None = None) -> list[Source]:
    """The readable files among `paths` and, sorted by name, in the folders among them.

    Folders are searched to any depth; hidden entries are passed over, links are followed, and no file or
    folder is visited twice. A file that cannot be used (binary, unreadable, not a regular file) is reported
    as ``on_skip(path, reason)``.

    Raises `StorageError` for a path in `paths` that is missing or may not be read.
    """
    report: Skip = on_skip or (lambda path, reason: None)
    sources: list[Source] = []
    names_by_file: dict[tuple[int, int], str] = {}
    for argument in paths:
        top = Path(os.path.normpath(argument))
        name = _name(top)
        try:
            status = top.stat()
            if stat.S_ISDIR(status.st_mode):
                os.scandir(top).close()
            elif not stat.S_ISREG(status.st_mode):
                raise StorageError("this is neither a file nor a folder", file=name)
        except OSError as error:
            raise contents.storage_error(error, name) from error
        is_folder = stat.S_ISDIR(status.st_mode)
        for path in _walk(top, report) if is_folder else [top]:
            try:
                status = path.stat()
                source = _source(path, status, names_by_file, report)
            except OSError as error:
                report(path, f"cannot be read ({error.strerror or error})")
            except AudioMemError as error:
                if not is_folder and isinstance(error, StorageError):
                    raise
                report(path, error.what)
            else:
                if source is not None:
                    sources.append(source)
    return sources


def _name(path: Path) -> str:
    """`path` with forward slashes.

    Bytes that are not UTF-8 are spelled as escapes, for it is stored as text.
    """
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _walk(top: Path, report: Skip) -> Iterator[Path]:
    """Every entry below `top` that is not a folder, by name, depth first."""
    visited: set[tuple[int, int]] = set()
    waiting = [top]
    while waiting:
        path = waiting.pop()
        try:
            status = path.stat()
            if not stat.S_ISDIR(status.st_mode):
                yield path
                continue
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            names = sorted(name for name in os.listdir(path) if not name.startswith("."))
        except OSError as error:
            reason = (
                "a link to nothing" if path.is_symlink() else f"cannot be read ({error.strerror or error})"
            )
            report(path, reason)
        else:
            waiting.extend(path / name for name in reversed(names))


def _source(
    path: Path, status: os.stat_result, names_by_file: dict[tuple[int, int], str], report: Skip
) -> Source | None:
    name = _name(path)
    if not stat.S_ISREG(status.st_mode):
        report(path, "not a regular file")
        return None
    identity = (status.st_dev, status.st_ino)
    if identity in names_by_file:
        if names_by_file[identity] != name:
            report(path, f"the same file as {names_by_file[identity]}")
        return None
    names_by_file[identity] = name
    kind = KINDS.get(suffix_of(path))
    if kind == "parquet":
        if contents.is_gzip(path):
            report(path, "binary: Parquet inside gzip is not read")
            return None
    else:
        reason = contents.binary_reason(contents.head(path, name), utf8_only=kind is None)
        if reason is not None:
            report(path, reason)
            return None
    return Source(path, name, status.st_size, kind or "text")


def digest(source: Source) -> bytes:
    """The 16-byte BLAKE2b digest of the file as it lies on the disk. Raises `StorageError`."""
    try:
        with open(source.path, "rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        raise contents.storage_error(error, source.name) from error


def modified(source: Source) -> datetime:
    """When the file was last changed: UTC without a zone, to the microsecond. Raises `StorageError`."""
    try:
        nanoseconds = source.path.stat().st_mtime_ns
    except OSError as error:
        raise contents.storage_error(error, source.name) from error
    return datetime(1970, 1, 1) + timedelta(microseconds=nanoseconds // 1000)
