"""Vectors → the index of one segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I8Array, I32Array, I64Array, U16Array
from audiomem_sql.columns.vector_index import COSINE, FINE, INT8, SMALL, VectorIndexOptions
from audiomem_sql.errors import DataTypeError, LimitError
from audiomem_sql.indexes.vectors.arrays import lengths_of, vectors_of
from audiomem_sql.indexes.vectors.clusters import CHUNK, cluster, means_of
from audiomem_sql.indexes.vectors.codec import USUAL, StepRule, VectorCodec
from audiomem_sql.indexes.vectors.coded import CodedVectors
from audiomem_sql.indexes.vectors.index_format import (
    MAX_CENTRE_BYTES,
    MAX_LIST_BYTES,
    MAX_LISTS,
    IndexHeader,
    encode_list,
)
from audiomem_sql.indexes.vectors.tour import tour
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.spooled_arrays import ArrayRows, Rows, SpooledRows

#: Fewer vectors than this are one list, which every search looks through.
MIN_CLUSTERED = 20_000
#: Vectors of a list on average, in large indexes and, if that makes few lists, in small ones.
LIST_VECTORS = 1000
SMALL_LIST_VECTORS = 66
SMALL_LISTS = 450
#: Centres are rounded to so many standard deviations of a code: finer ones cost more than they save.
CENTRE_ROUNDING = 0.3
#: Bytes of codes that one list may have before the writer makes several for that reason alone.
_SINGLE_LIST_BYTES = MAX_LIST_BYTES // 2
#: Bytes of codes that are held while lists are made of them.
_GROUP_BYTES = 64 << 20
#: Lengths that stay in the codes. Embeddings have length 1, and their decoded forms almost.
NEAR_ONE = (0.75, 1.25)
#: Of vectors that are not compared by their directions: lengths that stay in the codes, in usual ones.
MOST_USUAL = 2.0
#: The steps of ``codes=small``: about 1.3 bits a number, too few for a trellis to save any.
SMALL_STEPS = StepRule(step=1.0, shrink=0.25, least_variance=0.12, trellis=False)
#: The steps of vectors of texts that are to be found more surely.
FINE_STEPS = StepRule(step=0.15, shrink=0.35)
BY_COSINE = VectorIndexOptions()


@dataclass(frozen=True, slots=True, eq=False)
class EncodedIndex:
    """The index of a segment: what :class:`~audiomem_sql.indexes.vectors.index.VectorIndex` reads.

    ``header`` is read when the index is opened, each of ``lists`` when a search comes by. ``borrowed``: the
    header names ``codec`` by its digest only, and a reader has to be given it.
    """

    header: bytes
    lists: list[bytes]
    codec: VectorCodec
    borrowed: bool

    @property
    def size(self) -> int:
        """Bytes of all parts together."""
        return len(self.header) + sum(map(len, self.lists))


@dataclass(frozen=True, slots=True, eq=False)
class IndexParts:
    """What :class:`EncodedIndex` has, with the lists made one by one as somebody asks for them, once."""

    header: bytes
    lists: Iterator[bytes]
    codec: VectorCodec
    borrowed: bool


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
    vectors: float32 (n, d), one vector a row of any length, or the vectors of other indexes as these have
        them. Without ``codec`` the latter keep the codec that they come with.
    present: bool (n,), False where the row has none (NULL); all have one by default.
    codec: the codec of the base, used if its codes can hold the vectors. None, or one that cannot: the index
        has one of its own, trained on the vectors (few of them: whole bytes without a rotation).
    embed: put ``codec`` into the header; otherwise a reader has to be given it. One of its own is always
        there.
    lists: number of lists; by default what suits the number of vectors.

    Raises DataTypeError for vectors of another d than the codec's, and for NaN and infinities.
    """
    if isinstance(vectors, CodedVectors):
        if codec is None or codec.digest == vectors.codec.digest:
            present = _mask(present, len(vectors.codes))
            chosen = present & (vectors.lengths > 0)
            coded = _Coded(vectors.codec, ArrayRows(vectors.codes[chosen]), vectors.lengths[chosen])
            return _collected(_encoded(coded, present, chosen, embed or codec is None, lists))
        vectors = vectors.decoded()
    vectors = np.ascontiguousarray(vectors, np.float32)
    rows = ArrayRows(vectors if vectors.ndim == 2 else vectors_of(vectors))
    return _collected(encoded_parts(rows, present, codec, embed=embed, lists=lists))


def encoded_parts(
    rows: Rows,
    present: BoolArray | None = None,
    codec: VectorCodec | None = None,
    *,
    embed: bool = False,
    lists: int | None = None,
    options: VectorIndexOptions = BY_COSINE,
    parts: int = 1,
) -> IndexParts:
    """:func:`encode_index` of vectors that need not be in memory.

    They come as float32 (any, d) a piece, and are gone through several times. options: how they are compared,
    and how finely they are stored. parts: how many indexes that are searched together share the vectors, each
    with as many.
    """
    present = _mask(present, len(rows))
    chosen, scale, lengths, units = _measured(rows, present, codec.dimensions if codec else None, options)
    codes = _codes(codec, units()) if codec else None
    if codec is None or codes is None:
        embed = True
        codec = _new_codec(units, int(chosen.sum()), rows.width, options.codes)
        codes = _codes(codec, units())
        assert codes is not None, "a codec holds what it was trained on"
    coded = _Coded(codec, codes, lengths[chosen], options.metric, scale)
    try:
        return _encoded(coded, present, chosen, embed, lists, parts)
    except BaseException:
        codes.close()
        raise


