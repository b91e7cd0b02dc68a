"""Why a row is where it is: the figures that a score is made of, so that they add up to it.

``score = meaning_weight · meaning_part + words_weight · words_part``, a part that is NULL left out. A search
for vectors of columns as well adds ``weight · part`` of each of ``vectors``, in their order. With
``standardised`` a part is (value - mean) / deviation of the kind, and with ``rrf`` it is 1 / (rank_constant +
rank). A search by one kind has one part, the cosine or BM25 itself. ``bm25`` is positive, and the sum of the
``score`` of its words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.indexes.words import Expression, Matches, Statistics, term_frequencies, weights
from audiomem_sql.scan import fetch_rows
from audiomem_sql.search.combined_query import MEANING, WORDS
from audiomem_sql.search.embedding.found_passages import shown
from audiomem_sql.search.embedding.passages import BestPassage
from audiomem_sql.search.explained_row import Explained
from audiomem_sql.search.ranking.fusion import Share
from audiomem_sql.search.ranking.keyword_search import keyword_ranking, matched_parts
from audiomem_sql.search.ranking.neighbours import Neighbours
from audiomem_sql.search.ranking.parts import Part
from audiomem_sql.search.ranking.reranking import reranked
from audiomem_sql.search.ranking.vector_search import compares_directions, vector_scores
from audiomem_sql.search.request import Asked

#: What the scores of a kind are called.
_VALUES = {MEANING: "cosine", WORDS: "bm25"}


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The rows of a search, and for each kind the columns of an Explained that it fills."""

    rowids: I64Array
    scores: F64Array
    distances: list[float | None]
    fusion: str | None
    kinds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def explained(asked: Asked, k: int) -> Iterator[Explained]:
    """The ``k`` best rows of a search, or of its reranked ones, with all figures; the fused ones at most."""
    found = _found(asked, k if asked.ranking.rerank is None else max(k, asked.ranking.rerank_rows))
    order, reranks = _order(asked, found, k)
    rowids = found.rowids[order]
    words = _words(asked, rowids) if asked.has_words else {}
    there, keys = _keys(asked, rowids)
    passages = asked.passages
    cut = [None] * len(rowids) if passages is None else passages.best(asked.readable, rowids)
    for rank, place in enumerate(np.flatnonzero(there).tolist(), 1):
        row, rowid = order[place], int(rowids[place])
        figures: dict[str, Any] = {}
        for values in found.kinds.values():
            figures |= values[row]
        yield Explained(
            rank=rank,
            row_id=rowid,
            key=keys[rank - 1],
            score=float(found.scores[row]),
            fusion=found.fusion,
            distance=found.distances[row],
            **figures,
            words=json.dumps(words[rowid], ensure_ascii=False) if rowid in words else None,
            reranked=None if reranks is None else reranks[place],
            **_passage(cut[place]),
        )


def _passage(best: BestPassage | None) -> dict[str, Any]:
    """What an Explained says of the best passage."""
    if best is None:
        return {}
    span = shown(best.start, best.end)
    return {"passage": span, "passage_cosine": best.cosine, "passages": best.passages}


def _found(asked: Asked, k: int) -> _Found:
    if asked.mode == "combined":
        return _combined(asked, k)
    if asked.mode == "hybrid":
        return _fused(asked, k)
    if asked.mode == "semantic":
        return _by_meaning(asked, k)
    ranking = keyword_ranking(
        asked.readable,
        asked.target.text_columns,
        asked.expression(),
        asked.filters,
        row_filter=asked.row_filter,
    )
    scores = -ranking.scores[:k]
    alone = [
        {"words_rank": rank, "bm25": score, "words_part": score, "words_weight": 1.0}
        for rank, score in enumerate(scores.tolist(), 1)
    ]
    return _Found(ranking.rowids[:k], scores, [None] * len(scores), None, {"words": alone})


