"""One file in an archive, whatever the kind of the archive: read by the reader of its own kind."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO

from audiomem_sql.errors import AudioMemError, DamagedFileError, DataTypeError, LimitError, UnsupportedError
from audiomem_sql.ingest.contents import HEAD_SIZE
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, place_of
from audiomem_sql.ingest.documents.inside import is_hidden, kind_inside, read_inside


class Spent(Exception):
    """No more of the archive is read; it was reported why."""


class Member:
    """One file in an archive."""

    def __init__(self, name: str, size: int, modified: datetime | None) -> None:
        self._name = name
        self._size = size
        self._modified = modified

    def refuse(self, content: Content, reason: str) -> None:
        """Report that it is of no kind that is read."""
        self._report(content, DataTypeError(reason))

    def refuse_encrypted(self, content: Content) -> None:
        """Report that it cannot be read."""
        self._report(content, UnsupportedError("it is encrypted"))

    def _report(self, content: Content, error: AudioMemError) -> None:
        if not is_hidden(self._name):
            content.report(error.at(file=f"{content.name}!{self._name}"))

    def documents(
        self,
        content: Content,
        opened: Callable[[], IO[bytes] | None],
        neighbour: Callable[[str], bytes | None] | None,
    ) -> Iterator[Document]:
        """Its documents; what cannot be read is reported."""
        if is_hidden(self._name):
            return
        try:
            data = self._bytes(content, opened)
        except AudioMemError as error:
            content.report(error)
            if content.budget.is_spent:
                raise Spent from error
            return
        except Exception as error:  # zlib, lzma, NotImplementedError for methods, RuntimeError for passwords
            content.report(damaged(f"{content.name}!{self._name}", error))
            return
        if data is None:
            return
        place = place_of(member=self._name)
        try:
            yield from read_inside(content, self._name, data, place, self._modified, neighbour)
        except LimitError as error:
            if error not in content.problems.listed:
                content.report(error)
            raise Spent from error

    def _bytes(self, content: Content, opened: Callable[[], IO[bytes] | None]) -> bytes | None:
        """Its bytes; None if its kind is not read, which is reported."""
        full_name = f"{content.name}!{self._name}"
        left = content.budget.left_bytes
        stream = opened()
        if stream is None:
            return None
        with stream:
            start = stream.read(HEAD_SIZE)
            is_packed = self._name.lower().endswith(".gz") and start.startswith(b"\x1f\x8b")
            reason = None if is_packed else kind_inside(*_names(self._name), start)[1]
            if reason is not None:
                self.refuse(content, reason)
                return None
            if left < self._size <= content.budget.limit:
                content.budget.spend(self._size, content.name)
            if self._size > left:
                raise LimitError(
                    f"it has {self._size >> 20:,} MiB, more than what is inside may have",
                    file=full_name,
                    remedy="Unpack it, and ingest the folder.",
                )
            return start + stream.read(max(0, self._size - len(start)))


def _names(member: str) -> tuple[str, str]:
    name = posixpath.basename(member.replace("\\", "/"))
    lower = name.lower()
    return name, posixpath.splitext(lower)[1]


def damaged(name: str, error: Exception) -> DamagedFileError:
    """The error for an archive, or a member, that cannot be read."""
    fault = " ".join(f"{error}".split())[:200] or type(error).__name__
    return DamagedFileError(
        f"the archive cannot be read ({fault})", file=name, remedy="Make it again from its files."
    )
