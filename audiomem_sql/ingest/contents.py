"""The bytes and the characters of an input file: gunzipped, bounded, and decoded without guessing wildly.

Encodings, in this order: a byte order mark (UTF-8, UTF-16, UTF-32); UTF-16 without one, where half of the
bytes are its NULs; UTF-8; the character set that an HTML file declares; Windows-1252, if the file has no
control bytes and no valid multi-byte UTF-8 in it. Anything else is refused: a UTF-8 file with one damaged
byte is not turned into mojibake.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from audiomem_sql.errors import DamagedFileError, DataTypeError, LimitError, StorageError
from audiomem_sql.ingest.formats import format_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SIZE_LIMIT = 1 << 30
"""Bytes of prose read from one file, and bytes that one compressed file may expand to."""

LEAST_EXPANDED, MOST_TIMES = 64 << 20, 200
"""Bytes that a small file may expand to at least, and how many times its size a larger one may."""

VALUE_LIMIT = 1 << 26
"""Characters of one CSV field or one JSON line; more than that is a quotation mark that was never closed."""

HEAD_SIZE = 8192
_STEP = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CP1252_TEXT = bytes({9, 10, 12, 13, *range(32, 127), *range(128, 256)} - {0x81, 0x8D, 0x8F, 0x90, 0x9D})
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)


class _Gunzip(io.RawIOBase):
    """A gzip stream that stops at ``limit`` bytes and raises this package's errors."""

    def __init__(self, raw: IO[bytes], name: str, limit: int) -> None:
        self._raw = raw
        self._gzip = gzip.GzipFile(fileobj=raw, mode="rb")
        self._name = name
        self._count = 0
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        try:
            data = self._gzip.read1(len(view))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DamagedFileError(
                f"the gzip data cannot be read ({error})",
                file=self._name,
                place=f"byte {self._count} of the content",
                remedy="Compress the file again from its original.",
            ) from error
        self._count += len(data)
        if self._count > self._limit:
            raise _too_large(self._name, self._limit)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._gzip.close()
            self._raw.close()
        super().close()


def most_expanded(size: int) -> int:
    """Bytes that a file of ``size`` bytes may expand to: little expands to very much only to do harm."""
    return min(SIZE_LIMIT, LEAST_EXPANDED + MOST_TIMES * size)


def _too_large(name: str, limit: int) -> LimitError:
    return LimitError(
        f"the content is larger than {limit >> 20} MiB",
        file=name,
        remedy="Split the file into smaller ones.",
    )


def is_gzip(path: Path) -> bool:
    """Whether the name says that the content is gzip-compressed."""
    return path.suffix.lower() == ".gz"


def open_bytes(path: Path, name: str) -> IO[bytes]:
    """The content of a regular file as a binary stream, gunzipped if its name ends in ``.gz``.

    Raises `StorageError` if it cannot be opened or is not a regular file; reading raises `DamagedFileError`
    for broken gzip data and `LimitError` where it expands beyond `most_expanded`.
    """
    try:
        # O_NONBLOCK: a pipe that took the place of the file is refused below, not waited for
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        raw = os.fdopen(descriptor, "rb")
    except OSError as error:
        raise storage_error(error, name) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raw.close()
        raise StorageError("this is not a regular file", file=name, remedy="Give a file or a folder.")
    if not is_gzip(path):
        return raw
    return io.BufferedReader(_Gunzip(raw, name, most_expanded(os.fstat(descriptor).st_size)), _STEP)


def storage_error(error: OSError, name: str) -> StorageError:
    """What the operating system said, as an error of this package."""
    return StorageError(
        f"cannot be read ({error.strerror or error})", file=name, remedy="Check the path and its permissions."
    )


def head(path: Path, name: str) -> bytes:
    """The first `HEAD_SIZE` bytes of the content."""
    with open_bytes(path, name) as stream:
        try:
            return stream.read(HEAD_SIZE)
        except OSError as error:
            raise storage_error(error, name) from error


def binary_reason(start: bytes, *, utf8_only: bool) -> str | None:
    """Why content that begins with `start` is not text, or None if it may well be.

    `utf8_only` asks for valid UTF-8 (or a byte order mark) as well, for files whose name promises nothing.
    """
    if start.startswith(tuple(mark for mark, _ in _BOMS)) or plain_utf16(start):
        return None
    if b"\0" in start:
        return f"binary: {format_of(start) or 'it has NUL bytes'}"
    if (known := format_of(start)) is not None and not _is_plain_text(start):
        return f"binary: {known}"
    if utf8_only:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(start, final=len(start) < HEAD_SIZE)
        except UnicodeDecodeError as error:
            return f"not UTF-8 text: byte {error.start} does not fit"
    return None


