"""Blocks of a dictionary of terms ⇄ bytes: ascending, each without what it shares with the one before."""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array, distinct
from audiomem_sql.blocks.compression import Compressor, Decompressor
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.words.tokenizer import MAX_TERM_BYTES

#: Bytes of a length (1, 2); bytes of the frames of shared bytes, of lengths, of classes; bytes of the text.
#: The fourth frame is the text: each of the four compresses better alone.
BLOCK_HEADER = struct.Struct("<BHHHI")
BLOCK_TERMS = 2048
#: A term repeats at most so many bytes of the one before it, so that a block's size bounds what it decodes
#: to.
MAX_SHARED = 255
_COMPRESSOR = Compressor(19)
_DECOMPRESSOR = Decompressor()


def shared_bytes(a: bytes, b: bytes) -> int:
    """How many bytes two terms have in common at their beginning."""
    for size, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return size
    return min(len(a), len(b))


def encode_terms(terms: list[bytes], classes: U8Array) -> bytes:
    """One block: ``terms`` ascending; ``classes`` uint8 (t,), the bit length of each document frequency."""
    shared = [0, *(min(shared_bytes(*pair), MAX_SHARED) for pair in pairwise(terms))]
    rests = [term[same:] for term, same in zip(terms, shared, strict=True)]
    lengths = np.array([len(rest) for rest in rests])
    width = 1 if int(lengths.max()) < 1 << 8 else 2
    text = b"".join(rests)
    streams = bytes(shared), lengths.astype(f"<u{width}").tobytes(), classes.tobytes(), text
    frames = [_COMPRESSOR.compress(stream) for stream in streams]
    return BLOCK_HEADER.pack(width, *map(len, frames[:3]), len(text)) + b"".join(frames)


@dataclass(frozen=True, slots=True, eq=False)
class TermBlock:
    """The terms of one block, ascending.

    ``classes`` uint8 (t,); ``before`` int64 (t,): so many terms of the block stand before each and have its
    class.
    """

    terms: list[bytes]
    classes: U8Array
    before: I64Array

    @classmethod
    def decode(cls, data: bytes, count: int) -> TermBlock:
        """A block of ``count`` terms. Raises DamagedFileError (without a place)."""
        if len(data) < BLOCK_HEADER.size:
            raise DamagedFileError("a block of terms ends inside its header")
        width, *frames, size = BLOCK_HEADER.unpack_from(data)
        if width not in (1, 2) or size > count * MAX_TERM_BYTES:
            raise DamagedFileError("a block of terms has a size that is never written")
        raws: list[bytes] = []
        start = BLOCK_HEADER.size
        for frame, raw_size in zip([*frames, len(data)], (count, count * width, count, size), strict=True):
            raws.append(_DECOMPRESSOR.decompress(data[start : start + frame], raw_size))
            start += frame
        shared, text = raws[0], raws[3]
        lengths = np.frombuffer(raws[1], f"<u{width}").astype(np.int64)
        classes = np.frombuffer(raws[2], np.uint8)
        if int(lengths.sum()) != size:
            raise DamagedFileError("a block of terms is not as long as its terms")
        if not 1 <= int(classes.min()) <= int(classes.max()) <= 32:
            raise DamagedFileError("a term has no rows")
        terms: list[bytes] = []
        last = b""
        at = 0
        for same, length in zip(shared, lengths.tolist(), strict=True):
            term = last[:same] + text[at : at + length]
            if same > len(last) or term <= last:
                raise DamagedFileError("the terms of a block do not ascend")
            terms.append(term)
            last = term
            at += length
        before = np.empty(count, np.int64)
        for size_class in distinct(classes):
            members = np.flatnonzero(classes == size_class)
            before[members] = np.arange(len(members))
        return cls(terms, classes, before)

    def position_of(self, term: bytes) -> int | None:
        """The position of ``term`` in the block, or None if it is not there."""
        position = bisect_left(self.terms, term)
        return position if position < len(self.terms) and self.terms[position] == term else None
