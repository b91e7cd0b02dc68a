"""Rows that say nearly the same: groups of rows whose vectors point the same way, or whose texts are equal.

Two rows belong together if their similarity, the cosine of their vectors, reaches a threshold; a group is
what such pairs connect. Texts that are cut must be alike as wholes: the means of their passages must reach
the threshold, and so must the mean of the cosines of each passage with the one that is most like it in the
other row (:meth:`~audiomem_sql.search.analyses.long_texts.RowPassages.agreements`).

Up to ``COMPARED_IN_FULL`` different rows every pair is compared. More rows are put into lists by k-means, and
each row is compared with the rows of the lists that are nearest to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I64Array
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.scan import scan
from audiomem_sql.search.analyses.kmeans import centres_of, nearest_centres
from audiomem_sql.search.analyses.long_texts import RowPassages, row_passages
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
            vectors = np.empty((0, 1), np.float32)
            return _grouped(rowids, _first_equal(values), vectors, np.full(len(rowids), -1))
    column = column_of_vectors(schema, name, table.path)
    rowids, vectors = vectors_by_rowid(table, column)
    passages = row_passages(table, column, rowids, vectors)
    if passages is not None:
        vectors = passages.means()
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    directed = lengths > 0
    rowids, vectors = rowids[directed], vectors[directed]
    vectors /= lengths[directed, None].astype(np.float32)
    passages = None if passages is None else passages.of_rows(np.flatnonzero(directed))
    texts = next((text for text, hidden in schema.vectors.items() if hidden == column), None)
    if texts is None:
        places = np.arange(len(rowids))
        roots = _Roots(len(rowids))
    else:
        text_rowids, values = _texts(table, texts)
        vector_rowids, rowids = rowids, np.union1d(text_rowids, rowids)
        places = np.searchsorted(rowids, vector_rowids)
        roots = _Roots(len(rowids))
        text_places = np.searchsorted(rowids, text_rowids)
        roots.join(text_places, text_places[_first_equal(values)])
    roots.join(places, places[_first_alike(vectors)])
    vector_rows = np.full(len(rowids), -1)
    vector_rows[places] = np.arange(len(places))
    kept = roots.of(places) == places
    wholes = None if passages is None else _Wholes(passages, vector_rows, least)
    _join_near(vectors[kept], least, places[kept], roots, wholes)
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


def _texts(table: Searched, column: int) -> tuple[I64Array, pa.Array]:
    """Rowids, rising int64 (n,), and the texts beside them, of rows that have one."""
    rowids: list[I64Array] = [np.empty(0, np.int64)]
    pieces: list[pa.Array] = [pa.array([], pa.string())]
    for batch in scan(table.readable, (column,), table.filters, row_filter=table.row_filter):
        texts = batch.arrays[0].cast(pa.string())
        there = np.asarray(texts.is_valid())
        rowids.append(batch.rowids[there])
        pieces.append(texts.drop_null())
    all_rowids = np.concatenate(rowids)
    order = np.argsort(all_rowids, kind="stable")
    return all_rowids[order], pa.concat_arrays(pieces).take(pa.array(order))


def _first_equal(values: pa.Array) -> I64Array:
    """The first place with the same value, for each place: int64 (n,)."""
    codes = np.asarray(values.dictionary_encode().indices).astype(np.int64)
    _, firsts, back = np.unique(codes, return_index=True, return_inverse=True)
    return firsts[back].astype(np.int64)


def _first_alike(vectors: F32Array) -> I64Array:
    """The first place of float32 (n, d) with the same vector, for each place: int64 (n,)."""
    mixing = np.random.default_rng(1).standard_normal(vectors.shape[1])
    _, firsts, back = np.unique(vectors @ mixing, return_index=True, return_inverse=True)
    first = firsts[back].astype(np.int64)
    places = np.arange(len(vectors))
    differs = np.ones(len(vectors), np.bool_)
    for start in range(0, len(vectors), _BLOCK):
        part = slice(start, start + _BLOCK)
        differs[part] = (vectors[part] != vectors[first[part]]).any(axis=1)
    return np.where(differs, places, first)


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
        """Which pairs of places are, bool (n,), by rising ``one``; all that have one passage each.

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
    vectors: F32Array, least: float, places: I64Array, roots: _Roots, wholes: _Wholes | None = None
) -> None:
    """Connect the rows whose vectors, float32 (n, d) of length 1, have a cosine of ``least`` or more.

    wholes: of rows that are cut, these must be alike, too.
    """

    def join(rows: F32Array, row_places: I64Array, others: F32Array, other_places: I64Array) -> None:
        check_interrupt()
        products = rows @ others.T
        one, other = np.nonzero(products >= np.float32(least - _ROUNDED))
        near = products[one, other] < least + _ROUNDED
        if near.any():
            exact = np.einsum("ij,ij->i", rows[one[near]], others[other[near]], dtype=np.float64)
            kept = ~near
            kept[near] = exact >= least
            one, other = one[kept], other[kept]
        one, other = row_places[one], other_places[other]
        if wholes is not None:
            alike = wholes.alike(one, other, roots)
            one, other = one[alike], other[alike]
        roots.join(one, other)

    if len(vectors) <= COMPARED_IN_FULL:
        for start in range(0, len(vectors), _BLOCK):
            part = slice(start, start + _BLOCK)
            for begin in range(start, len(vectors), _BLOCK):
                others = slice(begin, begin + _BLOCK)
                join(vectors[part], places[part], vectors[others], places[others])
        return
    centres = centres_of(vectors, len(vectors) // _LIST_ROWS, sample=_SAMPLE, rounds=_ROUNDS)
    lists = nearest_centres(vectors, centres, count=_LISTS)
    members = _by_number(lists[:, 0], len(centres))
    askers = _by_number(lists.ravel(), len(centres))
    for number, rows in enumerate(members):
        asking = askers[number] // lists.shape[1]
        for start in range(0, len(asking), _BLOCK):
            some = asking[start : start + _BLOCK]
            for begin in range(0, len(rows), _BLOCK):
                others_of_list = rows[begin : begin + _BLOCK]
                join(vectors[some], places[some], vectors[others_of_list], places[others_of_list])


def _by_number(numbers: I64Array, count: int) -> list[I64Array]:
    """The places that hold each number below ``count``."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.searchsorted(numbers[order], np.arange(1, count)))


def _grouped(
    rowids: I64Array,
    roots: I64Array,
    vectors: F32Array,
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
            own = vectors[numbers].astype(np.float64)
            fits = own @ own.mean(axis=0)
            place = int(np.argmax(fits >= fits.max() - 1e-9))
            middle = of_group[place]
            likeness = own @ own[place]
            if passages is not None:
                likeness = np.minimum(likeness, passages.agreements(int(numbers[place]), numbers))
            similarities[start:end] = np.minimum(np.round(likeness, 6), 1.0)
        representatives[start:end] = rowids[middle]
    return Duplicates(runs + 1, rowids[rows], representatives, similarities)


def _run_numbers(values: I64Array) -> I64Array:
    """The number of the run of equal values that each stands in, from 0."""
    if not len(values):
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])