def _is_plain_text(start: bytes) -> bool:
    """Whether ``start`` is UTF-8 without control characters: text that begins like another format."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start, final=len(start) < HEAD_SIZE)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


def plain_utf16(start: bytes) -> str | None:
    """The codec of content that begins with ``start`` if it plainly is UTF-16 without a byte order mark."""
    pairs = len(start) // 2
    if pairs < 2 or (len(start) % 2 and len(start) < HEAD_SIZE):
        return None
    for zero, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        if 2 * start[zero : 2 * pairs : 2].count(0) < pairs:
            continue
        try:
            text = codecs.getincrementaldecoder(codec)().decode(start, final=len(start) < HEAD_SIZE)
        except UnicodeDecodeError:
            return None
        return codec if all(c.isprintable() or c.isspace() for c in text) else None
    return None


def encoding_of(stream: IO[bytes], name: str, *, declared: bool = False) -> str:
    """The Python codec for a whole binary stream, which is read to its end.

    `declared` lets a character set named in the first 1,024 bytes (``<meta charset>``, ``<?xml encoding?>``)
    count when the bytes are not UTF-8. Raises `DataTypeError` naming the byte that no encoding explains.
    """
    data = stream.read(_STEP)
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return codec
    if (wide := plain_utf16(data[:HEAD_SIZE])) is not None:
        return wide
    label = _declared_codec(data[:1024]) if declared else None
    candidates = _Candidates(name)
    while True:
        candidates.feed(data)
        if not data:
            break
        data = stream.read(_STEP)
    if candidates.undecodable is None:
        return "utf-8"
    if label is not None:
        return label
    if candidates.may_be_cp1252:
        return "cp1252"
    raise _undecodable(name, candidates.undecodable)


class _Candidates:
    """Which encodings a stream can have, as far as it was read.

    ``undecodable``: the offset of the first byte that UTF-8 does not explain. ``may_be_cp1252``: whether all
    bytes are such as a text in Windows-1252 has.
    """

    def __init__(self, name: str) -> None:
        self.undecodable: int | None = None
        self.may_be_cp1252 = True
        self._name = name
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> None:
        """The next bytes; none at the end. DataTypeError where they are no text."""
        zero = data.find(b"\0")
        if zero >= 0:
            raise DataTypeError(
                "this is a binary file, it has NUL bytes",
                file=self._name,
                place=f"byte {self._offset + zero}",
                remedy="Save it as UTF-8 text, or leave it out.",
            )
        if self.undecodable is None:
            waiting = len(self._decoder.getstate()[0])
            try:
                self._decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                self.undecodable = self._offset - waiting + error.start
        if self.may_be_cp1252:
            multibyte = not data.isascii() and _MULTIBYTE.search(data)
            self.may_be_cp1252 = not data.translate(None, _CP1252_TEXT) and not multibyte
        self._offset += len(data)


def _declared_codec(start: bytes) -> str | None:
    declared = _DECLARED.search(start)
    if declared is None:
        return None
    try:
        codec = codecs.lookup(declared[1].decode("ascii"))
        "".encode(codec.name)  # refuses codecs that are not character sets, such as "hex"
    except LookupError:
        return None
    return None if codec.name == "utf-8" else codec.name


class _UndecodableError(DataTypeError):
    """Text that is not in the encoding that the rest of it has."""


def _undecodable(name: str, offset: int, codec: str = "UTF-8") -> _UndecodableError:
    return _UndecodableError(
        f"the text is not valid {codec}",
        file=name,
        place=f"byte {offset}",
        remedy="Save it as UTF-8, or leave it out.",
    )


def read_bytes(path: Path, name: str) -> bytes:
    """The whole content. Raises `LimitError` beyond `SIZE_LIMIT`, and what `open_bytes` raises."""
    with open_bytes(path, name) as stream:
        try:
            data = stream.read(SIZE_LIMIT + 1)
        except OSError as error:
            raise storage_error(error, name) from error
    if len(data) > SIZE_LIMIT:
        raise _too_large(name, SIZE_LIMIT)
    return data


def read_text(path: Path, name: str, *, declared: bool = False) -> str:
    """The whole content as characters; errors as of `read_bytes` and `decode`."""
    return decode(read_bytes(path, name), name, declared=declared)


def decode(data: bytes, name: str, *, declared: bool = False) -> str:
    r"""``data`` as characters: no byte order mark, every line ends in ``\n``.

    ``declared``: as of `encoding_of`. Raises `DataTypeError` for what is not text.
    """
    codec = encoding_of(io.BytesIO(data), name, declared=declared)
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise _undecodable(name, error.start, codec) from error
    zero = text.find("\0")
    if zero >= 0:
        raise DataTypeError(
            "this is a binary file, it has NUL characters", file=name, place=f"character {zero}"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def open_text(path: Path, name: str, *, tolerant: bool = False) -> io.TextIOWrapper:
    """The content as a stream of characters with its line ends as they are, for files of rows.

    The file is read once before, to know its encoding. Raises what `read_text` raises, except for its limit.
    `tolerant`: bytes that no encoding explains become lone surrogates, in text that is UTF-8 otherwise.
    """
    errors = "strict"
    with open_bytes(path, name) as stream:
        try:
            codec = encoding_of(stream, name)
        except OSError as error:
            raise storage_error(error, name) from error
        except _UndecodableError:
            if not tolerant:
                raise
            codec, errors = "utf-8", "surrogateescape"
    return io.TextIOWrapper(open_bytes(path, name), encoding=codec, errors=errors, newline="")
