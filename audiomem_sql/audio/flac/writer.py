"""Writing a FLAC file of pages.

Every frame is verbatim and has the same block size, so the whole file is laid out before the first page is
known: only the MD5 in STREAMINFO waits for the end. Source: RFC 9639 §8.2 (STREAMINFO and its MD5),
``frames`` and ``metadata`` for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from audiomem_sql.audio.flac.comments import NO_TAGS, Tags
from audiomem_sql.audio.flac.frames import Bytes, frame_count, frame_offset, number_runs, pack_frames
from audiomem_sql.audio.flac.metadata import (
    MAX_BLOCK_LENGTH,
    MAX_SAMPLES,
    MD5_OFFSET,
    build_metadata,
    too_many_pages,
)
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.machine.digests import md5
from audiomem_sql.machine.durable import remedy_for

__all__ = ["FlacWriter", "frame_count", "frame_offset"]

PADDING, SMALL_PADDING, SMALL_FILE = 4096, 1024, 1 << 16
"""Bytes of the PADDING block, those of a small file, and the bytes that such a file is below."""
BATCH_BYTES = 1 << 18
"""Payload that is packed at once: small enough to stay in a processor's cache."""


class FlacWriter:
    """Writes a complete FLAC stream to ``sink``, from its present position on.

    Parameters
    ----------
    sink: seekable binary file; flushed by ``close``, never closed.
    profile: shape of the sound.
    pages: how many pages will be written in total, at least 1.
    application: payload of the APPLICATION block ``AUDM``.
    comments: Vorbis comments; field names are stored in upper case.
    padding: bytes of the PADDING block for tag editors; 0 for none. By default 4,096, and 1,024 in a file
        that is smaller than 64 KiB with them.
    tags: comments behind these, and pictures.
    first: the number of the first frame, of one that is appended to a stream: then frames are written and
        nothing else. Whoever appends changes STREAMINFO (see ``metadata.changed_streaminfo``).

    ``audio_start`` is the offset of frame 0 from the start of the stream, ``file_size`` the size the stream
    will have. Raises ``OptionError`` for arguments that make no file, ``LimitError`` for what is too large
    for FLAC, ``StorageError`` when the sink refuses.
    """

    def __init__(
        self,
        sink: BinaryIO,
        profile: Profile,
        pages: int,
        application: bytes,
        comments: Mapping[str, str],
        padding: int | None = None,
        tags: Tags = NO_TAGS,
        first: int | None = None,
    ) -> None:
        if pages < 1:
            raise OptionError("a FLAC file has at least one page")
        if padding is not None and not 0 <= padding <= MAX_BLOCK_LENGTH:
            raise OptionError(f"padding of {padding} bytes; 0 to {MAX_BLOCK_LENGTH} are possible")
        self.profile = profile
        self.pages = pages
        self.written = 0
        self._sink = sink
        self._name = name if isinstance(name := getattr(sink, "name", None), str) else None
        self._md5 = md5(usedforsecurity=False)
        self._closed = False
        self._appended = first is not None
        self._first = first or 0
        if (self._first + pages) * profile.block_size > MAX_SAMPLES:
            raise too_many_pages(profile, self._first + pages)
        metadata = b""
        if not self._appended:
            metadata = self._metadata(application, comments, padding, tags)
        self.audio_start = len(metadata)
        self.file_size = self.audio_start + frame_offset(profile, 0, self._first + pages)
        self.file_size -= frame_offset(profile, 0, self._first)
        try:
            self._origin = sink.tell()
        except OSError as fault:
            raise self._refused(fault) from fault
        self._write(metadata)

    def _metadata(
        self, application: bytes, comments: Mapping[str, str], padding: int | None, tags: Tags
    ) -> bytes:
        def build(padding: int) -> bytes:
            return build_metadata(
                self.profile, self.pages, application, comments, padding, tags.comments, tags.pictures
            )

        if padding is not None:
            return build(padding)
        metadata = build(SMALL_PADDING)
        small = frame_offset(self.profile, len(metadata), self.pages) < SMALL_FILE
        return metadata if small else build(PADDING)

    def write_pages(self, payload: Bytes) -> None:
        """Append pages, uint8 (n, page_size): channel 0's big-endian samples, then channel 1's, and so on."""
        if self._closed:
            raise OptionError("the file is complete, no page can follow", file=self._name)
        if payload.dtype != np.uint8 or payload.ndim != 2 or payload.shape[1] != self.profile.page_size:
            raise OptionError(
                f"pages are uint8 (n, {self.profile.page_size}), not {payload.dtype} {payload.shape}",
                file=self._name,
            )
        if self.written + len(payload) > self.pages:
            raise OptionError(
                f"{self.written + len(payload)} pages, where {self.pages} were announced", file=self._name
            )
        batch = max(1, BATCH_BYTES // self.profile.page_size)
        before = self._first + self.written
        for first, count in number_runs(before, len(payload)):
            for start in range(first, first + count, batch):
                stop = min(start + batch, first + count)
                part = payload[start - before : stop - before]
                if not self._appended:
                    self._md5.update(interleave(self.profile, part).data)
                self._write(pack_frames(self.profile, start, part).data)
        self.written += len(payload)

    def close(self) -> None:
        """Check the page count, put the MD5 into STREAMINFO if that was written, flush.

        The position is left at the end of the stream.
        """
        if self._closed:
            return
        if self.written != self.pages:
            raise OptionError(f"{self.written} pages, where {self.pages} were announced", file=self._name)
        try:
            if not self._appended:
                self._sink.seek(self._origin + MD5_OFFSET)
                self._write(self._md5.digest())
            self._sink.seek(self._origin + self.file_size)
            self._sink.flush()
        except OSError as fault:
            raise self._refused(fault) from fault
        self._closed = True

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        try:
            while view:  # an unbuffered sink may take less than it is given
                taken = self._sink.write(view)
                if not taken:
                    raise BlockingIOError("the sink takes nothing")
                view = view[taken:]
        except OSError as fault:
            raise self._refused(fault) from fault

    def _refused(self, fault: OSError) -> StorageError:
        return StorageError(
            f"cannot be written: {fault.strerror or fault}",
            file=self._name,
            place=f"page {self.written}",
            remedy=remedy_for(fault),
        )


def interleave(profile: Profile, payload: Bytes) -> Bytes:
    """Pages, uint8 (n, page_size), as interleaved little-endian samples.

    uint8 (n, block_size, channels × bytes_per_sample).

    This is what STREAMINFO's MD5 is taken of, and the PCM that decoders put out.
    """
    shape = (len(payload), profile.channels, profile.block_size, profile.bytes_per_sample)
    planes = payload.reshape(shape)
    out = np.empty((shape[0], shape[2], shape[1], shape[3]), dtype=np.uint8)
    for channel in range(profile.channels):
        for byte in range(profile.bytes_per_sample):
            out[:, :, channel, byte] = planes[:, channel, :, -1 - byte]
    return out.reshape(shape[0], shape[2], -1)
