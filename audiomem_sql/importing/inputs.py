"""Which files are imported, of which kind they are, and whether they stay as they are meanwhile."""

from __future__ import annotations

import contextlib
import glob
import gzip
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

from audiomem_sql.errors import DamagedFileError, OptionError, StorageError, UnsupportedError, did_you_mean
from audiomem_sql.importing.kinds import KINDS, PACKED, PACKINGS, SUFFIXES, kind_of_name
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.urls import is_url

STDIN = "-"
#: Kinds of which several files are read as one.
MANY = ("csv", "tsv", "json", "jsonl", "parquet")
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """One file: its path, how messages call it, and its state when the import began."""

    path: str
    label: str
    state: tuple[int, int, int]

    @classmethod
    def at(cls, path: str, label: str | None = None) -> Input:
        """The file at ``path``. StorageError if there is none that can be read."""
        return cls(path, label or path, _state(path, label or path))

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.state[1]

    def check_unchanged(self) -> None:
        """StorageError if the file is another one than when the import began."""
        if _state(self.path, self.label) != self.state:
            raise StorageError(
                "the file changed while it was read",
                file=self.label,
                remedy="Import it again when nobody writes to it; nothing was imported.",
            )


def _state(path: str, label: str) -> tuple[int, int, int]:
    try:
        with open(path, "rb") as stream:
            status = os.fstat(stream.fileno())
    except OSError as error:
        raise storage_error(error, label) from error
    return status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files of one import, all of one kind, in the order in which they are read."""

    kind: str
    files: tuple[Input, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files)

    @property
    def label(self) -> str:
        """How messages call them together."""
        first = self.files[0].label
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more"

    @property
    def suffix(self) -> str:
        """What the name of a file with lines of theirs ends in."""
        return {"json": ".jsonl", "sqlite": ".jsonl", "xlsx": ".tsv"}.get(self.kind, f".{self.kind}")

    def check_unchanged(self) -> None:
        """StorageError if one of the files changed since the import began."""
        for each in self.files:
            each.check_unchanged()


@contextlib.contextmanager
def inputs_of(
    sources: Sequence[str], kind: str | None, stdin: IO[bytes] | None, told: Callable[[int], object] | None
) -> Iterator[Inputs]:
    """The files that are named: paths, folders, globs, or ``-`` for ``stdin``, which is a file in the block.

    kind: of all of them, by default as their names say. told: called with the bytes of stdin that came.
    OptionError for files of different kinds, StorageError where nothing is.
    """
    if kind is not None and kind not in KINDS:
        raise OptionError(
            f"there is no format {kind}", remedy=f"{did_you_mean(kind, KINDS)}They are {', '.join(KINDS)}."
        )
    if STDIN in sources:
        if len(sources) > 1:
            raise OptionError("stdin is read alone", remedy="Name files, or -.")
        if kind is None:
            raise OptionError("the format of stdin is not said", remedy="Say it: --format csv.")
        with _spooled(stdin or sys.stdin.buffer, told) as path:
            yield Inputs(kind, (Input.at(path, "stdin"),))
        return
    paths = [path for source in sources for path in _paths(source)]
    chosen = kind or _common_kind(paths)
    if len(paths) > 1 and chosen not in MANY:
        raise OptionError(
            f"there are {len(paths)} files", file=paths[0], remedy=f"One {chosen} file is imported at a time."
        )
    yield Inputs(chosen, tuple(Input.at(path) for path in paths))


def _paths(source: str) -> list[str]:
    if is_url(source):
        raise OptionError("files are imported, not URLs", file=source, remedy="Download it first.")
    if os.path.isdir(source):
        found = sorted(
            os.path.join(top, name)
            for top, folders, names in os.walk(source)
            for name in names
            if not name.startswith(".") and _kind(name) and not _is_hidden(top, source)
        )
        if not found:
            raise StorageError("no file in it can be imported", file=source, remedy=_known())
        return found
    if not os.path.lexists(source) and glob.has_magic(source):
        found = sorted(path for path in glob.glob(source, recursive=True) if os.path.isfile(path))
        if not found:
            raise StorageError("no file is called so", file=source, remedy="Check the pattern.")
        return found
    return [source]


def _is_hidden(folder: str, top: str) -> bool:
    return any(part.startswith(".") and part != "." for part in os.path.relpath(folder, top).split(os.sep))


def _kind(path: str) -> str | None:
    kind, packing = kind_of_name(path)
    return kind if packing is None or kind in PACKED else None


def _known() -> str:
    return f"Known are {', '.join(SUFFIXES)}, texts also with {' or '.join(PACKINGS)}."


def _common_kind(paths: Sequence[str]) -> str:
    kinds: dict[str, str] = {}
    for path in paths:
        kind = _kind(path)
        if kind is None:
            if not os.path.exists(path):
                raise StorageError("there is no such file", file=path, remedy="Check the path.")
            raise UnsupportedError(
                "the name does not say what is in the file", file=path, remedy=f"Say it: --format. {_known()}"
            )
        kinds.setdefault(_of_database(path) or kind, path)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise OptionError(
            f"{first} is {one} and {second} is {other}", remedy="Import files of one kind at a time."
        )
    return next(iter(kinds))


def _of_database(path: str) -> str | None:
    """The kind that the first bytes of a database say, which is often called otherwise."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(16)
    except OSError:
        return None
    if start == b"SQLite format 3\0":
        return "sqlite"
    return "duckdb" if start[8:12] == b"DUCK" else None


@contextlib.contextmanager
def _spooled(stream: IO[bytes], told: Callable[[int], object] | None) -> Iterator[str]:
    """A file with all of a stream; it is gone after the block."""
    folder = tempfile.mkdtemp(prefix="audiomem-import-")
    try:
        path = os.path.join(folder, "stdin")
        count = 0
        with open(path, "wb") as file:
            while step := stream.read(_STEP):
                file.write(step)
                count += len(step)
                if told is not None:
                    told(count)
        yield path
    except OSError as error:
        raise storage_error(error, "stdin") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def opened(file: Input) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """The content of a file, unpacked, and what tells how many bytes of the file are read.

    DamagedFileError where it cannot be unpacked, StorageError where it cannot be read.
    """
    try:
        with open(file.path, "rb") as raw, contextlib.ExitStack() as stack:
            start = raw.read(4)
            raw.seek(0)
            content: Any = raw
            if start[:2] == b"\x1f\x8b":
                content = stack.enter_context(gzip.GzipFile(fileobj=raw))
            elif start == b"\x28\xb5\x2f\xfd":
                import zstandard

                unpacking = zstandard.ZstdDecompressor()
                content = stack.enter_context(unpacking.stream_reader(raw, read_across_frames=True))
            yield cast(IO[bytes], content), raw.tell
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(file, error) from error
    except OSError as error:
        raise storage_error(error, file.label) from error
    except Exception as error:
        if type(error).__name__ == "ZstdError":
            raise _damaged(file, error) from error
        raise


def _damaged(file: Input, error: Exception) -> DamagedFileError:
    return DamagedFileError(
        f"the file cannot be unpacked ({error})", file=file.label, remedy="Compress it again from its source."
    )
