"""Rows that say nearly the same: groups of rows whose vectors point the same way, or whose texts are equal.

Two rows belong together if their similarity, the cosine of their vectors, reaches a threshold; a group is
what such pairs connect. Texts that are cut must be alike as wholes: the means of their passages must reach
the threshold, and so must the mean of the cosines of each passage with the one that is most like it in the
other row (:meth:`~audiomem_sql.search.analyses.long_texts.RowPassages.agreements`).

Up to ``COMPARED_IN_FULL`` different rows every pair is compared. More rows are put into lists by k-means, and
each row is compared with the rows of the lists that are nearest to it. Vectors beyond what the table's
profile keeps in memory are in a temporary file meanwhile, unless there are passages of long texts.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I64Array
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.scan import scan
from audiomem_sql.search.analyses.directions import Directions, Vectors
from audiomem_sql.search.analyses.kmeans import centres_of, nearest_centres
from audiomem_sql.search.analyses.long_texts import RowPassages, further_passages, row_passages
from audiomem_sql.search.embedding.stored_vectors import Searched, column_of_vectors, vectors_by_rowid

#: The cosine of two rows from which on they are taken for the same.
THRESHOLD = 0.95
#: Up to so many rows with different vectors every pair is compared.
COMPARED_IN_FULL = 65_536
#: Rows of a list, and the lists that a row is compared with.
_LIST_ROWS, _LISTS = 500, 4
#: Vectors for each list that training looks at, and how often.
_SAMPLE, _ROUNDS = 32, 6
_BLOCK = 2048
#: A product of float32 is so exact; pairs so near the threshold are computed again.
_ROUNDED = 2e-6


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """Rows of groups, the largest group first, each row once; by rowid in a group.

    groups: int64 (n,), from 1. rowids: int64 (n,). representatives: int64 (n,), the rowid of the row that
    stands for the group. similarities: float64 (n,), of the row with that one.
    """

    groups: I64Array
    rowids: I64Array
    representatives: I64Array
    similarities: F64Array

    def __len__(self) -> int:
        return len(self.groups)


def duplicates(table: Searched, name: str | None = None, threshold: float | None = None) -> Duplicates:
    """The groups of rows that are nearly the same; rows that are like no other are in none.

    name: a column SEMANTIC or FLOAT[n], by default the only one with vectors; or a column TEXT without
    vectors, whose equal texts make groups. QueryError for other columns, OptionError for a threshold that is
    none.
    """
    least = checked_threshold(threshold, table.path)
    schema = table.schema
    texts: int | None = None
    if isinstance(name, str) and schema.columns[schema.index(name)].type.kind is Kind.TEXT:
        texts = schema.index(name)
        if texts not in schema.vectors:
            rowids, values = _texts(table, texts)
            return _grouped(rowids, values, np.empty((0, 1), np.float32), np.full(len(rowids), -1))
    column = column_of_vectors(schema, name, table.path)
    if next(further_passages(table, column), None) is not None:
        return _of_long_texts(table, column, least)
    with contextlib.closing(Directions(table, column)) as vectors:
        return _of_directions(table, column, vectors.rowids, vectors, least)


def _of_long_texts(table: Searched, column: int, least: float) -> Duplicates:
    """The groups where texts are cut. LimitError where the vectors need more memory than there is."""
    rowids, vectors = vectors_by_rowid(table, column)
    passages = row_passages(table, column, rowids, vectors)
    if passages is not None:
        vectors = passages.means()
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    directed = np.flatnonzero(lengths > 0)
    vectors = vectors[directed] / lengths[directed, None].astype(np.float32)
    passages = None if passages is None else passages.of_rows(directed)
    return _of_directions(table, column, rowids[directed], vectors, least, passages)


def _of_directions(
    table: Searched,
    column: int,
    rowids: I64Array,
    vectors: Vectors,
    least: float,
    passages: RowPassages | None = None,
) -> Duplicates:
    """The groups of the rows that have a direction, and of those with equal texts."""
    texts = next((text for text, hidden in table.schema.vectors.items() if hidden == column), None)
    if texts is None:
        places = np.arange(len(rowids))
        roots = _Roots(len(rowids))
    else:
        text_rowids, values = _texts(table, texts)
        vector_rowids, rowids = rowids, np.union1d(text_rowids, rowids)
        places = np.searchsorted(rowids, vector_rowids)
        roots = _Roots(len(rowids))
        text_places = np.searchsorted(rowids, text_rowids)
        roots.join(text_places, text_places[values])
    roots.join(places, places[_first_alike(vectors)])
    vector_rows = np.full(len(rowids), -1)
    vector_rows[places] = np.arange(len(places))
    kept = np.flatnonzero(roots.of(places) == places)
    wholes = None if passages is None else _Wholes(passages, vector_rows, least)
    _join_near(vectors, kept, least, places, roots, wholes)
    return _grouped(rowids, roots.of(np.arange(len(rowids))), vectors, vector_rows, passages)


def checked_threshold(threshold: Any, path: str) -> float:
    """``threshold`` as a number above 0 and up to 1; None: the usual one. OptionError for anything else."""
    if threshold is None:
        return THRESHOLD
    number = isinstance(threshold, int | float | np.number) and not isinstance(threshold, bool)
    if not number or not math.isfinite(threshold) or not 0 < threshold <= 1:
        raise OptionError(
            f"a threshold of {threshold!r:.60} is no similarity",
            file=path,
            remedy="Pass a number above 0 and up to 1, such as 0.95.",
        )
    return float(threshold)


def _texts(table: Searched, column: int) -> tuple[I64Array, I64Array]:
    """Rowids, rising int64 (n,), of rows that have a text, and the first place with the same one: int64 (n,).

    Texts are told apart by 16 bytes of their BLAKE2b hash.
    """
    rowids: list[I64Array] = [np.empty(0, np.int64)]
    digests: list[bytes] = []
    for batch in scan(table.readable, (column,), table.filters, row_filter=table.row_filter):
        texts = batch.arrays[0].cast(pa.large_binary())
        rowids.append(batch.rowids[np.asarray(texts.is_valid())])
        digests.append(b"".join(_digest(text) for text in texts.drop_null().to_pylist()))
    all_rowids = np.concatenate(rowids)
    order = np.argsort(all_rowids, kind="stable")
    pairs = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)[order]
    _, firsts, back = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    return all_rowids[order], firsts[back.reshape(-1)].astype(np.int64)


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).digest()


def _first_alike(vectors: Vectors) -> I64Array:
    """The first place of float32 (n, d) with the same vector, for each place: int64 (n,)."""
    keys: F64Array = np.empty(len(vectors))
    for part in _parts(np.arange(len(vectors))):
        check_interrupt()
        block = vectors[part]
        keys[part] = (block * _mixing(block.shape[1])).sum(axis=1)  # in one order for each row
    _, firsts, back = np.unique(keys, return_index=True, return_inverse=True)
    first = firsts[back].astype(np.int64)
    for part in _parts(np.flatnonzero(first != np.arange(len(vectors)))):
        differs = (vectors[part] != vectors[first[part]]).any(axis=1)
        first[part[differs]] = part[differs]
    return first


def _mixing(width: int) -> F64Array:
    """Random numbers, whose products with vectors are equal where these are, and hardly anywhere else."""
    return np.random.default_rng(1).standard_normal(width)


def _parts(rows: I64Array) -> Iterator[I64Array]:
    """``rows``, as many as are compared at once."""
    return (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))


class _Roots:
    """Which of n things are connected: each leads to the least of its group."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count)

    def of(self, places: I64Array) -> I64Array:
        """The least thing of the group of each."""
        roots = self._parents[places]
        while True:
            above = self._parents[roots]
            if (above == roots).all():
                return roots
            roots = above

    def join(self, one: I64Array, other: I64Array) -> None:
        """Connect pairs."""
        while len(one):
            one, other = self.of(one), self.of(other)
            apart = one != other
            low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
            np.minimum.at(self._parents, high, low)
            one, other = low, high


