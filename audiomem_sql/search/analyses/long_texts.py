"""Rows whose texts are cut: the vectors of their passages, and what a row is as a whole.

What is nearest to a row looks at every passage. What compares rows as wholes has their mean, in which a
passage weighs what it is long; only its direction means anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I64Array
from audiomem_sql.columns.text_vectors import Passages
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors import PassageIndex
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.memory import check_room
from audiomem_sql.scan import scan
from audiomem_sql.search.analyses.nearest_of_many import best_of_groups, nearest_of_many
from audiomem_sql.search.embedding.stored_vectors import Searched, vectors_by_rowid
from audiomem_sql.search.ranking.parts import Part, allowed_rows, parts

#: Passages whose vectors are decoded at once.
_ENTRIES = 4096
#: Candidates of all queries that are held at once, and those of one beside twice the rows that are wanted.
_HELD, _MORE = 1 << 22, 8


@dataclass(frozen=True, slots=True, eq=False)
class Further:
    """Passages of rows without the first of each, row by row.

    rowids: int64 (n,), that of the row of each. vectors: float32 (n, d). weights: float32 (n,), how long each
    is beside the first passage of its row.
    """

    rowids: I64Array
    vectors: F32Array
    weights: F32Array


@dataclass(frozen=True, slots=True, eq=False)
class RowPassages:
    """All passages of n rows, those of a row one after another; a row that is not cut has one.

    starts: int64 (n + 1,), the first of each row. vectors: float32 (m, d), of length 1. weights: float64
    (m,), which add up to 1 for each row.
    """

    starts: I64Array
    vectors: F32Array
    weights: F64Array

    @property
    def is_cut(self) -> BoolArray:
        """Which rows have several, bool (n,)."""
        return np.diff(self.starts) > 1

    def means(self) -> F32Array:
        """The rows as wholes, float32 (n, d)."""
        means: F32Array = np.add.reduceat(self.vectors * self.weights[:, None], self.starts[:-1])
        return means.astype(np.float32)

    def of_rows(self, rows: I64Array) -> RowPassages:
        """Those of int64 (n,) rows."""
        counts = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(counts)])
        entries = np.repeat(self.starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
        return RowPassages(starts, self.vectors[entries], self.weights[entries])

    def agreements(self, row: int, others: I64Array) -> F64Array:
        """How much a row and each of int64 (n,) others say the same, up to 1: float64 (n,).

        Each passage is put beside the one of the other row that is most like it. It is the mean of these
        cosines, by weight, of the row of the two where that is less.
        """
        own, theirs = self.of_rows(np.array([row])), self.of_rows(others)
        cosines = own.vectors.astype(np.float64) @ theirs.vectors.astype(np.float64).T
        ours = own.weights @ np.maximum.reduceat(cosines, theirs.starts[:-1], axis=1)
        return np.minimum(ours, np.add.reduceat(theirs.weights * cosines.max(axis=0), theirs.starts[:-1]))


def further_passages(table: Searched, column: int) -> Iterator[Further]:
    """The passages behind the first ones of the rows that count, a piece at a time; none are cut: nothing."""
    passages = table.schema.passages.get(column)
    if passages is None:
        return
    width = table.schema.columns[column].type.width
    for part in parts(table.readable):
        pieces = _pending if part.pending is not None else _stored
        yield from pieces(part, table, passages, width)


def _stored(part: Part, table: Searched, passages: int, width: int) -> Iterator[Further]:
    """Those of a segment, whose index has them."""
    segment = part.views[0].segment
    index = segment.vector_index(passages)
    if not isinstance(index, PassageIndex) or not index.rows:
        return
    allowed = allowed_rows(part, table.filters, table.row_filter)
    rows = index.map.entry_rows
    entries = np.arange(len(rows)) if allowed is None else np.flatnonzero(allowed[rows])
    lengths = (index.map.spans[:, 1] - index.map.spans[:, 0]).astype(np.float32)
    firsts = index.map.starts[:-1]
    rowids = segment.rowids()
    for start in range(0, len(entries), _ENTRIES):
        check_interrupt()
        some = entries[start : start + _ENTRIES]
        of = rows[some]
        # an entry is a passage; before it stand the first passages of its row and of those above
        place = firsts[of] + 1 + some - index.map.entry_starts[of]
        try:
            vectors = index.vectors(some)
        except DamagedFileError as error:
            raise error.at(
                file=segment.path,
                place="the index of passages",
                remedy="`audiomem reembed` makes the vectors anew.",
            ) from None
        weights = lengths[place] / np.maximum(lengths[firsts[of]], 1)
        yield Further(rowids[of], vectors, weights.astype(np.float32))


def _pending(part: Part, table: Searched, passages: int, width: int) -> Iterator[Further]:
    """Those of rows outside the segments, which are as they were written."""
    for batch in scan(part, (passages,), table.filters, row_filter=table.row_filter):
        found = [
            (rowid, Passages.from_bytes(value, width))
            for rowid, value in zip(batch.rowids.tolist(), batch.arrays[0].to_pylist(), strict=True)
            if value is not None
        ]
        if not found:
            continue
        lengths = [(each.spans[:, 1] - each.spans[:, 0]).astype(np.float32) for _, each in found]
        yield Further(
            np.repeat([rowid for rowid, _ in found], [len(each) - 1 for each in lengths]),
            np.concatenate([each.further for _, each in found]),
            np.concatenate([each[1:] / np.maximum(each[0], np.float32(1)) for each in lengths]),
        )


def whole_vectors(table: Searched, column: int) -> tuple[I64Array, F32Array]:
    """All rowids, rising int64 (n,), and the vectors of their rows as wholes, float32 (n, d).

    LimitError where they need more memory than there is.
    """
    rowids, vectors = vectors_by_rowid(table, column)
    for piece in further_passages(table, column):
        add_passages(rowids, vectors, piece)
    return rowids, vectors


def add_passages(rowids: I64Array, vectors: F32Array, piece: Further) -> None:
    """Add passages to float32 (n, d) vectors of int64 (n,) rising rowids, with their weights."""
    places, known = _places(rowids, piece.rowids)
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    if len(starts):
        sums = np.add.reduceat(piece.vectors[known] * piece.weights[known, None], starts, dtype=np.float32)
        vectors[places[starts]] += sums


def _places(rowids: I64Array, wanted: I64Array) -> tuple[I64Array, BoolArray]:
    """Where those of ``wanted`` that are there stand in rising rowids, and bool (n,) which these are."""
    if not len(rowids):
        return rowids, np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(rowids, wanted), len(rowids) - 1)
    known = rowids[places] == wanted
    return places[known], known


def row_passages(table: Searched, column: int, rowids: I64Array, firsts: F32Array) -> RowPassages | None:
    """The passages of rows, rising int64 (n,), with float32 (n, d) vectors of their first ones.

    None where no row is cut. LimitError where they need more memory than there is.
    """
    places, vectors, weights = [np.arange(len(rowids))], [firsts], [np.ones(len(rowids), np.float32)]
    size = 2 * firsts.nbytes
    for piece in further_passages(table, column):
        size += 2 * piece.vectors.nbytes
        check_room(size, table.path)
        of_piece, known = _places(rowids, piece.rowids)
        places.append(of_piece)
        vectors.append(piece.vectors[known])
        weights.append(piece.weights[known])
    if not any(map(len, places[1:])):
        return None
    all_places = np.concatenate(places)
    order = np.argsort(all_places, kind="stable")
    all_places = all_places[order]
    together: F32Array = np.concatenate(vectors)[order]
    lengths = np.sqrt(np.einsum("ij,ij->i", together, together, dtype=np.float64))
    together /= np.where(lengths > 0, lengths, 1)[:, None].astype(np.float32)
    shares = np.concatenate(weights)[order].astype(np.float64)
    shares /= np.bincount(all_places, shares, len(rowids))[all_places]
    return RowPassages(np.searchsorted(all_places, np.arange(len(rowids) + 1)), together, shares)


def nearest_by_passages(table: Searched, column: int, queries: F32Array, k: int) -> tuple[I64Array, F32Array]:
    """The ``k`` rows whose passages behind the first are nearest to each of float32 (m, d) queries.

    Each row once: rowids int64 (m, k), the nearest first, -1 where there are fewer; distances float32 (m, k).
    """
    owners: dict[int, I64Array] = {}

    def pieces() -> Iterator[tuple[I64Array, F32Array]]:
        start = 0
        for piece in further_passages(table, column):
            owners[start] = piece.rowids
            yield np.arange(start, start + len(piece.rowids)), piece.vectors
            start += len(piece.rowids)

    rowids = np.full((len(queries), k), -1, np.int64)
    distances = np.full(rowids.shape, np.inf, np.float32)
    asked, wanted = np.arange(len(queries)), 2 * k + _MORE
    while len(asked):
        step = max(1, _HELD // wanted)
        unsure = [asked[:0]]
        for start in range(0, len(asked), step):
            some = asked[start : start + step]
            entries, values = nearest_of_many(pieces, queries[some], wanted, COSINE)
            of = np.concatenate(list(owners.values()))
            rows = np.where(entries >= 0, of[entries], -1)
            rowids[some], distances[some] = best_of_groups(np.arange(len(some)), rows, values, k, len(some))
            # several passages of a row may have left no place for those of others
            unsure.append(some[(rowids[some, -1] < 0) & (entries[:, -1] >= 0)])
        asked, wanted = np.concatenate(unsure), min(4 * wanted, len(of) + 1)
    return rowids, distances
