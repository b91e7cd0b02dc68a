"""7-Zip archives to documents, through py7zr: each member by the reader of its kind.

Members are packed one behind the other, so all that are read are expanded in one go, into one temporary file
that has no name.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

from audiomem_sql.errors import AudioMemError, DataTypeError, LimitError, MissingExtraError
from audiomem_sql.ingest.documents.content import INNER_LIMIT, Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.inside import is_hidden, shown_name
from audiomem_sql.ingest.documents.member import Member, Spent, damaged

#: Bytes of the list of members: that of 100,000 has about ten million.
HEADER_LIMIT = 32 << 20
_SIGNATURE_BYTES = 32
_PACKED_HEADER = b"\x17"


def read(content: Content) -> Iterator[Document]:
    """The documents in the members of a 7-Zip archive, in their order."""
    try:
        import py7zr
    except ImportError:
        raise MissingExtraError(
            "7-Zip archives are read by py7zr, which is not installed",
            file=content.name,
            remedy="Run: pip install 'audiomem-sql[packed]'",
        ) from None
    with content.open() as opened, tempfile.TemporaryFile(prefix="audiomem-") as expanded:
        stream = opened if opened.seekable() else io.BytesIO(opened.read())
        try:
            _check_header(stream, content.name)
            with py7zr.SevenZipFile(stream, "r") as archive:
                members = _members(archive, content)
                written = _expand(archive, content, members, expanded)
        except AudioMemError:
            raise
        except py7zr.PasswordRequired as error:
            raise DataTypeError("it is encrypted", file=content.name) from error
        except Exception as error:  # struct, lzma, EOFError, and py7zr's own, which have no common root
            raise damaged(content.name, error) from error
        for key, info in members.items():
            name = shown_name(info.filename)
            if key not in written:
                continue
            begin, size = written[key]
            expanded.seek(begin)
            data = expanded.read(size)
            member = Member(name, size, _time(info))
            try:
                yield from member.documents(content, partial(io.BytesIO, data), None)
            except Spent:
                return


def _check_header(stream: IO[bytes], name: str) -> None:
    """LimitError for an archive whose list of members takes too much memory; it may be packed itself."""
    from py7zr.archiveinfo import HeaderStreamsInfo

    stream.seek(12)
    begin, size = struct.unpack("<QQ", stream.read(16))
    stream.seek(_SIGNATURE_BYTES + begin)
    header = io.BytesIO(stream.read(min(size, HEADER_LIMIT)))
    if header.read(1) == _PACKED_HEADER:
        folders = HeaderStreamsInfo.retrieve(header).unpackinfo.folders
        size += sum(sum(folder.unpacksizes) for folder in folders)
    stream.seek(0)
    if size > HEADER_LIMIT:
        raise LimitError(
            f"there are more than {INNER_LIMIT:,} files inside",
            file=name,
            remedy="Unpack it, and ingest the folder.",
        )


def _members(archive: Any, content: Content) -> dict[str, Any]:
    """The files that are read by the names under which they are expanded; others are reported or passed over.

    LimitError if all that is packed expands to too much: it would have to be expanded to get at any of it.
    """
    members: dict[str, Any] = {}
    again: dict[str, int] = {}
    total = 0
    for info in archive.files:
        total += info.uncompressed or 0
        if info.is_directory or info.is_symlink or info.is_junction or info.is_socket:
            continue
        name = info.filename
        path = PurePosixPath(name)
        # as py7zr spells them: one name may be there more than once
        key = path.as_posix() if name not in again else f"{path.as_posix()}_{again[name]}"
        again[name] = again.get(name, -1) + 1
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[:1]:
            Member(shown_name(name), 0, None).refuse(content, "its name leads out of the archive")
        elif not is_hidden(name):
            members[key] = info
    if total > content.budget.left_bytes:
        raise LimitError(
            f"it expands to {total >> 20:,} MiB, more than what is inside may have",
            file=content.name,
            remedy="Unpack it, and ingest the folder.",
        )
    return members


def _expand(
    archive: Any, content: Content, members: dict[str, Any], expanded: IO[bytes]
) -> dict[str, tuple[int, int]]:
    """Write the members one behind the other; where each begins, and how many bytes it has.

    After a fault those before it are there, and it is reported.
    """
    import py7zr
    from py7zr.io import Py7zIO, WriterFactory

    written: dict[str, tuple[int, int]] = {}

    class Into(Py7zIO):
        """One member on its way."""

        def __init__(self, key: str) -> None:
            self._key, self._begin, self._size = key, expanded.tell(), 0

        def write(self, data: bytes | bytearray) -> int:
            self._size += len(data)
            written[self._key] = self._begin, self._size
            return expanded.write(data)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return offset

        def flush(self) -> None:
            pass

        def size(self) -> int:
            return self._size

    class Factory(WriterFactory):
        """Gives each member its place."""

        def create(self, filename: str) -> Py7zIO:
            return Into(filename)

    try:
        archive.extract(targets=[info.filename for info in members.values()], factory=Factory())
    except py7zr.PasswordRequired:
        raise
    except Exception as error:
        if written:
            written.popitem()  # the one with the fault
        if not written:
            raise
        content.report(damaged(content.name, error))
    return written


def _time(info: Any) -> datetime | None:
    with suppress(ValueError, OverflowError, OSError, AttributeError):
        moment = info.lastwritetime
        return None if moment is None else moment.as_datetime().astimezone(UTC).replace(tzinfo=None)
    return None
