"""Search: which rows answer a query, where its words stand in a text, and the vectors of texts.

Other rooms import from here only.

- A search: ``results`` gives the rows as ``Neighbours``, best first, for a column or for the ``WHOLE`` table.
  ``search_target`` says what is searched there, and ``searched_words`` which words; ``asked_of`` makes one
  query of a text, vectors and weights. A ``Kept`` remembers what searches of the same rows have in common.
  ``Ranking`` says how both kinds are fused and what orders the best rows anew, and ``explained`` why a row
  is where it is.
- The words of a table: ``vocabulary``, and ``suggestions`` for one that is misspelt; ``keyword_columns``
  says where.
- Words in a text: ``highlight`` and ``snippet`` mark them, in any text or in a ``FoundRow``, and ``bm25``
  scores such a row.
- Vectors: ``allow_model`` says which may be loaded; ``embedder_of`` a model, ``dimensions_of`` it,
  ``table_embedder``; ``with_vectors`` and ``embed_texts`` for rows on their way into a table, but for
  texts whose vectors are ``KnownVectors``, ``recorded`` for its options, ``missing_vectors`` for the rows
  that have none yet. ``vector_of`` reads one as SQL has it.
- Whole tables, as ``Searched``: ``knn_join`` gives the nearest rows of one for each row of another as
  ``Pairs``, ``knn_of_given`` for rows that are ``Given`` as Arrow, ``duplicates`` what is there twice, as
  ``Duplicates``, ``clusters`` what the rows are about, as ``Clusters``, each a ``Cluster``; ``layout`` puts
  their vectors on a plane.

It is not for what an index looks like in a file: that is in :mod:`audiomem_sql.indexes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.first_use import at_first_use

if TYPE_CHECKING:
    from audiomem_sql.search.analyses.given_rows import Given, knn_of_given
    from audiomem_sql.search.analyses.knn import Pairs, knn_join
    from audiomem_sql.search.analyses.near_duplicates import Duplicates, duplicates
    from audiomem_sql.search.analyses.plane import layout
    from audiomem_sql.search.analyses.topics import Cluster, Clusters, clusters
    from audiomem_sql.search.combined_query import asked_of
    from audiomem_sql.search.embedding.found_passages import (
        FoundPassages,
        Passage,
        passage_of,
        search_fields,
        shown,
        shown_spans,
    )
    from audiomem_sql.search.embedding.passages import Embedded, Known
    from audiomem_sql.search.embedding.stored_vectors import Searched
    from audiomem_sql.search.embedding.texts import (
        KnownVectors,
        dimensions_of,
        embed_texts,
        embedder_of,
        missing_vectors,
        recorded,
        table_embedder,
        with_vectors,
    )
    from audiomem_sql.search.embedding.vectors_in_sql import vector_of
    from audiomem_sql.search.explained_row import Explained
    from audiomem_sql.search.explanation import explained
    from audiomem_sql.search.found_row import FoundRow, SearchedWords
    from audiomem_sql.search.models.allowed import allow_model, check_allowed
    from audiomem_sql.search.models.cross_encoders import cross_encoder
    from audiomem_sql.search.ranking.known_words import (
        Suggestion,
        Term,
        checked_kind,
        checked_word,
        suggestions,
        vocabulary,
    )
    from audiomem_sql.search.ranking.neighbours import Neighbours
    from audiomem_sql.search.ranking.options import DEFAULT_RANKING, Ranking, RankingOptions
    from audiomem_sql.search.ranking.parts import Kept
    from audiomem_sql.search.ranking.target import WHOLE, SearchTarget, keyword_columns, search_target
    from audiomem_sql.search.request import asked_for, passage_finder, results, searched_words
    from audiomem_sql.search.row_scores import bm25
    from audiomem_sql.search.snippets import highlight, snippet

__all__ = [
    "DEFAULT_RANKING",
    "WHOLE",
    "Cluster",
    "Clusters",
    "Duplicates",
    "Embedded",
    "Explained",
    "FoundPassages",
    "FoundRow",
    "Given",
    "Kept",
    "Known",
    "KnownVectors",
    "Neighbours",
    "Pairs",
    "Passage",
    "Ranking",
    "RankingOptions",
    "SearchTarget",
    "Searched",
    "SearchedWords",
    "Suggestion",
    "Term",
    "allow_model",
    "asked_for",
    "asked_of",
    "bm25",
    "check_allowed",
    "checked_kind",
    "checked_word",
    "clusters",
    "cross_encoder",
    "dimensions_of",
    "duplicates",
    "embed_texts",
    "embedder_of",
    "explained",
    "highlight",
    "keyword_columns",
    "knn_join",
    "knn_of_given",
    "layout",
    "missing_vectors",
    "passage_finder",
    "passage_of",
    "recorded",
    "results",
    "search_fields",
    "search_target",
    "searched_words",
    "shown",
    "shown_spans",
    "snippet",
    "suggestions",
    "table_embedder",
    "vector_of",
    "vocabulary",
    "with_vectors",
]

__getattr__ = at_first_use(
    __name__,
    {
        "analyses.given_rows": ("Given", "knn_of_given"),
        "analyses.knn": ("Pairs", "knn_join"),
        "analyses.near_duplicates": ("Duplicates", "duplicates"),
        "analyses.plane": ("layout",),
        "analyses.topics": ("Cluster", "Clusters", "clusters"),
        "combined_query": ("asked_of",),
        "embedding.found_passages": (
            "FoundPassages",
            "Passage",
            "passage_of",
            "search_fields",
            "shown",
            "shown_spans",
        ),
        "embedding.passages": ("Embedded", "Known"),
        "embedding.stored_vectors": ("Searched",),
        "embedding.texts": (
            "KnownVectors",
            "dimensions_of",
            "embed_texts",
            "embedder_of",
            "missing_vectors",
            "recorded",
            "table_embedder",
            "with_vectors",
        ),
        "embedding.vectors_in_sql": ("vector_of",),
        "explained_row": ("Explained",),
        "explanation": ("explained",),
        "found_row": ("FoundRow", "SearchedWords"),
        "models.allowed": ("allow_model", "check_allowed"),
        "models.cross_encoders": ("cross_encoder",),
        "ranking.known_words": (
            "Suggestion",
            "Term",
            "checked_kind",
            "checked_word",
            "suggestions",
            "vocabulary",
        ),
        "ranking.neighbours": ("Neighbours",),
        "ranking.options": ("DEFAULT_RANKING", "Ranking", "RankingOptions"),
        "ranking.parts": ("Kept",),
        "ranking.target": ("SearchTarget", "WHOLE", "keyword_columns", "search_target"),
        "request": ("asked_for", "passage_finder", "results", "searched_words"),
        "row_scores": ("bm25",),
        "snippets": ("highlight", "snippet"),
    },
)
