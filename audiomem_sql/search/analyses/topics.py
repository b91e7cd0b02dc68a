"""What a table is about: clusters of rows by their vectors, and words that name each.

Clusters are of :mod:`audiomem_sql.search.analyses.kmeans`. Words are those that are frequent in the texts
of a cluster and rare in those of the others: class-based tf-idf (Grootendorst 2022, *BERTopic*), with the
share of a cluster's texts that have a word, and the logarithm of how much greater it is than in the other
clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import F32Array, F64Array, I64Array, distinct
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.columns.vector_index import L2
from audiomem_sql.errors import QueryError
from audiomem_sql.indexes.words import words_of
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.scan import fetch_rows
from audiomem_sql.search.analyses.kmeans import centres_of, nearest_centres
from audiomem_sql.search.analyses.long_texts import whole_vectors
from audiomem_sql.search.embedding.stored_vectors import (
    Searched,
    column_of_vectors,
    metric_of,
)

#: Clusters that are made where nobody says how many: the root of half the rows, but no more than these.
MOST_BY_DEFAULT = 20
#: The most that may be asked for.
MOST_CLUSTERS = 1000
#: Words of a cluster's name; a word that is worth less than this share of the best one is left out from the
#: fourth on.
_WORDS, _LEAST_WORDS, _WORTH = 5, 3, 0.35
#: Texts of a cluster that are looked at, and characters of each.
_TEXTS, _CHARACTERS = 400, 2000
_LEAST_LETTERS = 3
#: A share that is as good as none.
_RARE = 0.005
#: Words as they are written: with their diacritics, and without stems.
_AS_WRITTEN = "bigram remove_diacritics 0"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster.

    number: from 1, by size. words: what names it, the best first. centre: the rowid of the row in its middle.
    """

    number: int
    size: int
    words: tuple[str, ...]
    centre: int


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """The clusters of a table, the largest first, and which row is in which.

    rowids: int64 (n,), rising. numbers: int64 (n,), of the cluster of each. distances: float64 (n,), from its
    centre: 1 - cosine, or by Euclid where the column's metric is l2. vectors: float32 (n, d), of length 1 if
    spherical.
    """

    clusters: tuple[Cluster, ...]
    rowids: I64Array
    numbers: I64Array
    distances: F64Array
    vectors: F32Array
    spherical: bool


def clusters(table: Searched, name: str | None = None, k: int | None = None) -> Clusters:
    """The rows with a vector in ``k`` clusters, by default as :func:`usual_count` says.

    name: a column SEMANTIC or FLOAT[n], by default the only one with vectors. A text that is cut is the mean
    of its passages. Vectors of zeros belong to no cluster, unless the metric is l2. QueryError for a column
    without vectors, or another k.
    """
    schema = table.schema
    column = column_of_vectors(schema, name, table.path)
    wanted = _checked_count(k, table.path)
    rowids, vectors = whole_vectors(table, column)
    spherical = metric_of(schema, column) != L2
    if spherical:
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        directed = lengths > 0
        rowids, vectors = rowids[directed], vectors[directed]
        vectors /= lengths[directed, None].astype(np.float32)
    if not len(rowids):
        empty = np.empty(0, np.int64)
        return Clusters((), rowids, empty, np.empty(0), vectors, spherical)
    count = min(wanted or usual_count(len(rowids)), len(rowids))
    centres = centres_of(vectors, count, spherical=spherical)
    members = nearest_centres(vectors, centres, spherical=spherical)[:, 0]
    distances = _distances(vectors, centres[members], spherical)
    sizes = np.bincount(members, minlength=len(centres))
    firsts = np.full(len(centres), len(rowids))
    np.minimum.at(firsts, members, np.arange(len(rowids)))
    order = np.lexsort((firsts, -sizes))[: np.count_nonzero(sizes)]
    numbers = np.empty(len(centres), np.int64)
    numbers[order] = np.arange(len(order))
    numbers = numbers[members]
    by_number = np.split(np.lexsort((rowids, distances, numbers)), np.cumsum(np.bincount(numbers))[:-1])
    names = _names(table, text_columns(schema, column), [rowids[np.sort(rows)] for rows in by_number])
    found = tuple(
        Cluster(number + 1, len(rows), words, int(rowids[rows[0]]))
        for number, (rows, words) in enumerate(zip(by_number, names, strict=True))
    )
    return Clusters(found, rowids, numbers + 1, distances, vectors, spherical)


def usual_count(rows: int) -> int:
    """How many clusters are made of so many rows: the root of half of them, from 1 to ``MOST_BY_DEFAULT``."""
    return max(1, min(MOST_BY_DEFAULT, round(math.sqrt(rows / 2))))


def _checked_count(k: Any, path: str) -> int | None:
    if k is None:
        return None
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or not 1 <= k <= MOST_CLUSTERS:
        raise QueryError(
            f"k = {k!r:.60} is no number of clusters",
            file=path,
            remedy=f"Ask for 1 to {MOST_CLUSTERS:,}, or leave it out.",
        )
    return int(k)


def text_columns(schema: Schema, column: int) -> list[int]:
    """The columns whose texts say what the rows of a column of vectors are about.

    Of a column that is searched by meaning its own texts; otherwise those that are searched by words, or all.
    """
    own = [text for text, hidden in schema.vectors.items() if hidden == column]
    searched = own or [*schema.vectors, *(each for each in schema.indexed_columns)]
    texts = [index for index, each in enumerate(schema.visible.columns) if each.type.kind is Kind.TEXT]
    return list(dict.fromkeys(index for index in searched if index in texts)) or texts