def fitted_codec(rows: Rows, present: BoolArray, codes: str) -> VectorCodec:
    """The codec that :func:`encoded_parts` makes for directions, stored as finely as ``codes`` says."""
    chosen, _, _, units = _measured(rows, present, None, BY_COSINE)
    return _new_codec(units, int(chosen.sum()), rows.width, codes)


def _measured(
    rows: Rows, present: BoolArray, dimensions: int | None, options: VectorIndexOptions
) -> tuple[BoolArray, float, F32Array, Callable[[], Iterator[F32Array]]]:
    """Which vectors are coded, their usual length, the lengths of all, and each time the directions anew."""
    sizes = [np.empty(0, np.float32)]
    for piece, own in _pieces(rows, present):
        kept = piece if own.all() else np.where(own[:, None], piece, np.float32(0))
        sizes.append(lengths_of(vectors_of(kept, dimensions)))
    lengths = np.concatenate(sizes)
    if not np.isfinite(lengths).all():
        raise DataTypeError("a vector is longer than float32 can say")
    by_direction = options.metric == COSINE
    chosen = present & (lengths > 0) if by_direction else present
    scale, lengths = (1.0, _near_one(lengths)) if by_direction else _scaled(lengths, present)

    def units() -> Iterator[F32Array]:
        at = 0
        for piece, own in _pieces(rows, chosen):
            own_lengths = lengths[at : at + len(piece)][own]
            at += len(piece)
            piece = piece if own.all() else piece[own]
            divisors = own_lengths if scale == 1.0 else own_lengths * np.float32(scale)
            yield piece if (divisors == 1).all() else piece / divisors[:, None]

    return chosen, scale, lengths, units


def _near_one(lengths: F32Array) -> F32Array:
    near = (lengths >= NEAR_ONE[0]) & (lengths <= NEAR_ONE[1])
    return np.where(near, np.float32(1), lengths)


def _scaled(lengths: F32Array, present: BoolArray) -> tuple[float, F32Array]:
    """The usual length, and each one in units of that: 1 for those that stay in the codes.

    A vector much longer than the others is stored with its length, or the steps of all would be coarse.
    """
    usual = (
        float(np.float32(np.sqrt(np.mean(np.square(lengths[present], dtype=np.float64)))))
        if present.any()
        else 0.0
    )
    usual = usual or 1.0
    relative = lengths / np.float32(usual)
    return usual, np.where(relative <= MOST_USUAL, np.float32(1), relative).astype(np.float32)


def _new_codec(
    units: Callable[[], Iterator[F32Array]], count: int, dimensions: int, codes: str
) -> VectorCodec:
    """A codec for ``count`` vectors, each call of ``units`` going through them."""
    if codes == INT8:
        return VectorCodec.plain_of(units(), dimensions)
    rule = {SMALL: SMALL_STEPS, FINE: FINE_STEPS}.get(codes, USUAL)
    return VectorCodec.trained_on(units, count, dimensions, rule)


def _pieces(rows: Rows, marks: BoolArray) -> Iterator[tuple[F32Array, BoolArray]]:
    """The pieces of ``rows``, each with its part of bool (n,)."""
    at = 0
    for piece in rows.pieces():
        yield piece, marks[at : at + len(piece)]
        at += len(piece)


def _codes(codec: VectorCodec, units: Iterator[F32Array]) -> SpooledRows | None:
    """The codes of vectors; None if one would not fit."""
    codes = SpooledRows(codec.dimensions, "i1")
    try:
        for piece in units:
            encoded = codec.encode(piece)
            if encoded is None:
                codes.close()
                return None
            codes.append(encoded)
    except BaseException:
        codes.close()
        raise
    return codes


def _collected(parts: IndexParts) -> EncodedIndex:
    return EncodedIndex(parts.header, list(parts.lists), parts.codec, parts.borrowed)


