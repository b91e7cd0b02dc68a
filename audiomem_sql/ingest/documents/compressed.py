"""Compressed streams: gzip, bzip2, xz and Zstandard, bounded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import IO, TYPE_CHECKING

from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.ingest.contents import SIZE_LIMIT

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_MAGIC_BYTES = 6
_STEP = 1 << 16


class Decompressed(io.RawIOBase):
    """What a compressed stream expands to. LimitError beyond ``limit`` bytes, DamagedFileError for faults."""

    def __init__(self, stream: IO[bytes], name: str, limit: int = SIZE_LIMIT) -> None:
        self._stream = stream
        self._name = name
        self._limit = limit
        self.count = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """The next bytes; how many there are."""
        import zstandard

        view = memoryview(buffer)
        try:
            data = self._stream.read(min(len(view), _STEP))
        except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
            raise DamagedFileError(
                f"the compressed data cannot be read ({error})",
                file=self._name,
                place=f"byte {self.count} of the content",
                remedy="Compress the file again from its original.",
            ) from error
        self.count += len(data)
        if self.count > self._limit:
            raise LimitError(
                f"the content is larger than {self._limit >> 20} MiB",
                file=self._name,
                remedy="Unpack it, and ingest the folder.",
            )
        view[: len(data)] = data
        return len(data)


def decompressed(stream: IO[bytes], name: str) -> IO[bytes] | None:
    """The content of a compressed stream, known by its first bytes; None if it is not compressed."""
    start = stream.read(_MAGIC_BYTES)
    stream.seek(0)
    expanded: IO[bytes]
    if start.startswith(_GZIP):
        expanded = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
    elif start.startswith(_BZIP2):
        expanded = bz2.BZ2File(stream)
    elif start.startswith(_XZ):
        expanded = lzma.open(stream)  # noqa: SIM115
    elif start.startswith(_ZSTD):
        import zstandard

        expanded = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            stream, read_across_frames=True
        )
    else:
        return None
    return io.BufferedReader(Decompressed(expanded, name), 1 << 20)