def _by_meaning(asked: Asked, k: int) -> _Found:
    runs = list(asked.by_meaning(k))
    rowids = np.concatenate([np.empty(0, np.int64), *(run.rowids for run in runs)])
    distances = np.concatenate([np.empty(0, np.float32), *(run.distances for run in runs)])
    assert asked.target.vector_column is not None
    by_angle = compares_directions(asked.schema, asked.target.vector_column)
    scores = vector_scores(asked.schema, asked.target.vector_column, distances)
    alone = [
        {
            "meaning_rank": rank,
            "cosine": score if by_angle else None,
            "meaning_part": score,
            "meaning_weight": 1.0,
        }
        for rank, score in enumerate(scores.tolist(), 1)
    ]
    return _Found(rowids, scores, distances.tolist(), None, {"meaning": alone})


def _fused(asked: Asked, k: int) -> _Found:
    found = asked.candidates()
    fused = found.fused
    meaning, words = fused.shares
    return _Found(
        fused.rowids[:k],
        fused.scores[:k],
        _distances(found.distances, k),
        asked.ranking.fusion,
        {
            kind: _figures(kind, _VALUES[kind], share, k)
            for kind, share in ((MEANING, meaning), (WORDS, words))
        },
    )


def _combined(asked: Asked, k: int) -> _Found:
    found = asked.combined(k)
    fused = found.fused
    kinds: dict[str, list[dict[str, Any]]] = {}
    vectors: list[list[dict[str, Any]]] = [[] for _ in fused.rowids[:k]]
    for each, share in zip(found.searched, fused.shares, strict=True):
        if not each.is_column:
            kinds[each.name] = _figures(each.name, _VALUES[each.name], share, k)
            continue
        for said, figures in zip(vectors, _figures("", "score", share, k), strict=True):
            said.append({"column": each.name} | {name.removeprefix("_"): figures[name] for name in figures})
    if any(vectors):
        kinds["vectors"] = [{"vectors": json.dumps(said, ensure_ascii=False)} for said in vectors]
    distances = _distances(found.distances, k)
    return _Found(fused.rowids[:k], fused.scores[:k], distances, asked.ranking.fusion, kinds)


def _distances(distances: F32Array, k: int) -> list[float | None]:
    """The first ``k``, None for NaN."""
    return [None if distance != distance else distance for distance in distances[:k].tolist()]


def _figures(kind: str, value: str, share: Share, k: int) -> list[dict[str, Any]]:
    """What a kind says of the first ``k`` rows, by the columns of an Explained."""
    same = {
        f"{kind}_weight": share.weight,
        f"{kind}_mean": None if share.scale is None else share.scale.mean,
        f"{kind}_deviation": None if share.scale is None else share.scale.deviation,
    }
    rows = zip(share.ranks[:k].tolist(), share.scores[:k].tolist(), share.parts[:k].tolist(), strict=True)
    return [
        {**same, f"{kind}_rank": rank or None, value: score if rank else None, f"{kind}_part": part}
        for rank, score, part in rows
    ]


def _order(asked: Asked, found: _Found, k: int) -> tuple[list[int], list[float | None] | None]:
    """The numbers of the ``k`` best rows, and what a reranker gave them; None without one."""
    if asked.ranking.rerank is None:
        return list(range(len(found.rowids))), None
    ranks = np.arange(float(len(found.rowids)))
    head = Neighbours(found.rowids, np.zeros(len(ranks), np.float32), ranks)
    places = {rowid: place for place, rowid in enumerate(found.rowids.tolist())}
    order: list[int] = []
    scores: list[float | None] = []
    runs = reranked(asked.readable, iter([head]), asked.text_places, asked.text, asked.ranking, asked.path)
    for number, run in enumerate(runs):
        assert run.ranks is not None
        order += [places[rowid] for rowid in run.rowids.tolist()]
        # the first run is that of the reranker, what follows was not given to it
        scores += (-run.ranks).tolist() if not number else [None] * len(run)
    return order[:k], scores[:k]


def _keys(asked: Asked, rowids: I64Array) -> tuple[Any, list[str | None]]:
    """Which rows can be read, bool (n,), and the primary keys of those."""
    columns = _key_columns(asked.schema)
    there, arrays = fetch_rows(asked.readable, rowids, columns)
    if not columns:
        return there, [str(rowid) for rowid in rowids[there].tolist()]
    rows = zip(*(array.to_pylist() for array in arrays), strict=True)
    return there, [_text(row[0]) if len(row) == 1 else json.dumps(list(map(_text, row))) for row in rows]


