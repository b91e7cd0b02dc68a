"""Rows of sources that a table has: moved to another name, or the vectors of their texts kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, scan
from audiomem_sql.search import Embedded
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.appending import NO_ROWIDS, matching_rowids

#: Vectors by the place of the column of texts, and the text.
Vectors = dict[int, dict[str, Embedded]]


def _of_sources(snapshot: Snapshot, names: Collection[str]) -> Filter:
    column_index = snapshot.schema.index("source")
    column = snapshot.schema.columns[column_index]
    bound = bind(Predicate(column_index, Op.IN, sorted(names)), column.type, literal=True)
    return Filter(column_index, bound)


def rows_of_sources(snapshot: Snapshot, names: Collection[str]) -> I64Array:
    """The rowids of the rows that came from the sources called ``names``, int64 (n,), ascending."""
    return matching_rowids(snapshot, [_of_sources(snapshot, names)], None) if names else NO_ROWIDS


def moved_rows(snapshot: Snapshot, moved: Mapping[str, str], vectors: Vectors) -> pa.Table | None:
    """The rows of sources under their new names, with their keys; None if there are none.

    moved: new names by old ones. vectors: takes those of their texts.
    """
    if not moved:
        return None
    visible = snapshot.schema.visible
    source = visible.index("source")
    tables = []
    for batch in _scanned(snapshot, moved, range(len(visible)), vectors):
        arrays = list(batch.arrays[: len(visible)])
        arrays[source] = pa.array([moved[name] for name in arrays[source].to_pylist()], pa.string())
        tables.append(pa.table(arrays, list(visible.names)))
    return pa.concat_tables(tables) if tables else None


def keep_vectors(snapshot: Snapshot, names: Collection[str], vectors: Vectors) -> None:
    """Put the vectors of the texts of sources into ``vectors``."""
    if names and snapshot.schema.vectors:
        for _ in _scanned(snapshot, names, (), vectors):
            pass


def _scanned(
    snapshot: Snapshot, names: Collection[str], columns: Sequence[int], vectors: Vectors
) -> Iterator[Batch]:
    """Batches of ``columns``, and behind them what else is read to fill ``vectors``."""
    schema = snapshot.schema
    further = [(text, place, schema.passages.get(place)) for text, place in schema.vectors.items()]
    read = [*columns, *(place for each in further for place in each if place is not None)]
    for batch in scan(snapshot, read, [_of_sources(snapshot, names)]):
        at = len(columns)
        for text, _, passages in further:
            texts = batch.arrays[at].to_pylist()
            cut = batch.arrays[at + 2].to_pylist() if passages is not None else [None] * len(texts)
            _take(vectors.setdefault(text, {}), texts, batch.arrays[at + 1], cut)
            at += 2 if passages is None else 3
        yield batch


def _take(
    into: dict[str, Embedded], texts: list[str | None], array: pa.Array, passages: list[bytes | None]
) -> None:
    for row, text in enumerate(texts):
        if text is not None and array[row].is_valid:
            numbers = np.asarray(array[row].values, dtype="<f4")
            into[text] = (numbers.tobytes(), passages[row])
