"""Every error that leaves this package.

    AudioMemError
    ├── NotAudioMemoryError    not FLAC at all, or FLAC that is music
    ├── FormatVersionError     written by a newer version of this package
    ├── DamagedFileError       bytes that do not match their checksums, or that contradict each other
    │   └── TruncatedFileError     pages that should be there are beyond the end of the file
    ├── SchemaError            column definitions that cannot be understood, or that do not fit the file
    │   └── SchemaChangedError     (vtab/codes.py) the columns changed while a statement knew the old ones
    ├── DataTypeError          a value that does not fit its column
    ├── ConstraintError        NOT NULL, UNIQUE, PRIMARY KEY or CHECK would be violated
    ├── LimitError             a value, a row or a table larger than the format allows
    ├── OptionError            an option, profile or command that does not exist, or a value it cannot take
    ├── QueryError             a filter that cannot be understood
    ├── StorageError           the operating system refused: path, permission, space
    ├── InterruptError         a statement was interrupted, and undone
    ├── BusyError              another process is writing and the time to wait is over
    ├── UnsupportedError       part of the surface that this version does not have
    ├── MissingExtraError      an optional package is not installed
    └── Error                  (dbapi.py) the names that PEP 249 gives to all of these

    UserWarning
    ├── DamageWarning          damage that leaves the rest of a table readable
    └── UpkeepWarning          upkeep after a commit failed; the commit is durable

A message says what is wrong, names the file and the place (page, cell, row, column), and says what to do
next. The code that finds a fault often knows neither file nor place. Its caller does, and fills them in with
``error.at()``, or ``with InFile(path):``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

#: A URL: scheme and host without user and password, the path, and behind it the query. What stands before the
#: host in ``abfss://container@account…/key`` is no user, but the container.
_URL = re.compile(
    r"(abfss?://[^:/?#@]+@|[a-z][a-z0-9+.-]+://)(?:[^/?#]*@)?([^?#]*).*", re.DOTALL | re.IGNORECASE
)


def named(file: str | os.PathLike[str]) -> str:
    """A path or a URL for messages: of a URL not what lets somebody in, user, password and query."""
    name = os.fspath(file)
    match = _URL.fullmatch(name) if isinstance(name, str) else None
    return f"{match[1]}{match[2]}" if match else name


class AudioMemError(Exception):
    """Root of the tree. ``str(error)`` reads ``file: place: what. remedy``.

    Parameters
    ----------
    what: the fault, one sentence without a full stop.
    file: the file concerned.
    place: page, cell, row or column inside it.
    remedy: what the reader of the message can do, one sentence.
    """

    def __init__(
        self,
        what: str,
        *,
        file: str | os.PathLike[str] | None = None,
        place: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.file = named(file) if file is not None else None
        self.place = place
        self.remedy = remedy
        super().__init__(self._message())

    def at(
        self,
        *,
        file: str | os.PathLike[str] | None = None,
        place: str | None = None,
        remedy: str | None = None,
    ) -> Self:
        """Fill in what the error does not say yet; the error itself.

        What is set stays. An error that names its file is complete, because a place is one inside that file.
        Kind, cause and traceback stay as well, so an ``except`` clause ends with a bare ``raise``::

            except DamagedFileError as error:
                error.at(file=path, place="catalog")
                raise
        """
        if self.file is None:
            self.file = named(file) if file is not None else None
            self.place = self.place or place
            self.remedy = self.remedy or remedy
            self.args = (self._message(),)
        return self

    def _message(self) -> str:
        head = ": ".join(part for part in (self.file, self.place, self.what) if part)
        return f"{head}. {self.remedy}" if self.remedy else head

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes with all that they say."""
        return _rebuilt, (type(self), self.what, self.file, self.place, self.remedy)


def _rebuilt(
    kind: type[AudioMemError], what: str, file: str | None, place: str | None, remedy: str | None
) -> AudioMemError:
    return kind(what, file=file, place=place, remedy=remedy)


class InFile:
    """``with InFile(path):`` an error of the body that names no file names this one.

    A class, because a generator would cost every row a microsecond.
    """

    __slots__ = ("_file",)

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, AudioMemError):
            error.at(file=self._file)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """``"Did you mean year? "`` for a name that is like one of ``known``; nothing for one that is like none.

    It goes in front of a remedy.
    """
    by_folded = {each.casefold(): each for each in known}
    import difflib

    like = difflib.get_close_matches(str(name).casefold(), by_folded, 1)
    return f"Did you mean {by_folded[like[0]]}? " if like else ""


class NotAudioMemoryError(AudioMemError):
    """The file is not FLAC, or is FLAC without a table in it."""


class FormatVersionError(AudioMemError):
    """The file needs a newer version of this package."""


class DamagedFileError(AudioMemError):
    """Bytes that do not match their checksums, or that contradict each other."""


class DamageWarning(UserWarning):
    """Damage that does not keep the table from being read; said once in a process."""


class UpkeepWarning(UserWarning):
    """Upkeep that follows a commit, or closing, failed. The commit is durable, the upkeep is tried again."""


class TruncatedFileError(DamagedFileError):
    """Pages that should be there are beyond the end of the file."""


class SchemaError(AudioMemError):
    """Column definitions that cannot be understood, or that do not fit the file."""


class DataTypeError(AudioMemError):
    """A value that does not fit its column; the message names the column."""


class ConstraintError(AudioMemError):
    """NOT NULL, UNIQUE, PRIMARY KEY or CHECK would be violated.

    The message names the columns, or the CHECK.
    """


class LimitError(AudioMemError):
    """A value, a row or a table larger than the format allows."""


class OptionError(AudioMemError):
    """An option, profile or command that does not exist, or a value that it cannot take."""


class QueryError(AudioMemError):
    """A filter that cannot be understood, or that names a column that is not there."""


class InterruptError(AudioMemError):
    """A statement was interrupted, as by sqlite3_interrupt() or a progress handler."""


class StorageError(AudioMemError):
    """The operating system refused: a path, a permission, space on the disk."""


class BusyError(AudioMemError):
    """Another process is writing, and the time to wait is over."""


class UnsupportedError(AudioMemError):
    """A part of the surface that this version does not have."""


class MissingExtraError(AudioMemError):
    """An optional package is not installed; the message names the extra that brings it."""