def _key_columns(schema: Schema) -> list[int]:
    """The columns of the primary key; none where the rowid is the key."""
    single = [place for place, column in enumerate(schema.columns) if column.primary_key]
    several = [schema.index(name) for key in schema.keys if key.primary for name in key.columns]
    return [place for place in single or several if single != [schema.rowid_column]]


def _text(value: Any) -> str | None:
    return value.hex() if isinstance(value, bytes) else None if value is None else str(value)


def _words(asked: Asked, rowids: I64Array) -> dict[int, list[dict[str, Any]]]:
    """The words of the query that each row has, by its rowid."""
    expression = asked.expression()
    columns: Mapping[str, int] = asked.target.text_columns
    matched, statistics = matched_parts(asked.readable, columns, expression)
    by_column = _matched_by_column(asked, expression)
    said: dict[int, list[dict[str, Any]]] = {rowid: [] for rowid in rowids.tolist()}
    for number, (part, matches) in enumerate(matched):
        own, rows = _rows_in(part, rowids)
        held = np.isin(rows, matches.rows)
        own, rows = own[held], rows[held]
        order = np.argsort(rows)
        own, rows = own[order], rows[order]
        assert statistics is not None
        counts = matches.counts(rows)
        frequencies = term_frequencies(statistics, counts, matches.lengths[rows])
        counts_by_column = {name: parts[number].counts(rows) for name, parts in by_column.items()}
        for place, rowid in enumerate(own.tolist()):
            in_columns = {name: own_counts[:, place] for name, own_counts in counts_by_column.items()}
            said[rowid] = _said(expression, statistics, counts[:, place], frequencies[:, place], in_columns)
    return said


def _matched_by_column(asked: Asked, expression: Expression) -> dict[str, list[Matches]]:
    """What is found in each part where only one column counts, by its name; nothing without weights."""
    names = asked.target.text_columns if expression.column_weights else ()
    found = {}
    for name in names:
        alone = replace(expression, column_weights={other: float(other == name) for other in names})
        matched, _ = matched_parts(asked.readable, asked.target.text_columns, alone)
        found[name] = [matches for _, matches in matched]
    return found


def _rows_in(part: Part, rowids: I64Array) -> tuple[I64Array, I64Array]:
    """Those of ``rowids`` that are in ``part``, int64 (n,), and their rows there."""
    if part.pending is not None:
        order = np.argsort(part.pending.rowids, kind="stable")
        ordered = part.pending.rowids[order]
        if not len(ordered):
            return rowids[:0], rowids[:0]
        places = np.minimum(np.searchsorted(ordered, rowids), len(ordered) - 1)
        here = ordered[places] == rowids
        return rowids[here], order[places[here]]
    rows = np.fromiter((part.views[0].find(rowid) for rowid in rowids.tolist()), np.int64, len(rowids))
    return rowids[rows >= 0], rows[rows >= 0]


def _said(
    expression: Expression,
    statistics: Statistics,
    counts: F64Array,
    frequencies: F64Array,
    by_column: Mapping[str, F64Array],
) -> list[dict[str, Any]]:
    """What each phrase of the query that a row has adds to its score.

    counts: float64 (phrases,), with the weights of columns; by_column: without, of a search that has some.
    """
    repeats = expression.weights or (1,) * len(expression.phrases)
    held = reduce(np.add, by_column.values(), np.zeros(len(counts))) if by_column else counts
    said = []
    for number, ((phrase, columns), idf, repeat) in enumerate(
        zip(expression.phrases, weights(statistics), repeats, strict=True)
    ):
        if not held[number]:
            continue
        frequency = float(frequencies[number])
        in_columns = {name: int(own[number]) for name, own in by_column.items() if own[number]}
        said.append(
            {
                "word": " ".join(text + ("*" if is_prefix else "") for text, is_prefix in phrase.strings),
                "columns": sorted(columns),
                "count": int(held[number]),
                **({"counts": in_columns, "weighted": float(counts[number])} if by_column else {}),
                "rows": int(statistics.frequencies[number]),
                "repeat": int(repeat),
                "idf": idf,
                "tf": frequency,
                "score": repeat * idf * frequency,
            }
        )
    return said
