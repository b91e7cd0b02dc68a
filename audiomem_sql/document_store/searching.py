"""Documents of one version of a table: those that pass a condition, and those that answer best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.columns.vector_index import COSINE, INNER_PRODUCT
from audiomem_sql.document_store.conditions import Condition
from audiomem_sql.document_store.layout import Layout
from audiomem_sql.document_store.rows import documents_of
from audiomem_sql.document_store.stored import Stored
from audiomem_sql.errors import QueryError
from audiomem_sql.scan import fetch_rows
from audiomem_sql.table.reader import TableReader


def read(
    reader: TableReader, layout: Layout, condition: Condition | None, limit: int | None, *, vectors: bool
) -> list[Stored]:
    """The documents that pass, in the order in which they were added."""
    where, parameters = condition if condition is not None else (None, ())
    names = layout.read(vectors=vectors)
    return [
        document
        for batch in reader.scan(names, where, parameters, limit=limit)
        for document in documents_of(dict(zip(names, batch.columns, strict=True)), layout)
    ]


def searched(
    reader: TableReader,
    layout: Layout,
    text: str | None,
    vector: Sequence[float] | F32Array | None,
    k: int,
    condition: Condition | None,
    *,
    words: float | None,
    vectors: bool,
) -> list[Stored]:
    """The ``k`` documents that answer best, as :meth:`.store.DocumentStore.search` has them."""
    where, parameters = condition if condition is not None else (None, ())
    query, how = _asked(text, vector, words, layout, reader.path)
    if query is None and "vector" not in how:
        return []
    found = reader.explain(query, k, where, parameters, **how)
    rowids = found.column("row_id").to_numpy().astype(np.int64)
    names = layout.read(vectors=vectors)
    numbers = [reader.schema.index(name) for name in names]
    if vectors and layout.vector is None and layout.semantic:
        hidden = reader.snapshot.schema.vectors.get(reader.schema.index(layout.text))
        if hidden is not None:
            names, numbers = [*names, ""], [*numbers, hidden]
    there, arrays = fetch_rows(reader.readable, rowids, numbers)
    documents = documents_of(dict(zip(names, arrays, strict=False)), layout)
    rows = (row for row, is_there in zip(found.to_pylist(), there, strict=True) if is_there)
    for row, document in zip(rows, documents, strict=True):
        document.distance = row["distance"]
        by_distance = query is None and row["distance"] is not None
        document.score = _similarity(layout.metric, row["distance"]) if by_distance else row["score"]
    return documents


def _similarity(metric: str, distance: float) -> float:
    """How alike a document and a vector are: the cosine, the inner product, or 1 ÷ (1 + distance)."""
    if metric == INNER_PRODUCT:
        return -distance
    return 1.0 - distance if metric == COSINE else 1.0 / (1.0 + distance)


def _asked(
    text: str | None,
    vector: Sequence[float] | F32Array | None,
    words: float | None,
    layout: Layout,
    path: str,
) -> tuple[str | None, dict[str, Any]]:
    """(what to search for, further arguments). A text is never taken for one of the modes of a search."""
    if words is not None and not 0.0 <= words <= 1.0:
        raise QueryError(f"words = {words} is no share", file=path, remedy="Write 0 to 1.")
    if text is not None and not text.strip():
        text = None
    column = layout.vector or (layout.text if layout.semantic else None)
    if vector is None:
        return _by_text(text, words, layout)
    if text is not None and words == 1.0:
        return f"words:{text}", {}
    if column is None:
        raise QueryError("these documents have no vectors", file=path, remedy="Search for words.")
    how: dict[str, Any] = {"vector": np.asarray(vector, np.float32), "column": column}
    if text is None or words == 0.0:
        return None, how
    if words is not None:
        how["weights"] = {"words": words, column: 1.0 - words}
    return f"words:{text}", how


def _by_text(text: str | None, words: float | None, layout: Layout) -> tuple[str | None, dict[str, Any]]:
    if text is None:
        return None, {}
    if not layout.semantic or words == 1.0:
        return f"words:{text}", {}
    if words == 0.0:
        return f"semantic:{text}", {}
    return f"hybrid:{text}", {} if words is None else {"weight": 1.0 - words}
