"""Pieces of postings ⇄ bytes: for some terms the rows that hold them, how often, and where in the row.

The terms of a piece have document frequencies of the same bit length (their class), so that their gaps look
alike and one entropy code serves them. For each posting one byte says the bucket of the gap and the frequency
together; zstd makes of these bytes what their Huffman code allows. The bits inside the bucket do not
compress, and stand packed behind them. docs/KEYWORDS.md has the layout and the figures.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array
from audiomem_sql.blocks.compression import Compressor, Decompressor
from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.indexes.words.bit_packing import MAX_WIDTH, buckets_of, low_bits, pack, unpack, values_of

#: Widest bucket, bytes of an escaped frequency (0, 1, 2, 4), two zero bytes, postings, escaped ones, bytes of
#: the frame.
POSTINGS_HEADER = struct.Struct("<BB2xIII")
#: Occurrences, bytes of the frame.
POSITIONS_HEADER = struct.Struct("<II")
#: A piece of several terms has at most so many postings, or else it has one term.
PIECE_POSTINGS = 1 << 14
#: Occurrences in one piece; a word that a segment holds more often has no positions.
MAX_OCCURRENCES = 1 << 26
#: Rows and positions share an int64 where phrases are looked for.
MAX_POSITION = (1 << 31) - 1
_LEVEL = 19
_COMPRESSOR = Compressor(_LEVEL)
_DECOMPRESSOR = Decompressor()


def encode_postings(rows: I64Array, frequencies: I64Array, counts: I64Array) -> bytes:
    """One piece.

    ``rows`` and ``frequencies`` int64 (p,), term by term, each term's rows ascending; ``counts`` int64 (t,).

    The bit length of all ``counts``, the document frequencies, must be the same.
    """
    gaps = _differences(rows, np.cumsum(counts) - counts)
    buckets = buckets_of(gaps)
    widest = int(buckets.max())
    radix = 256 // (widest + 1)
    symbols = (buckets.astype(np.int64) * radix + np.minimum(frequencies, radix) - 1).astype(np.uint8)
    escaped = frequencies[frequencies >= radix] - radix
    width = _width_of(escaped)
    beyond = escaped.astype(f"<u{width}").tobytes() if width else b""
    frame = _COMPRESSOR.compress(symbols.tobytes() + beyond)
    low = int(counts[0]).bit_length() - 1
    bits = pack(
        np.concatenate([counts.astype(np.uint64) & np.uint64((1 << low) - 1), low_bits(gaps, buckets)]),
        np.concatenate([np.full(len(counts), low, np.uint8), buckets]),
    )
    return POSTINGS_HEADER.pack(widest, width, len(rows), len(escaped), len(frame)) + frame + bits


def encode_positions(positions: I64Array, firsts: I64Array) -> bytes:
    """The piece of positions beside a piece of postings.

    positions: int64 (o,), ascending inside each posting from ``firsts`` on.
    """
    if len(positions) > MAX_OCCURRENCES:
        raise LimitError(
            f"a word occurs {len(positions):,} times in a segment, "
            f"and positions are kept of up to {MAX_OCCURRENCES:,}"
        )
    gaps = _differences(positions, firsts)
    buckets = buckets_of(gaps)
    frame = _COMPRESSOR.compress(buckets.tobytes())
    return POSITIONS_HEADER.pack(len(positions), len(frame)) + frame + pack(low_bits(gaps, buckets), buckets)


@dataclass(frozen=True, slots=True, eq=False)
class PostingsPiece:
    """A piece of postings, its symbols decompressed and nothing else decoded, so that many can be kept.

    ``starts`` int64 (t + 1,): the first posting of each term; ``bit_offsets`` int64 (t,): the bit of each;
    ``symbols`` uint8 (p,); ``escaped`` int64 (e,), ascending: the postings whose frequencies go on, and
    ``beyond`` (e,) by how much.
    """

    starts: I64Array
    bit_offsets: I64Array
    symbols: U8Array
    radix: int
    escaped: I64Array
    beyond: np.ndarray[Any, Any]
    bits: bytes
    row_count: int

    @classmethod
    def decode(cls, data: bytes, size_class: int, terms: int, row_count: int) -> PostingsPiece:
        """A piece of ``terms`` terms, in a segment of ``row_count`` rows.

        Their document frequencies have ``size_class`` bits. Raises DamagedFileError (without a place).
        """
        if len(data) < POSTINGS_HEADER.size:
            raise DamagedFileError("a piece of postings ends inside its header")
        widest, width, postings, escaped, frame = POSTINGS_HEADER.unpack_from(data)
        if widest >= MAX_WIDTH or width not in (0, 1, 2, 4) or escaped > postings:
            raise DamagedFileError("a piece of postings has a header that is never written")
        if postings > (row_count if terms == 1 else PIECE_POSTINGS):
            raise DamagedFileError("a piece of postings is larger than any that is written")
        at = POSTINGS_HEADER.size + frame
        bits = data[at:]
        low = size_class - 1
        if terms * (1 << low) > postings or len(data) < at:
            raise DamagedFileError("a piece of postings is shorter than its terms")
        counts = unpack(bits, np.arange(terms, dtype=np.int64) * low, np.full(terms, low, np.uint8))
        starts = np.zeros(terms + 1, np.int64)
        np.cumsum(counts.astype(np.int64) + (1 << low), out=starts[1:])
        if int(starts[-1]) != postings:
            raise DamagedFileError("a piece of postings contradicts its terms")
        raw = _DECOMPRESSOR.decompress(data[POSTINGS_HEADER.size : at], postings + escaped * width)
        radix = 256 // (widest + 1)
        symbols = np.frombuffer(raw, np.uint8, postings)
        buckets = (symbols.astype(np.uint16) // radix).astype(np.uint8)
        if int(buckets.max()) > widest:
            raise DamagedFileError("a posting lies in a bucket that its piece does not have")
        above = np.flatnonzero(symbols.astype(np.uint16) % radix == radix - 1)
        if len(above) != escaped:
            raise DamagedFileError("a piece of postings contradicts its frequencies")
        beyond = np.frombuffer(raw, f"<u{width}", escaped, postings) if width else np.zeros(escaped, np.uint8)
        ends = np.cumsum(buckets, dtype=np.int64) + terms * low
        if -(-int(ends[-1]) // 8) != len(bits):
            raise DamagedFileError("a piece of postings has the wrong length")
        firsts = starts[:-1]
        offsets = ends[firsts] - buckets[firsts]
        return cls(starts, offsets, symbols, radix, above, beyond, bits, row_count)

    def term(self, ordinal: int) -> tuple[I64Array, I64Array]:
        """The rows of a term, ascending, and how often each holds it: int64 (df,) twice."""
        first, last = int(self.starts[ordinal]), int(self.starts[ordinal + 1])
        buckets = (self.symbols[first:last].astype(np.uint16) // self.radix).astype(np.uint8)
        offsets = int(self.bit_offsets[ordinal]) + np.cumsum(buckets, dtype=np.int64) - buckets
        rows = np.cumsum(values_of(buckets, unpack(self.bits, offsets, buckets)) + 1) - 1
        if int(rows[-1]) >= self.row_count:
            raise DamagedFileError("a posting names a row that is not there")
        return rows, self.frequencies(first, last)

    def terms(self, ordinals: I64Array) -> tuple[I64Array, I64Array]:
        """The same for several terms at once, one behind the other: a prefix may have hundreds."""
        counts = self.starts[ordinals + 1] - self.starts[ordinals]
        postings = ranges(self.starts[ordinals], counts)
        symbols = self.symbols[postings].astype(np.int64)
        buckets = (symbols // self.radix).astype(np.uint8)
        before = np.cumsum(buckets, dtype=np.int64) - buckets
        firsts = np.cumsum(counts) - counts
        offsets = before + np.repeat(self.bit_offsets[ordinals] - before[firsts], counts)
        steps = values_of(buckets, unpack(self.bits, offsets, buckets)) + 1
        sums = np.cumsum(steps)
        rows = sums - np.repeat(sums[firsts] - steps[firsts], counts) - 1
        if int(rows.max()) >= self.row_count:
            raise DamagedFileError("a posting names a row that is not there")
        times = symbols % self.radix + 1
        if len(self.escaped):
            nearest = np.searchsorted(self.escaped, postings).clip(max=len(self.escaped) - 1)
            on = self.escaped[nearest] == postings
            times[on] += self.beyond[nearest[on]]
        return rows, times

    def frequencies(self, first: int, last: int) -> I64Array:
        """How often the rows of some postings hold their terms, int64 (last - first,)."""
        times = self.symbols[first:last].astype(np.int64) % self.radix + 1
        if len(self.escaped):
            low, high = np.searchsorted(self.escaped, (first, last))
            times[self.escaped[low:high] - first] += self.beyond[low:high]
        return times


@dataclass(frozen=True, slots=True, eq=False)
class PositionsPiece:
    """The positions beside a piece of postings.

    ``starts`` int64 (t + 1,): the first occurrence of each term; ``bit_offsets`` int64 (t,): the bit of each;
    ``buckets`` uint8 (o,).
    """

    starts: I64Array
    bit_offsets: I64Array
    buckets: U8Array
    bits: bytes
    postings: PostingsPiece

    @classmethod
    def decode(cls, data: bytes, postings: PostingsPiece) -> PositionsPiece:
        """Raises DamagedFileError (without a place)."""
        if len(data) < POSITIONS_HEADER.size:
            raise DamagedFileError("a piece of positions ends inside its header")
        count, frame = POSITIONS_HEADER.unpack_from(data)
        occurrences = np.zeros(len(postings.symbols) + 1, np.int64)
        np.cumsum(postings.frequencies(0, len(postings.symbols)), out=occurrences[1:])
        if count != int(occurrences[-1]) or count > MAX_OCCURRENCES:
            raise DamagedFileError("a piece of positions contradicts the postings beside it")
        at = POSITIONS_HEADER.size + frame
        buckets = np.frombuffer(_DECOMPRESSOR.decompress(data[POSITIONS_HEADER.size : at], count), np.uint8)
        if int(buckets.max()) >= MAX_WIDTH:
            raise DamagedFileError("a position is larger than any that is written")
        ends = np.cumsum(buckets, dtype=np.int64)
        bits = data[at:]
        if -(-int(ends[-1]) // 8) != len(bits):
            raise DamagedFileError("a piece of positions has the wrong length")
        starts = occurrences[postings.starts]
        firsts = starts[:-1]
        offsets: I64Array = ends[firsts] - buckets[firsts]
        return cls(starts, offsets, buckets, bits, postings)

    def term(self, ordinal: int) -> I64Array:
        """The positions of a term in all its rows, int64 (occurrences,), ascending inside each row."""
        buckets = self.buckets[int(self.starts[ordinal]) : int(self.starts[ordinal + 1])]
        offsets = int(self.bit_offsets[ordinal]) + np.cumsum(buckets, dtype=np.int64) - buckets
        steps = values_of(buckets, unpack(self.bits, offsets, buckets)) + 1
        sums = np.cumsum(steps)
        piece = self.postings
        times = piece.frequencies(int(piece.starts[ordinal]), int(piece.starts[ordinal + 1]))
        firsts = np.cumsum(times) - times
        positions: I64Array = sums - np.repeat(sums[firsts] - steps[firsts], times) - 1
        if int(positions.max()) > MAX_POSITION:
            raise DamagedFileError("a position is larger than any that is written")
        return positions


def ranges(starts: I64Array, counts: I64Array) -> I64Array:
    """start, start + 1, … for each start, count numbers each, one behind the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    indices: I64Array = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
    return indices


def _differences(values: I64Array, firsts: I64Array) -> I64Array:
    """Each value less the one before it and less 1; the values at ``firsts`` as they are."""
    gaps = np.empty(len(values), np.int64)
    gaps[1:] = values[1:] - values[:-1] - 1
    gaps[firsts] = values[firsts]
    return gaps


def _width_of(values: np.ndarray[Any, Any]) -> int:
    top = int(values.max(initial=0))
    return 0 if top == 0 else 1 if top < 1 << 8 else 2 if top < 1 << 16 else 4
