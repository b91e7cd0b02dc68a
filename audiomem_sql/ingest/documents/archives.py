"""Archives to documents: zip, tar and compressed tar, each member by the reader of its kind.

Nothing is unpacked to a disk under a name of the archive. Links, devices and hidden files are passed over.
"""

from __future__ import annotations

import io
import posixpath
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from lzma import LZMAError
from typing import IO, Any

from audiomem_sql.errors import AudioMemError, DataTypeError, LimitError
from audiomem_sql.ingest.contents import HEAD_SIZE
from audiomem_sql.ingest.documents.compressed import decompressed
from audiomem_sql.ingest.documents.content import INNER_LIMIT, Content
from audiomem_sql.ingest.documents.document import Document, place_of
from audiomem_sql.ingest.documents.inside import read_inside, shown_name
from audiomem_sql.ingest.documents.member import Member, Spent, damaged

#: Bytes of the list of members of a zip file: that of 100,000 has about ten million.
DIRECTORY_LIMIT = 32 << 20
#: Bytes of a header of a tar file that says more of a member: its long name, its attributes.
EXTENSION_LIMIT = 1 << 20
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_ENCRYPTED, _UTF8 = 0x1, 0x800


def read_zip(content: Content) -> Iterator[Document]:
    """The documents in the members of a zip file, in their order."""
    with content.open() as opened:
        stream = opened if opened.seekable() else io.BytesIO(opened.read())
        _check_directory(stream, content.name)
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError, ValueError, struct.error) as error:
            raise damaged(content.name, error) from error
        with archive:
            members = {_zip_name(info): info for info in archive.infolist()}

            def neighbour(member: str, name: str) -> bytes | None:
                info = members.get(posixpath.normpath(posixpath.join(posixpath.dirname(member), name)))
                if info is None or info.file_size > content.budget.left_bytes:
                    return None
                with archive.open(info) as opened_member:
                    return opened_member.read(info.file_size)

            for info in archive.infolist():
                name = _zip_name(info)
                member = Member(name, info.file_size, _zip_time(info))
                if info.flag_bits & _ENCRYPTED:
                    member.refuse_encrypted(content)
                elif not info.is_dir():
                    try:
                        yield from member.documents(
                            content, partial(archive.open, info), partial(neighbour, name)
                        )
                    except Spent:
                        return


def read_tar(content: Content) -> Iterator[Document]:
    """The documents in the members of a tar file, which may be compressed, in their order."""
    with content.open() as opened:
        yield from _tar(content, opened)


def read_compressed(content: Content) -> Iterator[Document]:
    """The documents in a compressed file: those of a tar file, or of the one file that it is."""
    with content.open() as opened:
        expanded = decompressed(opened, content.name) if opened.seekable() else None
        if expanded is None:
            raise DataTypeError("this is not compressed as its name says", file=content.name)
        with expanded:
            start = expanded.peek(HEAD_SIZE)  # type: ignore[attr-defined]
            if start[257:262] == b"ustar":
                yield from _tar(content, expanded)
                return
            name = posixpath.basename(content.name.replace("\\", "/").rpartition("!")[2])
            stem = posixpath.splitext(name)[0]
            yield from read_inside(content, stem, expanded.read(), place_of(member=stem))


def _tar(content: Content, opened: IO[bytes]) -> Iterator[Document]:
    start = opened.read(HEAD_SIZE) if opened.seekable() else b""
    stream: IO[bytes] = opened
    if opened.seekable():
        opened.seek(0)
        stream = (decompressed(opened, content.name) if start[257:262] != b"ustar" else None) or opened
    mode: Any = "r:" if stream is opened and opened.seekable() else "r|"
    count = 0
    try:
        with tarfile.open(
            fileobj=stream, mode=mode, tarinfo=_TarInfo, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for info in archive:
                count += 1
                archive.members = []  # type: ignore[attr-defined]  # they would all be kept
                if count > 10 * INNER_LIMIT:
                    raise LimitError("there are too many members", file=content.name)
                if info.isreg():
                    member = Member(shown_name(info.name), info.size, _tar_time(info))
                    yield from member.documents(content, partial(archive.extractfile, info), None)
                if mode == "r|" and info.size > content.budget.left_bytes:
                    raise LimitError(
                        f"what follows {shown_name(info.name)!r} is not read, which is too large",
                        file=content.name,
                        remedy="Unpack it, and ingest the folder.",
                    )
    except Spent:
        return
    except AudioMemError as error:
        if not count:
            raise
        content.report(error)
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, LZMAError) as error:
        if not count:
            raise damaged(content.name, error) from error
        content.report(damaged(content.name, error))


class _TarInfo(tarfile.TarInfo):
    """Headers of members; faulty ones are errors, not the end of the archive, and long ones are refused."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _TarInfo:
        try:
            info = super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error
        if info.type in _EXTENSIONS and info.size > EXTENSION_LIMIT:
            raise tarfile.ReadError(f"a header of {info.size:,} bytes")
        return info


def _check_directory(stream: IO[bytes], name: str) -> None:
    """LimitError for a zip file whose list of members takes too much memory."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - 100))
    tail = stream.read()
    stream.seek(0)
    at, at64 = tail.rfind(_END), tail.rfind(_END64)
    directory = 0
    if 0 <= at <= len(tail) - 22:
        directory = struct.unpack_from("<I", tail, at + 12)[0]
    if 0 <= at64 <= len(tail) - 56 and directory == 0xFFFFFFFF:
        directory = struct.unpack_from("<Q", tail, at64 + 40)[0]
    if directory > DIRECTORY_LIMIT and directory != 0xFFFFFFFF:
        raise LimitError(
            f"there are more than {INNER_LIMIT:,} files inside",
            file=name,
            remedy="Unpack it, and ingest the folder.",
        )


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name of a member: UTF-8 if it is that, even where the file does not say so."""
    name = info.filename
    if not info.flag_bits & _UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return shown_name(name)


def _zip_time(info: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*info.date_time) if info.date_time > (1980, 1, 1, 0, 0, 0) else None
    except ValueError:
        return None


def _tar_time(info: tarfile.TarInfo) -> datetime | None:
    try:
        return datetime.fromtimestamp(info.mtime, UTC).replace(tzinfo=None) if info.mtime else None
    except (ValueError, OverflowError, OSError):
        return None
