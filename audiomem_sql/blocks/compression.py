"""zstd for blocks, with a raw-content dictionary shared by all blocks of a text column.

Small blocks are read quickly but compress badly on their own. A dictionary made of evenly spaced rows, stored
once, gives 128 KiB blocks nearly the ratio of the whole column in one frame (docs/FORMAT.md has the figures).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import zstandard

from audiomem_sql.blocks.native_strings import NativeStrings
from audiomem_sql.errors import DamagedFileError

#: Binary trees of matches have so many roots (as a power of 2). zstd would take four times as many for a
#: dictionary of 4 MiB, which takes a quarter more memory of every thread and column, and makes blocks smaller
#: by 1 byte in a million.
ROOTS_LOG = 20
#: Bytes that are decompressed in one call, where they are used one block after the other: what fits a cache
#: of the processor.
PARTS_BYTES = 256 << 10


class Compressor:
    """Compresses blocks at ``level``, from several threads at once, optionally with a shared dictionary."""

    def __init__(self, level: int, dictionary: bytes | None = None, block_bytes: int = 0) -> None:
        self._local = threading.local()
        self._dictionary: zstandard.ZstdCompressionDict | None = None
        if dictionary:
            self._dictionary = zstandard.ZstdCompressionDict(
                dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT
            )
            sizes = {
                "source_size": block_bytes,
                "dict_size": len(dictionary),
                "write_checksum": 0,
                "write_content_size": 1,
            }
            parameters = zstandard.ZstdCompressionParameters.from_level(level, **sizes)
            if parameters.strategy >= zstandard.STRATEGY_BTLAZY2 and parameters.hash_log > ROOTS_LOG:
                parameters = zstandard.ZstdCompressionParameters.from_level(
                    level, hash_log=ROOTS_LOG, **sizes
                )
            self._dictionary.precompute_compress(compression_params=parameters)
            self._arguments: dict[str, Any] = {
                "compression_params": parameters,
                "dict_data": self._dictionary,
            }
        else:
            self._arguments = {"level": level, "write_checksum": False, "write_content_size": True}

    def compress(self, data: bytes) -> bytes:
        """One zstd frame (RFC 8878) with its content size."""
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._local.compressor = zstandard.ZstdCompressor(**self._arguments)
        compressed: bytes = compressor.compress(data)
        return compressed


class Decompressor:
    """Undoes :class:`Compressor`; the size must be known, so that no frame takes more memory than it may."""

    def __init__(self, dictionary: bytes | None = None) -> None:
        self._local = threading.local()
        self._dictionary = dictionary
        #: What decodes texts of the same column, too.
        self.strings = NativeStrings(dictionary)

    def _own(self) -> zstandard.ZstdDecompressor:
        """That of this thread."""
        decompressor: zstandard.ZstdDecompressor | None = getattr(self._local, "decompressor", None)
        if decompressor is None:
            shared = None
            if self._dictionary:
                shared = zstandard.ZstdCompressionDict(
                    self._dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT
                )
            decompressor = self._local.decompressor = zstandard.ZstdDecompressor(dict_data=shared)
        return decompressor

    def decompress_many(
        self, frames: Sequence[bytes | memoryview], sizes: Sequence[int]
    ) -> list[bytes] | None:
        """``sizes`` bytes from each of several frames, in one call without the interpreter's lock.

        Threads that decompress small frames one by one wait for that lock at each. None if some frame is
        anything else, or this build of zstandard has no such call: then :meth:`decompress` says which.
        """
        many = getattr(self._own(), "multi_decompress_to_buffer", None)
        try:
            if many is None or [zstandard.frame_content_size(each) for each in frames] != list(sizes):
                return None
            whole = many(list(frames), decompressed_sizes=np.array(sizes, np.uint64).tobytes())
        except (zstandard.ZstdError, ValueError):
            return None
        if len(whole) != len(sizes):
            return None
        found = [each.tobytes() for each in whole]
        return found if [len(each) for each in found] == list(sizes) else None

    def parts(
        self, frames: Sequence[bytes | memoryview], sizes: Sequence[int]
    ) -> Iterator[bytes | memoryview]:
        """``sizes`` bytes from each of several frames, without a copy: to be used one after the other.

        Some at a time are decompressed in one call, so that they are still near the processor when they are
        used. DamagedFileError (without a place) if some frame is anything else.
        """
        own = self._own()
        many = getattr(own, "multi_decompress_to_buffer", None)
        start = 0
        while start < len(frames):
            stop, room = start + 1, PARTS_BYTES - sizes[start]
            while stop < len(frames) and sizes[stop] <= room:
                room -= sizes[stop]
                stop += 1
            if many is None or stop - start < 2:
                yield from map(self.decompress, frames[start:stop], sizes[start:stop])
            else:
                some, wanted = frames[start:stop], sizes[start:stop]
                try:
                    if [zstandard.frame_content_size(each) for each in some] != list(wanted):
                        raise DamagedFileError("a compressed block states another size than the catalog")
                    found = many(list(some), decompressed_sizes=np.array(wanted, np.uint64).tobytes())
                except (zstandard.ZstdError, ValueError) as error:
                    raise DamagedFileError(f"a compressed block cannot be read ({error})") from None
                if [len(each) for each in found] != list(wanted):
                    raise DamagedFileError("a compressed block is shorter than it states")
                yield from (memoryview(each) for each in found)
            start = stop

    def decompress(self, data: bytes | memoryview, size: int) -> bytes:
        """``size`` bytes from one zstd frame; DamagedFileError (without a place) if it is anything else."""
        decompressor = self._own()
        try:
            if zstandard.frame_content_size(data) != size:
                raise DamagedFileError("a compressed block states another size than the catalog")
            out: bytes = decompressor.decompress(data, max_output_size=size)
        except zstandard.ZstdError as error:
            raise DamagedFileError(f"a compressed block cannot be read ({error})") from None
        if len(out) != size:
            raise DamagedFileError("a compressed block is shorter than it states")
        return out
