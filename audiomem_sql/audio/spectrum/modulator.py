"""Bytes to sound: pages as samples.

What is one operation for many pages is done for many: the codes of the bands for all pages that are handed
over, transforms for as many blocks as stay in a processor's cache. Every block is decided about for itself,
so that the same page is the same sound among whatever others it is written, and on however many threads.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from audiomem_sql.arrays import distinct
from audiomem_sql.audio.flac.false_headers import false_headers
from audiomem_sql.audio.flac.frames import Bytes, Flags, Numbers
from audiomem_sql.audio.spectrum.bits import Words, from_gray
from audiomem_sql.audio.spectrum.control import CONTROL, SEEDS, control_levels
from audiomem_sql.audio.spectrum.plans import CODEWORD
from audiomem_sql.audio.spectrum.shape import Shape
from audiomem_sql.audio.spectrum.slots import Slot
from audiomem_sql.audio.spectrum.transform import BLOCKS, DCT, GROUP, packed, transforms
from audiomem_sql.errors import LimitError
from audiomem_sql.machine.hardware import processors
from audiomem_sql.machine.thread_pool import ThreadPool

MARGIN = 0.02
"""By so much a coefficient stays away from the border between two levels, when it is written."""
MAX_THREADS = 4
"""Threads that write, where there are as many processors."""
FIXES = 8
"""How often a block is nudged away from borders before another seed is tried."""


class Modulator:
    """For one modulation."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._checked = shape.distance <= 2 * DCT**0.5  # beyond that, rounding changes no level

    def modulate(self, pages: Bytes) -> Bytes:
        """Pages, uint8 (n, page_size), as samples, uint8 (n, sound_size).

        Frame by frame, laid out as FlacWriter wants them.
        """
        shape = self._shape
        out = np.empty((len(pages), shape.sound_size), np.uint8)
        threads = max(1, min(MAX_THREADS, processors(), len(pages) * shape.units // GROUP, len(pages)))
        cuts = [len(pages) * i // threads for i in range(threads + 1)]
        parts = [slice(first, stop) for first, stop in pairwise(cuts)]
        if threads == 1:
            self._modulate(pages, out)
            return out
        with ThreadPool(threads, thread_name_prefix="audiomem-sound") as pool:
            for _ in pool.map(lambda part: self._modulate(pages[part], out[part]), parts):
                pass
        return out

    def _modulate(self, pages: Bytes, out: Bytes) -> None:
        """Fill ``out`` with the samples of pages."""
        shape = self._shape
        sound = out.reshape(len(pages) * shape.units, -1)
        words = self._words(pages)
        seeds = np.zeros(len(sound), np.int64)
        rows = np.arange(len(sound))
        while len(rows):
            bad = []
            for at in range(0, len(rows), GROUP):
                some = rows[at : at + GROUP]
                levels = self._levels(words[some], seeds[some], some % shape.units)
                for first in range(0, len(some), BLOCKS):
                    part = slice(first, first + BLOCKS)
                    coefficients = self._coefficients(
                        levels[part], seeds[some[part]], some[part] % shape.units
                    )
                    samples = self._samples(coefficients)
                    unfit = self._unfit(samples, coefficients)
                    own = some[part]
                    if own[-1] - own[0] == len(own) - 1:
                        written = sound[own[0] : own[-1] + 1]
                        packed(samples, shape.profile, out=written)
                    else:
                        sound[own] = written = packed(samples, shape.profile).reshape(len(own), -1)
                    bad.append(own[unfit | false_headers(written)])
            rows = np.concatenate(bad)
            if shape.mode.lossy:  # where seeds can be made out only if all blocks of a page have the same
                rows = (
                    distinct(rows // shape.units)[:, None] * shape.units + np.arange(shape.units)
                ).reshape(-1)
            seeds[rows] += 1
            if len(rows) and seeds[rows].max() >= SEEDS:
                raise LimitError("no scrambling keeps these bytes below full scale")  # 2 ** -4096 by chance

    def _words(self, pages: Bytes) -> Words:
        """What is stored of pages, uint8 (n, page_size): the words of all bands side by side.

        uint64 (n × units, words).
        """
        shape = self._shape
        words = np.empty((len(pages) * shape.units, shape.columns[-1].stop), np.uint64)
        for (slot, start, stop), columns in zip(shape.parts, shape.columns, strict=True):
            words[:, columns] = self._stored(slot, pages[:, start:stop])
        return words

    def _stored(self, slot: Slot, payload: Bytes) -> Words:
        """What a band stores of its part of pages, uint8 (n, …): uint64 (n × units, words), little-endian."""
        count, there = payload.shape
        stored = np.zeros((count, slot.stored), np.uint8)
        stored[:, :there] = payload
        code = slot.code
        if code is not None:
            depth = slot.codewords  # interleaved, with the data first as it was
            data = stored[:, : code.k * depth].reshape(count, code.k, depth).transpose(1, 0, 2)
            parity = code.parity(np.ascontiguousarray(data).reshape(code.k, count * depth).T)
            behind = stored[:, code.k * depth : CODEWORD * depth].reshape(count, code.parities, depth)
            behind[...] = parity.reshape(count, depth, code.parities).transpose(0, 2, 1)
        return stored.view("<u8").reshape(count * self._shape.units, slot.words)

    def _levels(self, words: Words, seeds: Numbers, units: Numbers) -> Any:
        """Levels of all coefficients, (n, DCT), by the words of blocks; 0 is the lowest.

        words: are changed. units: the numbers of the blocks in their pages.
        """
        shape = self._shape
        shape.scramble(words, seeds, units)
        words = from_gray(words, shape.bits)
        levels = np.zeros((len(words), DCT), shape.level)
        for field_number, (shift, bits) in enumerate(shape.fields):
            field = (words >> np.uint64(shift) & np.uint64((1 << bits) - 1)).astype(shape.level)
            for slot, columns in zip(shape.slots, shape.columns, strict=True):
                start = slot.starts[field_number]
                levels[:, start : start + slot.words] = field[:, columns]
        return levels

    def _coefficients(self, levels: Any, seeds: Numbers, units: Numbers) -> Any:
        """The coefficients, (n, DCT), by the levels of blocks, which are changed."""
        shape = self._shape
        levels *= 2
        levels -= shape.tops
        coefficients = np.multiply(levels, shape.distance / 2, dtype=shape.precision)
        control = control_levels(seeds, shape.mode, units) * shape.control_distance
        coefficients[:, shape.first : shape.first + CONTROL] = control
        return coefficients

    def _samples(self, coefficients: Any, *, spent: bool = False) -> Any:
        samples = transforms().idct(coefficients, type=2, norm="ortho", axis=-1, overwrite_x=spent)
        return np.rint(samples, out=samples)

    def _unfit(self, samples: Any, coefficients: Any) -> Flags:
        """Blocks that are too loud, or that would not be read as they are.

        The others are nudged until they are.
        """
        shape = self._shape
        bad = np.asarray((samples.max(axis=-1) > shape.peak) | (samples.min(axis=-1) < -shape.peak))
        if not self._checked:
            return bad
        units, wanted, nudged = np.arange(len(samples)), coefficients, coefficients
        room = shape.distance / 2 - MARGIN
        for attempt in range(FIXES + 1):
            error = transforms().dct(samples[units], type=2, norm="ortho", axis=-1, overwrite_x=True)
            error -= wanted
            off = (error.max(axis=-1) > room) | (error.min(axis=-1) < -room)
            off &= ~bad[units]
            error = error[off]
            error *= shape.carries
            units, wanted, nudged = units[off], wanted[off], nudged[off]
            row, coefficient = np.nonzero(np.abs(error) > room)
            if attempt == FIXES:
                bad[units[row]] = True
            elif len(row):
                there = error[row, coefficient]
                nudged[row, coefficient] -= np.sign(there) * (np.abs(there) - room + 0.1)
                off = np.bincount(row, minlength=len(units)) > 0
                units, wanted, nudged = units[off], wanted[off], nudged[off]
                samples[units] = self._samples(nudged)
                bad[units] = np.abs(samples[units]).max(axis=-1) > shape.peak
            if not len(row):
                break
        return bad