def lists_for(count: int, dimensions: int, parts: int = 1) -> int:
    """How many lists suit so many vectors. parts: as of :func:`encoded_parts`.

    Each part has lists all over the space. With as few as its share of those of one index they would be wide,
    and a search would have to look through more of the vectors.
    """
    if not count:
        return 0
    if count * parts < MIN_CLUSTERED:
        lists = 1
    else:
        lists = max(count // LIST_VECTORS, min(SMALL_LISTS, count // SMALL_LIST_VECTORS))
    return max(1, min(MAX_LISTS // 2, count, max(lists, count * dimensions // _SINGLE_LIST_BYTES)))


@dataclass(frozen=True, slots=True, eq=False)
class _Coded:
    """:class:`CodedVectors` without those of zeros, whose codes are gone through in pieces."""

    codec: VectorCodec
    codes: Rows
    lengths: F32Array
    metric: str = COSINE
    scale: float = 1.0


class _Directions:
    """Coded vectors, decoded as somebody asks for them: as unit vectors where only directions count."""

    def __init__(self, coded: _Coded) -> None:
        self._coded = coded
        self.width = coded.codec.dimensions

    def __len__(self) -> int:
        return len(self._coded.codes)

    def pieces(self) -> Iterator[F32Array]:
        at = 0
        for piece in self._coded.codes.pieces():
            for start in range(0, len(piece), CHUNK):
                part = piece[start : start + CHUNK]
                yield self._placed(part, self._coded.lengths[at : at + len(part)])
                at += len(part)

    def take(self, rows: I64Array) -> F32Array:
        return self._placed(self._coded.codes.take(rows), self._coded.lengths[rows])

    def _placed(self, codes: I8Array, lengths: F32Array) -> F32Array:
        directions = self._coded.codec.placed(codes)
        if self._coded.metric != COSINE:
            directions *= lengths[:, None]
            return directions
        directions /= np.maximum(lengths_of(directions), np.float32(1e-12))[:, None]
        return directions


def _encoded(
    coded: _Coded, present: BoolArray, chosen: BoolArray, embed: bool, lists: int | None, parts: int = 1
) -> IndexParts:
    """The index of rows bool (n,) ``chosen``, whose vectors are ``coded``, in their order."""
    codec, count = coded.codec, len(coded.codes)
    lists = lists_for(count, codec.dimensions, parts) if lists is None else min(lists, count, MAX_LISTS // 2)
    numbers, centres = _divided(coded, lists)
    lists = len(centres)
    has_lengths = bool((coded.lengths != 1).any())
    membership: U16Array = np.where(present, lists + 1, lists).astype(np.uint16)
    membership[chosen] = numbers
    header = IndexHeader(
        codec.dimensions,
        has_lengths,
        codec.digest,
        codec.to_bytes() if embed else b"",
        centres,
        membership,
        coded.metric,
        coded.scale,
        codec.trellis.width > 0,
    )
    pieces = _lists(coded, numbers, centres, has_lengths)
    return IndexParts(header.to_bytes(), pieces, codec, not embed)


def _lists(coded: _Coded, numbers: I32Array, centres: I8Array, has_lengths: bool) -> Iterator[bytes]:
    """The bytes of each list.

    Reading the codes means going through all of them, so as many lists as fit into memory are made at a time.
    """
    order = np.argsort(numbers, kind="stable")
    ends = np.concatenate(([0], np.cumsum(np.bincount(numbers, minlength=len(centres)))))
    most = max(1, _GROUP_BYTES // coded.codec.dimensions)
    first = 0
    try:
        while first < len(centres):
            last = max(first + 1, int(np.searchsorted(ends, ends[first] + most, side="right")) - 1)
            group = np.sort(order[ends[first] : ends[last]])
            codes = coded.codes.take(group)
            for number in range(first, last):
                check_interrupt()
                rows = order[ends[number] : ends[number + 1]]
                lengths = coded.lengths[rows] if has_lengths else None
                own = codes[np.searchsorted(group, rows)]
                yield encode_list(number, own, centres[number], lengths, coded.codec.trellis)
            first = last
    finally:
        if isinstance(coded.codes, SpooledRows):
            coded.codes.close()


def _divided(coded: _Coded, lists: int) -> tuple[I32Array, I8Array]:
    """The list of each vector, int32 (n,), and the centres in codes, int8 (lists, d).

    Lists that follow each other are near each other.
    """
    count, dimensions = len(coded.codes), coded.codec.dimensions
    numbers = np.zeros(count, np.int32)
    if lists > 1:
        numbers = cluster(_Directions(coded), lists, spherical=coded.metric == COSINE)
    numbers = _cut(numbers, max(1, MAX_LIST_BYTES // dimensions))
    lists = int(numbers.max(initial=-1)) + 1
    if lists > min(MAX_LISTS, MAX_CENTRE_BYTES // dimensions):
        raise LimitError(f"{count} vectors of {dimensions} numbers are too many for one index")
    centres = _centres(coded.codes, numbers, lists)
    order = tour(coded.codec.placed(centres))
    places = np.empty(lists, np.int32)
    places[order] = np.arange(lists, dtype=np.int32)
    return places[numbers], centres[order]


def _centres(codes: Rows, numbers: I32Array, lists: int) -> I8Array:
    """The middle of each list in codes, int8 (lists, d), roughly."""
    unit = 1
    if lists > 1:
        sample = codes.take(np.arange(0, len(codes), -(-len(codes) // CHUNK)))
        unit = np.maximum(np.rint(CENTRE_ROUNDING * sample.std(axis=0)), 1)
    return (np.rint(means_of(codes, numbers, lists) / unit) * unit).clip(-127, 127).astype(np.int8)


def _cut(numbers: I32Array, most: int) -> I32Array:
    """Lists renumbered without gaps, and those of more than ``most`` vectors cut.

    Equal vectors stay in one cluster, so that a list can be of any length.
    """
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
