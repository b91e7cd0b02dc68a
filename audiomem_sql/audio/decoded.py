"""Pages of a file that was encoded again.

Another encoder may choose any frame length and leave all metadata out; the samples are the same, and pages are cut from
them: page n is samples ``n × block_size`` to ``(n + 1) × block_size``. Decoding is libsndfile's.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import Any

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio.bands import Mode
from audiomem_sql.audio.frames import Bytes
from audiomem_sql.audio.metadata import Metadata
from audiomem_sql.audio.modulated import modulation_of
from audiomem_sql.audio.profiles import BITS_PER_SAMPLE, BLOCK_STEP, MAX_BLOCK_SIZE, Profile, match
from audiomem_sql.audio.rawfile import RawFile
from audiomem_sql.audio.source import (
    HEAD_BYTES,
    Flags,
    Probe,
    missing_pages,
    no_alternatives,
    nothing_doubtful,
    unreadable_page,
)
from audiomem_sql.audio.spectrum import BLOCK_SIZES, Spectrum
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError, OptionError

UNKNOWN_LENGTH = 1 << 36
"""libsndfile gives a length beyond what STREAMINFO can express when the encoder wrote to a pipe and left it out."""

BAD_SEEK = 39
"""libsndfile's SFE_BAD_SEEK."""
UNREAD = 1
"""No sample: those of up to 24 bits are left-justified in 32."""

Samples = npt.NDArray[np.int32]


