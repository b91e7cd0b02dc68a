"""Samples of any FLAC stream, decoded by libsndfile."""

from __future__ import annotations

import io
import threading
from typing import Any, TypeAlias

import numpy as np

from audiomem_sql.arrays import I32Array
from audiomem_sql.audio.flac.profiles import MAX_BLOCK_SIZE
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import AudioMemError, DamagedFileError

UNKNOWN_LENGTH = 1 << 36
"""libsndfile gives a length beyond what STREAMINFO can express when the encoder wrote to a pipe and left it
out."""

BAD_SEEK = 39
"""libsndfile's SFE_BAD_SEEK."""
UNREAD = 1
"""No sample: those of up to 24 bits are left-justified in 32."""

Samples: TypeAlias = I32Array


class Decoder:
    """The stream that begins at byte ``start`` of ``file``, which it takes over.

    One thread decodes at a time.
    """

    def __init__(self, file: ByteSource, start: int) -> None:
        self.file = file
        self._start = start
        self._lock = threading.RLock()
        self._sound: Any = None
        self._stream: io.RawIOBase | None = None

    def samples(self, at: int, count: int) -> Samples:
        """int32 (up to ``count``, channels) from sample ``at`` on, left-justified.

        Raises ``DamagedFileError``.
        """
        with self._lock:
            try:
                return self._pull(at, count)
            except (RuntimeError, OSError, ValueError) as fault:
                failed = self._undecodable(fault, f"sample {at}")
                self.forget()  # a decoder that lost its place fails from then on
                raise failed from fault

    def length(self) -> int:
        """Samples of a channel, ``UNKNOWN_LENGTH`` or more if the stream does not say.

        Raises ``DamagedFileError``.
        """
        with self._lock:
            try:
                return int(self._open().frames)
            except (RuntimeError, OSError) as fault:
                raise self._undecodable(fault, None) from fault

    def forget(self) -> None:
        """Begin anew with the next read."""
        with self._lock:
            sound, self._sound = self._sound, None
            if sound is not None:
                sound.close()
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        with self._lock:
            self.forget()
            self.file.close()

    def _undecodable(self, fault: Exception, place: str | None) -> AudioMemError:
        unread = getattr(self._stream, "fault", None)
        if isinstance(unread, AudioMemError):  # what the decoder took for the end of the stream
            return unread
        return DamagedFileError(
            f"cannot be decoded: {str(fault) or 'no FLAC frame found'}",
            file=self.file.name,
            place=place,
            remedy="Restore the file from a copy.",
        )

    def _pull(self, at: int, count: int) -> Samples:
        """int32 (up to ``count``, channels) from sample ``at`` on. Raises RuntimeError as libsndfile does."""
        sound = self._open()
        if sound.frames >= UNKNOWN_LENGTH:
            return self._pull_unknown(at, count)
        if sound.tell() != at:
            sound.seek(at)
        samples: Samples = sound.read(count, dtype="int32", always_2d=True)
        return samples

    def _pull_unknown(self, at: int, count: int) -> Samples:
        """The same for a stream of unknown length, where libFLAC finds no place close to the end.

        Such a place is reached by decoding on from one before it. Even a good read raises ``BAD_SEEK`` when
        it comes to the end, because soundfile seeks after it; what was read by then is told from what was not
        by ``UNREAD``.
        """
        sound, start, back = self._open(), at, 0
        while sound.tell() != start:
            try:
                sound.seek(start)
            except RuntimeError:
                if not start:
                    raise
                self.forget()
                sound, back = self._open(), back * 2 or MAX_BLOCK_SIZE
                start = max(0, at - back)
        samples = np.full((at - start + count, sound.channels), UNREAD, dtype=np.int32)
        try:
            sound.read(out=samples)
        except RuntimeError as fault:
            self.forget()
            if getattr(fault, "code", 0) != BAD_SEEK:
                raise
        unread = (samples[:, 0] == UNREAD).nonzero()[0]
        return samples[at - start : unread[0] if len(unread) else None]

    def _open(self) -> Any:
        """The decoder, opened anew after a fault. Raises RuntimeError as libsndfile does."""
        if self._sound is None:
            import soundfile  # only files that were encoded again need it

            stream = self.file.open_stream(self._start)
            self._stream = None if isinstance(stream, int) else stream
            self._sound = soundfile.SoundFile(stream, closefd=True)
        return self._sound