@dataclass(frozen=True, slots=True, eq=False)
class _Wholes:
    """Tells whether rows that are cut are alike passage by passage.

    rows: int64 (any,), which row of ``passages`` stands at a place.
    """

    passages: RowPassages
    rows: I64Array
    least: float

    def alike(self, one: I64Array, other: I64Array, roots: _Roots) -> BoolArray:
        """Which pairs of places are, bool (n,), equal ``one`` together; all that have one passage each.

        Pairs that are connected already are not looked at.
        """
        alike = np.ones(len(one), np.bool_)
        is_cut = self.passages.is_cut
        asked = np.flatnonzero(
            (is_cut[self.rows[one]] | is_cut[self.rows[other]]) & (roots.of(one) != roots.of(other))
        )
        for some in np.split(asked, np.flatnonzero(np.diff(one[asked])) + 1):
            if len(some):
                check_interrupt()
                found = self.passages.agreements(int(self.rows[one[some[0]]]), self.rows[other[some]])
                alike[some] = found >= self.least - _ROUNDED
        return alike


def _join_near(
    vectors: Vectors,
    rows: I64Array,
    least: float,
    places: I64Array,
    roots: _Roots,
    wholes: _Wholes | None = None,
) -> None:
    """Connect those of int64 (m,) ``rows`` whose vectors, of length 1, have a cosine of ``least`` or more.

    wholes: of rows that are cut, these must be alike, too.

    places: int64 (n,), the place of each row in ``roots``.
    """

    def join(one_rows: I64Array, ones: F32Array, other_rows: I64Array, others: F32Array) -> None:
        check_interrupt()
        products = ones @ others.T
        one, other = np.nonzero(products >= np.float32(least - _ROUNDED))
        near = products[one, other] < least + _ROUNDED
        if near.any():
            exact = np.einsum("ij,ij->i", ones[one[near]], others[other[near]], dtype=np.float64)
            kept = ~near
            kept[near] = exact >= least
            one, other = one[kept], other[kept]
        one, other = places[one_rows[one]], places[other_rows[other]]
        if wholes is not None:
            alike = wholes.alike(one, other, roots)
            one, other = one[alike], other[alike]
        roots.join(one, other)

    if len(rows) <= COMPARED_IN_FULL:
        for number, part in enumerate(_parts(rows)):
            ones = vectors[part]
            for others in _parts(rows[number * _BLOCK :]):
                join(part, ones, others, vectors[others])
        return
    some = _Some(vectors, rows)
    centres = centres_of(some, len(rows) // _LIST_ROWS, sample=_SAMPLE, rounds=_ROUNDS)
    lists = np.concatenate([nearest_centres(vectors[part], centres, count=_LISTS) for part in _parts(rows)])
    members = _by_number(lists[:, 0], len(centres))
    askers = _by_number(lists.ravel(), len(centres))
    for number, of_list in enumerate(members):
        for others in _parts(rows[of_list]):
            other_vectors = vectors[others]
            for asking in _parts(rows[askers[number] // lists.shape[1]]):
                join(asking, vectors[asking], others, other_vectors)


@dataclass(frozen=True, slots=True, eq=False)
class _Some:
    """Some rows of vectors, as vectors."""

    vectors: Vectors
    rows: I64Array

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: I64Array) -> F32Array:
        return self.vectors[self.rows[places]]


def _by_number(numbers: I64Array, count: int) -> list[I64Array]:
    """The places that hold each number below ``count``."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.searchsorted(numbers[order], np.arange(1, count)))


def _grouped(
    rowids: I64Array,
    roots: I64Array,
    vectors: Vectors,
    vector_rows: I64Array,
    passages: RowPassages | None = None,
) -> Duplicates:
    """The groups of two rows or more.

    roots: int64 (n,), the first row of the group of each. vector_rows: int64 (n,), where the vector of each
    is in float32 (any, d) vectors of length 1; -1: it has none.
    """
    sizes = np.bincount(roots, minlength=len(roots))
    rows = np.flatnonzero(sizes[roots] > 1)
    rows = rows[np.lexsort((rows, roots[rows], -sizes[roots[rows]]))]
    runs = _run_numbers(roots[rows])
    bounds = np.searchsorted(runs, np.arange(runs[-1] + 2)) if len(runs) else np.zeros(1, np.int64)
    representatives = np.empty(len(rows), np.int64)
    similarities = np.ones(len(rows))
    for start, end in pairwise(bounds.tolist()):
        of_group = rows[start:end]
        middle = of_group[0]
        numbers = vector_rows[of_group]
        if (numbers >= 0).all():
            place, similarities[start:end] = _middle(vectors, numbers)
            middle = of_group[place]
            if passages is not None:
                agreements = passages.agreements(int(numbers[place]), numbers)
                similarities[start:end] = np.minimum(similarities[start:end], np.round(agreements, 6))
        representatives[start:end] = rowids[middle]
    return Duplicates(runs + 1, rowids[rows], representatives, similarities)


def _middle(vectors: Vectors, rows: I64Array) -> tuple[int, F64Array]:
    """The place of the row in the middle of int64 (m,) ``rows``, and the similarities of all with it."""
    total: F64Array | None = None
    for part in _parts(rows):
        block = vectors[part].astype(np.float64)
        total = block.sum(axis=0) if total is None else np.concatenate([total[None], block]).sum(axis=0)
    assert total is not None
    fits = _products(vectors, rows, total / len(rows))
    place = int(np.argmax(fits >= fits.max() - 1e-9))
    similarities = _products(vectors, rows, vectors[rows[place : place + 1]][0].astype(np.float64))
    return place, np.minimum(np.round(similarities, 6), 1.0)


def _products(vectors: Vectors, rows: I64Array, other: F64Array) -> F64Array:
    """The products of the vectors of ``rows`` with one: float64 (m,)."""
    return np.concatenate([vectors[part].astype(np.float64) @ other for part in _parts(rows)])


def _run_numbers(values: I64Array) -> I64Array:
    """The number of the run of equal values that each stands in, from 0."""
    if not len(values):
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])
