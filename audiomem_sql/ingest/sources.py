"""Which files there are to read, what kind each is, and whether it has changed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.ingest import contents, identity
from audiomem_sql.ingest.documents.registry import reader_of, readers, recognised
from audiomem_sql.ingest.formats import is_table
from audiomem_sql.ingest.walking import Entry, Rules, Skip, Walked, walk

Kind = str

#: Files of rows, which are not documents, by their suffix.
RECORD_SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
#: The kinds of such files; "json" is decided by what is in the file, see `json_array.has_rows`.
RECORD_KINDS: frozenset[Kind] = frozenset((*RECORD_SUFFIXES.values(), "json"))
#: Kinds of text that need no file of their own, by a suffix that says so.
KINDS: dict[str, Kind] = {
    ".txt": "text",
    ".md": "markdown",
    ".html": "html",
    **RECORD_SUFFIXES,
}

#: Byte order marks, half characters and white space.
_BEFORE_JSON = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"


def kind_version(kind: Kind) -> tuple[str | int, ...]:
    """What is remembered of how a file was read: its kind, and the reader's version from 2 on."""
    return (kind,) if kind in RECORD_KINDS else readers()[kind].how()


@dataclass(frozen=True)
class Source:
    """A file to read.

    `name` is what it is called in the table (`identity`); `size` is in bytes on the disk. `origin`: whether
    the name is that of a file, of a page, or was given. `shown`: how messages name it, as it was typed.
    """

    path: Path
    name: str
    size: int
    kind: Kind
    origin: bytes = identity.GIVEN
    shown: str = ""

    @property
    def label(self) -> str:
        """How messages name it."""
        return self.shown or self.name


@dataclass(slots=True)
class Found:
    """What there is in files and folders: the ``sources``, and what was seen on the way.

    ``present``: resolved paths of files that are there, also of those that cannot be used. ``tops``: resolved
    folders that were named. ``walked``: what was seen below them.
    """

    sources: list[Source] = field(default_factory=list)
    present: set[str] = field(default_factory=set)
    tops: list[str] = field(default_factory=list)
    walked: Walked = field(default_factory=Walked)

    def is_below(self, path: str) -> bool:
        """Whether ``path``, resolved, is in one of the folders that were named."""
        return any(path.startswith(os.path.join(top, "")) for top in self.tops)

    def linked(self) -> list[str]:
        """The folders that links led to from those that were named, and that are outside of them."""
        listed = self.walked.listed
        return [
            each
            for each in sorted(listed)
            if os.path.dirname(each) not in listed and each not in self.tops and not self.is_below(each)
        ]

    def is_gone(self, path: str) -> bool:
        """Whether a file that was at ``path``, resolved, would have been found, and is no longer there.

        So it is where its folder was read and does not have it, or an ignore file names it by now. What other
        rules leave out is still there.
        """
        if path in self.present:
            return False
        walked = self.walked
        at, ignored = path, False
        while at not in walked.listed:
            ignored = ignored or at in walked.ignored
            if at in walked.unlisted or at == os.path.dirname(at):
                return False
            at = os.path.dirname(at)
        return ignored or not is_there(path)


def is_there(path: str) -> bool:
    """Whether there is a file at a resolved path, spelled as it is stored, and not on another way."""
    for spelled in identity.on_disk(path):
        try:
            if not stat.S_ISDIR(os.lstat(spelled).st_mode) and os.path.realpath(spelled) == spelled:
                return True
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                return True
    return False


def suffix_of(path: Path) -> str:
    """The extension that decides the kind, in lower case: ``.txt`` of ``notes.TXT`` and ``notes.txt.gz``."""
    return (Path(path.stem) if contents.is_gzip(path) else path).suffix.lower()


def find_sources(paths: Iterable[str | os.PathLike[str]], *, on_skip: Skip | None = None) -> list[Source]:
    """The readable files among `paths` and in the folders among them, as `find`, named from here."""
    return find(paths, os.getcwd(), on_skip=on_skip).sources


def find(
    paths: Iterable[str | os.PathLike[str]],
    folder: str | None,
    rules: Rules = Rules(),  # noqa: B008  # it is frozen
    *,
    on_skip: Skip | None = None,
    on_fault: Skip | None = None,
    on_found: Callable[[int], object] | None = None,
) -> Found:
    """The readable files among `paths` and, sorted by name, in the folders among them.

    Folders are searched to any depth; what `rules` leave out is passed over, links are followed, and no file
    or folder is visited twice. `folder`: that of the table, see `identity`. A file that cannot be used
    (binary, not a regular file) is reported as ``on_skip(path, reason)``; one that could be, but cannot be
    read, as ``on_fault(path, reason)``, by default the same. `on_found`: called with the files found so far.

    Raises `StorageError` for a path in `paths` that is missing or may not be read.
    """
    skip: Skip = on_skip or (lambda path, reason: None)
    finder = _Finder(folder, rules, skip, on_fault or skip, on_found or (lambda count: None))
    for argument in paths:
        finder.look(Path(os.path.normpath(argument)))
    return finder.found