class DecodedPages:
    """A ``PageSource`` that decodes; the file may come from any FLAC encoder.

    Takes over ``file``. One thread decodes at a time. The depth is the stream's, or 16 bits where a 16-bit file was stored
    in 24. Where the stream ends early, opening decodes a few places to find its end, and damage there can make ``present`` too
    low; where it does not say how long it is, opening decodes it all.

    Raises ``NotAudioMemoryError`` if ``probe`` finds no page, ``DamagedFileError`` if nothing can be decoded.
    """

    verbatim = False
    in_place = False
    mode: Mode | None = None

    def __init__(self, file: RawFile, start: int, metadata: Metadata, probe: Probe) -> None:
        self.path = file.path
        self.application = metadata.application
        self.comments = metadata.comments
        self._file = file
        self._start = start
        self._lock = threading.Lock()
        self._sound: Any = None
        #: How the pages are modulated; None for those that are the samples themselves.
        self.spectrum: Spectrum | None = None
        try:
            bits, block_size = self._identify(metadata, probe)
            try:
                self.profile = match(metadata.sample_rate, bits, metadata.channels, block_size)
            except OptionError as fault:
                raise NotAudioMemoryError(f"not a table: {fault.what}", file=self.path) from fault
            self.page_size = self.profile.page_size
            length = self._length()
            self.page_count = length // block_size if length < UNKNOWN_LENGTH else 0
            self.present = self._find_present()
            self.page_count = self.page_count or self.present
        except BaseException:
            self.close()
            raise

    def read(self, first: int, count: int) -> Bytes:
        """Pages ``first … first + count``, fresh uint8 (count, page_size).

        Raises ``TruncatedFileError`` for pages beyond the end, ``DamagedFileError`` naming a page that does not decode.
        """
        missing_pages(self, first, count)
        pages, ok = self.read_checked(first, count)
        if not ok.all():
            raise unreadable_page(self, first + int(np.argmin(ok)))
        return pages

    def read_checked(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """The same with a flag a page; a page that does not decode, or is not there, is zeros and False."""
        pages = np.zeros((count, self.profile.page_size), dtype=np.uint8)
        ok = np.zeros(count, dtype=np.bool_)
        there = max(0, min(count, self.present - first))
        with self._lock:
            if there and self._decode(first, pages[:there]):
                ok[:there] = True
            elif there > 1:
                for index in range(there):
                    ok[index] = self._decode(first + index, pages[index : index + 1])
        return pages, ok

    def alternatives(self, page: int) -> Bytes:
        """None: samples are numbered."""
        return no_alternatives(self)

    def doubtful(self, page: int) -> Flags:
        """Nothing: bytes do not tell."""
        return nothing_doubtful(self)

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        with self._lock:
            self._forget()
            self._file.close()

    def _identify(self, metadata: Metadata, probe: Probe) -> tuple[int, int]:
        """Depth and block size: the first place with a page header, which is frame 0 unless that one is damaged."""
        if metadata.bits_per_sample not in BITS_PER_SAMPLE:
            raise NotAudioMemoryError(
                f"not a table: {metadata.bits_per_sample} bits per sample",
                file=self.path,
                remedy="Tables have 16 or 24",
            )
        fault: NotAudioMemoryError | DamagedFileError | None = None
        end = min(MAX_BLOCK_SIZE, metadata.total_samples or MAX_BLOCK_SIZE)
        for at in range(0, end + 1, BLOCK_STEP):
            try:
                samples = self._samples(at, HEAD_BYTES)
            except DamagedFileError as found:
                fault = fault or found
                continue
            if len(samples) < HEAD_BYTES:
                break
            for bits in range(metadata.bits_per_sample, 8, -8):
                head = samples[:, :1].astype(">i4").view(np.uint8)[:, : bits // 8].tobytes()
                try:
                    block_size = probe(head[:HEAD_BYTES])
                except NotAudioMemoryError as found:
                    fault = fault or found
                    continue
                if block_size > 0 and at % block_size == 0:
                    return bits, block_size
            if at % BLOCK_SIZES[0] == 0 and (spectrum := self._modulation(at, metadata, probe)) is not None:
                self.spectrum = spectrum
                return spectrum.profile.bits_per_sample, spectrum.profile.block_size
        raise fault or NotAudioMemoryError(
            "not a table: this FLAC file holds sound only",
            file=self.path,
            remedy="Open a file made by audiomem create",
        )

    def _modulation(self, at: int, metadata: Metadata, probe: Probe) -> Spectrum | None:
        """The modulation of a page at sample ``at``."""
        for block in BLOCK_SIZES:
            if at % block:
                continue
            for bits in range(metadata.bits_per_sample, 8, -8):
                profile = match(metadata.sample_rate, bits, metadata.channels, block)
                try:
                    samples = self._samples(at, block)
                except DamagedFileError:
                    return None
                if len(samples) < block:
                    return None
                page = np.empty((1, profile.page_size), np.uint8)
                _cut(samples, profile, page)
                if (found := modulation_of(page[0], profile, probe)) is not None:
                    return found
        return None

    def _samples(self, at: int, count: int) -> Samples:
        """int32 (up to ``count``, channels) from sample ``at`` on, left-justified. Raises ``DamagedFileError``."""
        with self._lock:
            try:
                samples = self._pull(at, count)
            except (RuntimeError, OSError, ValueError) as fault:
                self._forget()
                raise DamagedFileError(
                    f"cannot be decoded: {str(fault) or 'no FLAC frame found'}",
                    file=self.path,
                    place=f"sample {at}",
                ) from fault
        return samples

    def _decode(self, first: int, pages: Bytes) -> bool:
        """Fill ``pages``; False, and zeros, if any of them does not decode. The lock is held."""
        profile = self.profile
        count = len(pages)
        try:
            samples = self._pull(first * profile.block_size, count * profile.block_size)
        except (RuntimeError, OSError, ValueError):
            self._forget()  # a decoder that lost its place fails from then on
            return False
        if samples.shape != (count * profile.block_size, profile.channels):
            self._forget()
            return False
        _cut(samples, profile, pages)
        return True

    def _length(self) -> int:
        with self._lock:
            try:
                return int(self._open().frames)
            except (RuntimeError, OSError) as fault:
                raise DamagedFileError(
                    f"cannot be decoded: {str(fault) or 'no FLAC frame found'}", file=self.path
                ) from fault

    def _find_present(self) -> int:
        """Number of pages up to the last that decodes: one look if the length is true, halving if the file is cut."""
        page = np.empty((1, self.profile.page_size), dtype=np.uint8)
        with self._lock:
            if not self.page_count:
                return self._count_all(page)
            if self._decode(self.page_count - 1, page):
                return self.page_count
            return bisect_left(range(self.page_count), True, key=lambda n: not self._decode(n, page))

    def _count_all(self, page: Bytes) -> int:
        n = 0
        while self._decode(n, page):
            n += 1
        return n

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

        Such a place is reached by decoding on from one before it. Even a good read raises ``BAD_SEEK`` when it comes to the
        end, because soundfile seeks after it; what was read by then is told from what was not by ``UNREAD``.
        """
        sound, start, back = self._open(), at, 0
        while sound.tell() != start:
            try:
                sound.seek(start)
            except RuntimeError:
                if not start:
                    raise
                self._forget()
                sound, back = self._open(), back * 2 or MAX_BLOCK_SIZE
                start = max(0, at - back)
        samples = np.full((at - start + count, sound.channels), UNREAD, dtype=np.int32)
        try:
            sound.read(out=samples)
        except RuntimeError as fault:
            self._forget()
            if getattr(fault, "code", 0) != BAD_SEEK:
                raise
        unread = (samples[:, 0] == UNREAD).nonzero()[0]
        return samples[at - start : unread[0] if len(unread) else None]

    def _open(self) -> Any:
        """The decoder, opened anew after a fault. Raises RuntimeError as libsndfile does."""
        if self._sound is None:
            import soundfile  # only files that were encoded again need it

            self._sound = soundfile.SoundFile(self._file.duplicate(self._start), closefd=True)
        return self._sound

    def _forget(self) -> None:
        sound, self._sound = self._sound, None
        if sound is not None:
            sound.close()


def _cut(samples: Samples, profile: Profile, pages: Bytes) -> None:
    """Fill pages, uint8 (n, page_size), from samples, int32 (n × block_size, channels), left-justified."""
    count = len(pages)
    shape = (count, profile.channels, profile.block_size, profile.bytes_per_sample)
    planes = samples.reshape(count, profile.block_size, profile.channels).transpose(0, 2, 1)
    for byte in range(profile.bytes_per_sample):
        pages.reshape(shape)[..., byte] = planes >> (24 - 8 * byte) & 0xFF
