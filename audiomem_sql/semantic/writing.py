"""Vectors → the index of one segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiomem_sql.errors import DataTypeError, LimitError
from audiomem_sql.semantic.arrays import F32Array, I8Array, lengths_of, vectors_of
from audiomem_sql.semantic.clusters import IntArray, cluster, means_of
from audiomem_sql.semantic.codec import VectorCodec
from audiomem_sql.semantic.index_format import (
    MAX_CENTRE_BYTES,
    MAX_LIST_BYTES,
    MAX_LISTS,
    IndexHeader,
    U16Array,
    encode_list,
)
from audiomem_sql.types import BoolArray

#: Fewer vectors than this are one list, which every search looks through.
MIN_CLUSTERED = 20_000
#: Vectors of a list on average, in large indexes and, if that makes few lists, in small ones.
LIST_VECTORS = 1000
SMALL_LIST_VECTORS = 400
SMALL_LISTS = 64
#: Bytes of codes that one list may have before the writer makes several for that reason alone.
_SINGLE_LIST_BYTES = MAX_LIST_BYTES // 2
#: Lengths that stay in the codes. Embeddings have length 1, and their decoded forms almost.
NEAR_ONE = (0.75, 1.25)


@dataclass(frozen=True, slots=True, eq=False)
class CodedVectors:
    """Vectors as they are stored: int8 (n, d) in the codes of ``codec``, times float32 (n,) ``lengths``.

    A length of 1 means that the codes hold the length, too; 0 is a vector of zeros, whatever its codes. Handed from one
    index to the next, they stay the same bit by bit.
    """

    codec: VectorCodec
    codes: I8Array
    lengths: F32Array

    def decoded(self) -> F32Array:
        """float32 (n, d)."""
        return self.codec.decode(self.codes) * self.lengths[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedIndex:
    """The index of a segment: what :class:`~audiomem_sql.semantic.index.VectorIndex` reads.

    ``header`` is read when the index is opened, each of ``lists`` when a search comes by. ``borrowed``: the header names
    ``codec`` by its digest only, and a reader has to be given it.
    """

    header: bytes
    lists: list[bytes]
    codec: VectorCodec
    borrowed: bool

    @property
    def size(self) -> int:
        """Bytes of all parts together."""
        return len(self.header) + sum(map(len, self.lists))


def encode_index(
    vectors: F32Array | CodedVectors,
    present: BoolArray | None = None,
    codec: VectorCodec | None = None,
    *,
    embed: bool = False,
    lists: int | None = None,
) -> EncodedIndex:
    """The index of the rows of a segment.

    Parameters
    ----------
    vectors: float32 (n, d), one vector a row of any length, or the vectors of other indexes as these have them. Without
        ``codec`` the latter keep the codec that they come with.
    present: bool (n,), False where the row has none (NULL); all have one by default.
    codec: the codec of the base, used if its codes can hold the vectors. None, or one that cannot: the index has one of its
        own, trained on the vectors (few of them: whole bytes without a rotation).
    embed: put ``codec`` into the header; otherwise a reader has to be given it. One of its own is always there.
    lists: number of lists; by default what suits the number of vectors.

    Raises DataTypeError for vectors of another d than the codec's, and for NaN and infinities.
    """
    if isinstance(vectors, CodedVectors):
        if codec is None or codec.digest == vectors.codec.digest:
            present = _mask(present, len(vectors.codes))
            chosen = present & (vectors.lengths > 0)
            coded = CodedVectors(vectors.codec, vectors.codes[chosen], vectors.lengths[chosen])
            return _encoded(coded, present, chosen, embed or codec is None, lists)
        vectors = vectors.decoded()
    if present is not None and not present.all():
        vectors = np.where(present[:, None], vectors, np.float32(0))
    values = vectors_of(vectors, codec.dimensions if codec else None)
    present = _mask(present, len(values))
    lengths = lengths_of(values)
    if not np.isfinite(lengths).all():
        raise DataTypeError("a vector is longer than float32 can say")
    chosen = present & (lengths > 0)
    if not chosen.all():
        values, lengths = values[chosen], lengths[chosen]
    near = (lengths >= NEAR_ONE[0]) & (lengths <= NEAR_ONE[1])
    lengths = np.where(near, np.float32(1), lengths)
    units = values if near.all() else values / lengths[:, None]
    codes = codec.encode(units) if codec else None
    if codec is None or codes is None:
        embed = True
        codec = VectorCodec.trained(units)
        codes = codec.encode(units)
        assert codes is not None, "a codec holds what it was trained on"
    return _encoded(CodedVectors(codec, codes, lengths), present, chosen, embed, lists)


def lists_for(count: int, dimensions: int) -> int:
    """How many lists suit so many vectors."""
    if not count:
        return 0
    if count < MIN_CLUSTERED:
        wanted = 1
    else:
        wanted = max(count // LIST_VECTORS, min(SMALL_LISTS, count // SMALL_LIST_VECTORS))
    return max(1, min(MAX_LISTS // 2, count, max(wanted, count * dimensions // _SINGLE_LIST_BYTES)))


def _encoded(
    coded: CodedVectors, present: BoolArray, chosen: BoolArray, embed: bool, lists: int | None
) -> EncodedIndex:
    """The index of rows bool (n,) ``chosen``, whose vectors are ``coded``, in their order."""
    codec, codes = coded.codec, coded.codes
    lists = (
        lists_for(len(codes), codec.dimensions) if lists is None else min(lists, len(codes), MAX_LISTS // 2)
    )
    numbers, centres = _divided(coded, lists)
    lists = len(centres)
    has_lengths = bool((coded.lengths != 1).any())
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=lists))
    pieces = []
    for number in range(lists):
        rows = order[ends[number - 1] if number else 0 : ends[number]]
        pieces.append(
            encode_list(number, codes[rows], centres[number], coded.lengths[rows] if has_lengths else None)
        )
    membership: U16Array = np.where(present, lists + 1, lists).astype(np.uint16)
    membership[chosen] = numbers
    header = IndexHeader(
        codec.dimensions,
        has_lengths,
        codec.digest,
        codec.to_bytes() if embed else b"",
        centres,
        membership,
    )
    return EncodedIndex(header.to_bytes(), pieces, codec, not embed)


def _divided(coded: CodedVectors, lists: int) -> tuple[IntArray, I8Array]:
    """The list of each vector, int32 (n,), and the centres in codes, int8 (lists, d)."""
    codes, dimensions = coded.codes, coded.codec.dimensions
    numbers = np.zeros(len(codes), np.int32)
    if lists > 1:
        directions = coded.codec.placed(codes)
        directions /= np.maximum(lengths_of(directions), np.float32(1e-12))[:, None]
        numbers = cluster(directions, lists)
    numbers = _cut(numbers, max(1, MAX_LIST_BYTES // dimensions))
    lists = int(numbers.max(initial=-1)) + 1
    if lists > min(MAX_LISTS, MAX_CENTRE_BYTES // dimensions):
        raise LimitError(f"{len(codes)} vectors of {dimensions} numbers are too many for one index")
    return numbers, np.rint(means_of(codes, numbers, lists)).astype(np.int8)


def _cut(numbers: IntArray, most: int) -> IntArray:
    """Lists renumbered without gaps, and those of more than ``most`` vectors cut: equal vectors stay in one cluster."""
    order = np.argsort(numbers, kind="stable")
    counts = np.bincount(numbers) if len(numbers) else np.zeros(0, np.int64)
    cut = np.empty(len(numbers), np.int32)
    at = number = 0
    for count in counts[counts > 0]:
        for start in range(0, int(count), most):
            cut[order[at + start : at + min(start + most, int(count))]] = number
            number += 1
        at += int(count)
    return cut


def _mask(present: BoolArray | None, rows: int) -> BoolArray:
    if present is None:
        return np.ones(rows, bool)
    if present.shape != (rows,):
        raise DataTypeError(f"{len(present)} marks of presence for {rows} vectors")
    return present