class _Finder:
    def __init__(
        self, folder: str | None, rules: Rules, skip: Skip, fault: Skip, on_found: Callable[[int], object]
    ) -> None:
        self.found = Found()
        self._folder = folder
        self._rules = rules
        self._skip, self._fault = skip, fault
        self._on_found = on_found
        self._labels: dict[tuple[int, int], str] = {}

    def look(self, top: Path) -> None:
        """Find what is at ``top``."""
        label = identity.as_text(top)
        try:
            status = top.stat()
            if stat.S_ISDIR(status.st_mode):
                os.scandir(top).close()
            elif not stat.S_ISREG(status.st_mode):
                raise StorageError("this is neither a file nor a folder", file=label)
        except OSError as error:
            raise contents.storage_error(error, label) from error
        resolved = os.path.realpath(top)
        if not stat.S_ISDIR(status.st_mode):
            self._add(Entry(top, resolved, status), named=True)
            return
        self.found.tops.append(identity.as_text(resolved))
        for entry in walk(top, self._rules, self.found.walked, self._skip, self._fault):
            self._add(entry, named=False)

    def _add(self, entry: Entry, *, named: bool) -> None:
        self.found.present.add(identity.as_text(entry.resolved))
        self._on_found(len(self.found.present))
        is_known = has_known_suffix(entry.path)
        try:
            source = self._source(entry)
        except OSError as error:
            self._fault(entry.path, f"cannot be read ({error.strerror or error})")
        except AudioMemError as error:
            if named and isinstance(error, StorageError):
                raise
            report = self._fault if is_known or isinstance(error, StorageError) else self._skip
            report(entry.path, error.what)
        else:
            if source is not None:
                self.found.sources.append(source)

    def _source(self, entry: Entry) -> Source | None:
        path, status = entry.path, entry.status
        label = identity.as_text(path)
        if not stat.S_ISREG(status.st_mode):
            self._skip(path, "not a regular file")
            return None
        inode = (status.st_dev, status.st_ino)
        if inode in self._labels:
            if self._labels[inode] != label:
                self._skip(path, f"the same file as {self._labels[inode]}")
            return None
        self._labels[inode] = label
        name = identity.file_name(entry.resolved, self._folder)
        if _is_table(path, label):
            self._skip(path, "a table in a FLAC file, not music")
            return None
        log_of = str(path).removesuffix("-wal")
        if log_of != str(path) and _is_table(Path(log_of), label):
            return None
        kind, reason = kind_of(path, label)
        if reason is not None:
            report = self._fault if has_known_suffix(path) else self._skip
            report(path, reason)
        return None if kind is None else Source(path, name, status.st_size, kind, identity.FILE, label)


def _is_table(path: Path, label: str) -> bool:
    """Whether there is a table of this package in a FLAC file at ``path``."""
    return path.suffix.lower() == ".flac" and path.is_file() and is_table(contents.head(path, label))


def has_known_suffix(path: Path) -> bool:
    """Whether the name of a file says of what kind it is."""
    suffix = suffix_of(path)
    return suffix in RECORD_SUFFIXES or reader_of(path.name, suffix, b"") is not None


def kind_of(path: Path, label: str) -> tuple[Kind | None, str | None]:
    """The kind of the file at ``path``, or None and the reason why it is not read.

    Raises what `contents.head` does; ``label`` names the file then.
    """
    suffix = suffix_of(path)
    kind = RECORD_SUFFIXES.get(suffix)
    if kind == "parquet":
        if contents.is_gzip(path):
            return None, "binary: Parquet inside gzip is not read"
        return kind, None
    start = contents.head(path, label)
    reader = recognised(path.name, suffix, start) if kind else reader_of(path.name, suffix, start)
    if reader is not None:
        kind = reader.kind
        if not reader.is_text:
            return kind, None
    elif kind is None and suffix == ".json" and start.lstrip(_BEFORE_JSON)[:1] in (b"[", b"{"):
        kind = "json"
    reason = contents.binary_reason(start, utf8_only=kind is None)
    if reason is not None:
        return None, reason
    return kind or "text", None


def digest(source: Source) -> bytes:
    """The 16-byte BLAKE2b digest of the file as it lies on the disk. Raises `StorageError`."""
    try:
        with open(source.path, "rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        raise contents.storage_error(error, source.label) from error


def modified(source: Source) -> datetime:
    """When the file was last changed: UTC without a zone, to the microsecond. Raises `StorageError`."""
    try:
        nanoseconds = source.path.stat().st_mtime_ns
    except OSError as error:
        raise contents.storage_error(error, source.label) from error
    return datetime(1970, 1, 1) + timedelta(microseconds=nanoseconds // 1000)
