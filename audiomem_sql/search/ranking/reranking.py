"""Reranking: the best rows of a search in the order of a model that reads query and text together.

Such a model, a cross-encoder, is finer than vectors and words, and far too slow for all rows; Nogueira and
Cho 2019. It is a callable ``(query, texts) -> scores``, or the name of one that sentence-transformers loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from audiomem_sql.arrays import F64Array
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.scan import Readable, fetch_rows
from audiomem_sql.search.models.cross_encoders import cross_encoder
from audiomem_sql.search.ranking.neighbours import Neighbours, parted
from audiomem_sql.search.ranking.options import Ranking, Reranker


def reranked(
    readable: Readable,
    rows: Iterator[Neighbours],
    columns: Sequence[int],
    query: Any,
    ranking: Ranking,
    path: str,
) -> Iterator[Neighbours]:
    """The first ``ranking.rerank_rows`` of ``rows`` as the reranker orders them, then the others.

    columns: those whose texts it reads, joined by line feeds. Ranks are minus its scores, equal ones in the
    order that they had; those of the others go on from there. QueryError for a query that is no text, and
    for a reranker that fails, or gives no number for each text.
    """
    assert ranking.rerank is not None
    if not isinstance(query, str):
        raise QueryError(
            "a reranker reads texts, and the query is a vector", file=path, remedy="Search with a text."
        )
    scores_of = cross_encoder(ranking.rerank) if isinstance(ranking.rerank, str) else ranking.rerank
    return _reranked(readable, rows, columns, query, scores_of, ranking.rerank_rows, path)


def _reranked(
    readable: Readable,
    rows: Iterator[Neighbours],
    columns: Sequence[int],
    query: str,
    scores_of: Reranker,
    count: int,
    path: str,
) -> Iterator[Neighbours]:
    head, behind = parted(rows, count)
    lowest = None
    if len(head):
        there, texts = _texts(readable, head, columns)
        scores = _scores(scores_of, query, texts, path)
        order = np.argsort(-scores, kind="stable")
        chosen = np.flatnonzero(there)[order]
        lowest = -float(scores[order[-1]]) if len(order) else 0.0
        if len(order):
            yield Neighbours(head.rowids[chosen], head.distances[chosen], -scores[order])
    first = None
    for run in behind:
        ranks = run.distances.astype(np.float64) if run.ranks is None else run.ranks
        first = float(ranks[0]) if first is None else first
        yield Neighbours(run.rowids, run.distances, (ranks - first) + (lowest or 0.0))


def _texts(readable: Readable, head: Neighbours, columns: Sequence[int]) -> tuple[Any, list[str]]:
    """Which rows can be read, bool (n,), and the texts of those."""
    there, arrays = fetch_rows(readable, head.rowids, columns)
    values = [array.to_pylist() for array in arrays]
    return there, ["\n".join(text for text in row if text is not None) for row in zip(*values, strict=True)]


def _scores(scores_of: Reranker, query: str, texts: list[str], path: str) -> F64Array:
    """What the reranker says, float64 (n,)."""
    check_interrupt()
    try:
        scores = np.asarray(scores_of(query, list(texts)), np.float64)
    except AudioMemError:
        raise
    except Exception as error:
        raise QueryError(
            f"the reranker failed: {type(error).__name__}: {error!s:.200}",
            file=path,
            remedy="It is called as rerank(query, texts), and gives a number for each text.",
        ) from error
    if scores.shape == (len(texts), 1):
        scores = scores[:, 0]
    if scores.shape != (len(texts),):
        raise QueryError(
            f"the reranker gave {_shape(scores)} for {len(texts)} texts",
            file=path,
            remedy="It is called as rerank(query, texts), and gives a number for each text.",
        )
    if not np.isfinite(scores).all():
        bad = scores[~np.isfinite(scores)][0]
        raise QueryError(
            f"the reranker gave {bad} for a text", file=path, remedy="It gives a finite number for each text."
        )
    return scores


def _shape(scores: F64Array) -> str:
    """What came in the place of a list of numbers."""
    if scores.ndim == 1:
        return f"{len(scores)} scores"
    return "one number" if scores.ndim == 0 else f"an array of {' × '.join(map(str, scores.shape))}"
