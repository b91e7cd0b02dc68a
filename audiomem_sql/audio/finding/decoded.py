"""Pages of a file that was encoded again.

Another encoder may choose any frame length and leave all metadata out; the samples are the same, and pages
are cut from them: page n is samples ``n × block_size`` to ``(n + 1) × block_size``. Decoding is libsndfile's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from audiomem_sql.audio.finding.modulated import modulation_of
from audiomem_sql.audio.flac.decoder import UNKNOWN_LENGTH, Decoder, Samples
from audiomem_sql.audio.flac.frames import HEAD_BYTES, Bytes
from audiomem_sql.audio.flac.metadata import Metadata
from audiomem_sql.audio.flac.profiles import BITS_PER_SAMPLE, BLOCK_STEP, MAX_BLOCK_SIZE, Profile, match
from audiomem_sql.audio.source import (
    Flags,
    PageSource,
    Probe,
)
from audiomem_sql.audio.spectrum.plans import BLOCK_SIZES, Mode
from audiomem_sql.audio.spectrum.spectrum import Spectrum
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError, OptionError

LATER = (0.25, 0.5, 0.75)
"""Where else, as shares of the length, pages are looked for if there is none at the front."""

FAILED_BYTES = 8 << 20
"""Bytes that may be read in vain at the front: a place that does not decode can cost a search of it all, …"""
LEAST_FAILURES, MOST_FAILURES = 4, 48
"""… and places that may fail, whatever its size. Then only stretches all over the file are looked at."""


class DecodedPages(PageSource):
    """A ``PageSource`` that decodes; the file may come from any FLAC encoder.

    Takes over ``file``. One thread decodes at a time. The depth is the stream's, or 16 bits where a 16-bit
    file was stored in 24. Where the stream ends early, opening decodes a few places to find its end, and
    damage there can make ``present`` too low; where it does not say how long it is, opening decodes it all.

    Raises ``NotAudioMemoryError`` if ``probe`` finds no page, ``DamagedFileError`` if nothing can be decoded.
    """

    verbatim = False
    in_place = False
    mode: Mode | None = None

    def __init__(self, file: ByteSource, start: int, metadata: Metadata, probe: Probe) -> None:
        self.file = file
        self.path = file.name
        self.application = metadata.application
        self.comments = metadata.comments
        self._decoder = Decoder(file, start)
        #: How the pages are modulated; None for those that are the samples themselves.
        self.spectrum: Spectrum | None = None
        try:
            bits, block_size = self._identify(metadata, probe)
            try:
                self.profile = match(metadata.sample_rate, bits, metadata.channels, block_size)
            except OptionError as fault:
                raise NotAudioMemoryError(f"not a table: {fault.what}", file=self.path) from fault
            self.page_size = self.profile.page_size
            length = self._decoder.length()
            self.page_count = length // block_size if length < UNKNOWN_LENGTH else 0
            self.present = self._find_present()
            self.page_count = self.page_count or self.present
        except BaseException:
            self.close()
            raise

    def read_checked(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """The same with a flag a page; a page that does not decode, or is not there, is zeros and False."""
        pages = np.zeros((count, self.profile.page_size), dtype=np.uint8)
        ok = np.zeros(count, dtype=np.bool_)
        there = max(0, min(count, self.present - first))
        if there and self._decode(first, pages[:there]):
            ok[:there] = True
        elif there > 1:
            for index in range(there):
                ok[index] = self._decode(first + index, pages[index : index + 1])
        return pages, ok

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        self._decoder.close()

    def _identify(self, metadata: Metadata, probe: Probe) -> tuple[int, int]:
        """Depth and block size, by the first place with a page header.

        That is frame 0, unless that one is damaged.
        """
        if metadata.bits_per_sample not in BITS_PER_SAMPLE:
            raise NotAudioMemoryError(
                f"not a table: {metadata.bits_per_sample} bits per sample",
                file=self.path,
                remedy="Tables have 16 or 24",
            )
        fault: NotAudioMemoryError | DamagedFileError | None = None
        for at, samples in self._heads(metadata.total_samples):
            if isinstance(samples, DamagedFileError):
                fault = fault or samples
                continue
            if len(samples) < HEAD_BYTES:
                continue
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
                return spectrum.shape.profile.bits_per_sample, spectrum.shape.profile.block_size
        raise fault or NotAudioMemoryError(
            "not a table: this FLAC file holds sound only",
            file=self.path,
            remedy="Open a file made by audiomem create",
        )

    def _heads(self, total: int) -> Iterator[tuple[int, Samples | DamagedFileError]]:
        """Where pages may begin, and the samples there.

        At the front each is read alone, since some may be damaged. In case those were changed, stretches all
        over the file follow, each read at once.
        """
        end = min(MAX_BLOCK_SIZE, total or MAX_BLOCK_SIZE)
        failures = max(LEAST_FAILURES, min(MOST_FAILURES, FAILED_BYTES // self.file.size))
        for at in range(0, end + 1, BLOCK_STEP):
            try:
                yield at, self._decoder.samples(at, HEAD_BYTES)
            except DamagedFileError as fault:
                yield at, fault
                failures -= 1
                if not failures:
                    break
        for share in LATER:
            first = max(end + 1, int(total * share)) // BLOCK_STEP * BLOCK_STEP
            if first >= total:
                continue
            try:
                stretch = self._decoder.samples(first, MAX_BLOCK_SIZE)
            except DamagedFileError as fault:
                yield first, fault
                continue
            for at in range(0, len(stretch), BLOCK_STEP):
                yield first + at, stretch[at : at + HEAD_BYTES]

    def _modulation(self, at: int, metadata: Metadata, probe: Probe) -> Spectrum | None:
        """The modulation of a page at sample ``at``."""
        for block in BLOCK_SIZES:
            if at % block:
                continue
            for bits in range(metadata.bits_per_sample, 8, -8):
                profile = match(metadata.sample_rate, bits, metadata.channels, block)

                def frames(first: int, count: int, profile: Profile = profile) -> Bytes:
                    size = profile.block_size
                    samples = np.zeros((count * size, profile.channels), np.int32)
                    there = self._decoder.samples(first * size, count * size)
                    samples[: len(there)] = there
                    pages = np.empty((count, profile.page_size), np.uint8)
                    cut_pages(samples, profile, pages)
                    return pages

                try:
                    if len(self._decoder.samples(at, block)) < block:
                        return None
                    page = frames(at // block, 1)[0]
                    spectrum = modulation_of(page, profile, probe, at // block, frames)
                except DamagedFileError:
                    return None
                if spectrum is not None:
                    return spectrum
        return None

    def _decode(self, first: int, pages: Bytes) -> bool:
        """Fill ``pages``; False, and zeros, if any of them does not decode."""
        profile = self.profile
        count = len(pages)
        try:
            samples = self._decoder.samples(first * profile.block_size, count * profile.block_size)
        except DamagedFileError:
            return False
        if samples.shape != (count * profile.block_size, profile.channels):
            self._decoder.forget()
            return False
        cut_pages(samples, profile, pages)
        return True

    def _find_present(self) -> int:
        """Number of pages up to the last that decodes.

        One look tells if the length is true; if the file is cut, the end is found by halving.
        """
        page = np.empty((1, self.profile.page_size), dtype=np.uint8)
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


def cut_pages(samples: Samples, profile: Profile, pages: Bytes) -> None:
    """Fill pages, uint8 (n, page_size), from samples, int32 (n × block_size, channels), left-justified."""
    count = len(pages)
    shape = (count, profile.channels, profile.block_size, profile.bytes_per_sample)
    planes = samples.reshape(count, profile.block_size, profile.channels).transpose(0, 2, 1)
    for byte in range(profile.bytes_per_sample):
        pages.reshape(shape)[..., byte] = planes >> (24 - 8 * byte) & 0xFF