def _distances(vectors: F32Array, centres: F32Array, spherical: bool) -> F64Array:
    distances: F64Array
    if spherical:
        distances = np.maximum(1 - np.einsum("ij,ij->i", vectors, centres, dtype=np.float64), 0)
        return distances
    differences = vectors - centres
    distances = np.sqrt(np.einsum("ij,ij->i", differences, differences, dtype=np.float64))
    return distances


# -- words
# ----------------------------------------------------------------------------------------------------------


def _names(table: Searched, columns: list[int], rows: list[I64Array]) -> list[tuple[str, ...]]:
    """The words that name each cluster. rows: the rowids of each, rising int64 (n,)."""
    if not columns:
        return [()] * len(rows)
    texts: list[pa.Array] = []
    counts: list[int] = []
    for of_cluster in rows:
        check_interrupt()
        places = distinct(np.linspace(0, len(of_cluster) - 1, min(_TEXTS, len(of_cluster))).astype(np.int64))
        _, arrays = fetch_rows(table.readable, of_cluster[places], columns)
        joined = _joined(arrays)
        texts.append(joined)
        counts.append(len(joined))
    return _telling_words(pa.concat_arrays(texts), np.repeat(np.arange(len(rows)), counts), len(rows))


def _joined(arrays: list[pa.Array]) -> pa.Array:
    """The texts of several columns, row by row, cut off where they are long."""
    texts = [array.cast(pa.string()).to_pylist() for array in arrays]
    return pa.array(
        [" ".join(text[:_CHARACTERS] for text in row if text) for row in zip(*texts, strict=True)],
        pa.string(),
    )


def _telling_words(texts: pa.Array, numbers: I64Array, count: int) -> list[tuple[str, ...]]:
    """The words that are frequent in the texts of one cluster and rare in the others', for each.

    numbers: int64 (n,), the cluster of each text, below ``count``.
    """
    stemmed = words_of("auto").decided_by(texts)
    written = words_of(_AS_WRITTEN).tokenize(texts, stemmed=False)
    terms = [term.decode("utf-8", "replace") for term in written.terms.to_pylist()]
    stops = stemmed.stop_words
    telling = np.array([_is_telling(term, stops) for term in terms], np.bool_)
    # each text counts a word once
    pairs = distinct(written.rows.astype(np.int64) * max(1, len(terms)) + written.codes)
    rows, codes = np.divmod(pairs, max(1, len(terms)))
    kept = telling[codes] if len(terms) else np.empty(0, np.bool_)
    rows, codes = rows[kept], codes[kept]
    stems, stem_of = _stems(terms, stemmed)
    held = np.zeros((count, len(stems)))
    np.add.at(held, (numbers[rows], stem_of[codes]), 1)
    sizes = np.maximum(np.bincount(numbers, minlength=count), 1)
    shares = held / sizes[:, None]
    others = (shares.sum(axis=0) - shares) / max(1, count - 1)
    worth = shares * np.log((shares + _RARE) / (others + _RARE))
    worth[held < np.where(sizes >= 10, 2, 1)[:, None]] = 0
    frequency = np.bincount(codes, minlength=len(terms))
    spelling = _spellings(stem_of, frequency, len(stems))
    return [_best(worth[number], [terms[each] for each in spelling]) for number in range(count)]


def _stems(terms: list[str], words: Any) -> tuple[list[str], I64Array]:
    """The distinct stems of terms, and the index there of each term's: words of one stem count as one."""
    stemmed = words.tokenize(pa.array(terms, pa.string()))
    first = np.flatnonzero(np.diff(stemmed.rows, prepend=-1))
    names = stemmed.terms.take(pa.array(stemmed.codes[first])).to_pylist()
    by_row = dict(zip(stemmed.rows[first].tolist(), names, strict=True))
    single = dict(enumerate(stemmed.lengths.tolist()))
    keys = [
        by_row[row].decode("utf-8", "replace") if single[row] == 1 else term for row, term in enumerate(terms)
    ]
    places: dict[str, int] = {}
    return list(keys), np.array([places.setdefault(key, len(places)) for key in keys], np.int64)


def _spellings(stem_of: I64Array, frequency: I64Array, count: int) -> I64Array:
    """The most frequent term of each stem, the first of those: int64 (count,)."""
    order = np.lexsort((np.arange(len(stem_of)), -frequency[: len(stem_of)], stem_of))
    found = np.zeros(count, np.int64)
    stems, firsts = np.unique(stem_of[order], return_index=True)
    found[stems] = order[firsts]
    return found


def _best(worth: F64Array, terms: list[str]) -> tuple[str, ...]:
    """The terms that are worth most: five, or three if the others are worth much less."""
    order = np.argsort(-worth, kind="stable")[:_WORDS]
    chosen = [
        int(place)
        for rank, place in enumerate(order)
        if worth[place] > 0 and (rank < _LEAST_WORDS or worth[place] >= _WORTH * worth[order[0]])
    ]
    return tuple(terms[place] for place in chosen)


def _is_telling(term: str, stops: frozenset[str]) -> bool:
    """Whether a word may name a cluster: letters, not too few, and none of those that stand everywhere."""
    if term in stops or not any(character.isalpha() for character in term):
        return False
    return len(term) >= (_LEAST_LETTERS if term.isascii() else 2)
