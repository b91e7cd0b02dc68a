"""Vectors for rows on their way into a table.

They are made once, before the commit, so that a search sees what a reader sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from audiomem_sql.arrays import F32Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.types import BIT, INT8
from audiomem_sql.errors import AudioMemError, MissingExtraError, QueryError, UnsupportedError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter
from audiomem_sql.search.embedding.passages import Embedded, Known, embedded_texts, window_of
from audiomem_sql.search.embedding.vectors_in_sql import numbers_of, query_of, unpacked_query, vector_of
from audiomem_sql.search.models.allowed import check_allowed
from audiomem_sql.search.models.embedders import Embedder, HashingEmbedder, embedder_named, same_weights
from audiomem_sql.storage.segment import WORDLLAMA, TableOptions
from audiomem_sql.versions import Snapshot

#: Vectors of texts as they are stored, by the place of the column of texts, and the text.
KnownVectors = Mapping[int, Mapping[str, Embedded]]
#: The longest text to search for.
MAX_QUERY_CHARACTERS = 1 << 20
#: Numbers of a vector of models that need not be loaded to know it.
KNOWN_DIMENSIONS = {"all-MiniLM-L6-v2": 384, WORDLLAMA: 256, HashingEmbedder.name: HashingEmbedder.dimensions}


def embedder_of(model: str, backend: str) -> Embedder:
    """The embedder of a model; nothing is loaded before it is asked for something.

    UnsupportedError for a model that is not allowed, see ``allow_model``.
    """
    check_allowed(model)
    return embedder_named(model, backend)


def dimensions_of(model: str, backend: str, file: str | None = None) -> int:
    """Numbers of a vector of ``model``. MissingExtraError if it must be loaded for that, and cannot be.

    file: the table that names it. UnsupportedError for a model that must be loaded and is not allowed.
    """
    if (known := KNOWN_DIMENSIONS.get(model)) is not None:
        return known
    check_allowed(model, file)
    return embedder_named(model, backend).dimensions


def table_embedder(options: TableOptions, schema: Schema, path: str) -> Embedder:
    """The embedder of a table.

    UnsupportedError if its model makes other vectors by now than those that are stored, or is named by the
    table only, see ``allow_model``.

    The digest of the weights decides, which is another one for each backend: vectors of two backends are
    never mixed.
    """
    check_allowed(options.model, path)
    embedder = embedder_named(options.model, options.model_backend)
    for column in schema.vectors.values():
        width = schema.columns[column].type.width
        if embedder.dimensions != width:
            raise UnsupportedError(
                f"the model {options.model} makes vectors of {embedder.dimensions} numbers, "
                f"the table has {width}",
                file=path,
                remedy="Use the model that it was made with, or embed it again: audiomem reembed.",
            )
    if options.model_digest not in ("", embedder.digest.hex()):
        raise UnsupportedError(
            f"the model {options.model} ({options.model_backend}) has other weights here than the one that "
            "made the vectors",
            file=path,
            remedy="Use the model that it was made with, or embed it again: audiomem reembed.",
        )
    return embedder


def recorded(options: TableOptions, embedder: Embedder) -> TableOptions:
    """The options of a table that has vectors of ``embedder`` from now on."""
    return options if options.model_digest else replace(options, model_digest=embedder.digest.hex())


def with_vectors(
    table: pa.Table,
    schema: Schema,
    embedder: Embedder,
    progress: Progress | None = None,
    passages: str = "off",
    known: KnownVectors | None = None,
) -> pa.Table:
    """``table`` with vectors for the columns that are searched by meaning.

    table: its columns are the visible ones of ``schema``. passages: the option of the table. known: the
    vectors of texts that the table has, which are not made again.
    """
    arrays: dict[int, pa.Array] = {}
    for text_column, vector_column in schema.vectors.items():
        texts = table.column(text_column).to_pylist()
        there = {} if known is None else known.get(text_column, {})
        missing = [text for text in texts if text is not None and text not in there]
        places = [vector_column]
        window = None
        if vector_column in schema.passages:
            places.append(schema.passages[vector_column])
            window = window_of(passages, embedder)
        made = iter(embedded_texts(missing, embedder, window, progress=progress))
        values = [
            (None, None) if text is None else there[text] if text in there else next(made) for text in texts
        ]
        for number, place in enumerate(places):
            arrays[place] = array_of([both[number] for both in values], schema.columns[place].type)
    for place in sorted(arrays):
        table = table.append_column(schema.columns[place].name, arrays[place])
    return table


def embed_texts(
    texts: list[str], embedder: Embedder, known: Sequence[Known | None], passages: str
) -> list[Embedded]:
    """The vectors of texts as they are stored, see :func:`embedded_texts`. passages: the option of a table.

    What the embedder raises that is no error of ours becomes one.
    """
    try:
        return embedded_texts(texts, embedder, window_of(passages, embedder), known)
    except AudioMemError:
        raise
    except (RuntimeError, ValueError, OSError) as error:
        raise UnsupportedError(f"the model {embedder.name} failed: {error!s:.200}") from error


def query_vector(query: object, schema: Schema, column: int, options: TableOptions, path: str) -> F32Array:
    """What is searched for as a vector, float32 (n,).

    query: a text, where column ``column`` holds vectors of texts; otherwise numbers: an array, a list, bytes
    or JSON.
    """
    if schema.columns[column].is_hidden and isinstance(query, str):
        if not query.strip():
            raise QueryError("the words to search for are empty", file=path, remedy="Write some words.")
        if len(query) > MAX_QUERY_CHARACTERS:
            raise QueryError(
                f"a query of {len(query):,} characters is over the limit of {MAX_QUERY_CHARACTERS:,}",
                file=path,
                remedy="Search for a part of it.",
            )
        return _query_embedded(query, schema, options, path)
    if isinstance(query, (bytearray, memoryview)):
        query = bytes(query)
    column_type = schema.columns[column].type
    with query_of(schema, column):
        if column_type.element == BIT or (
            column_type.element == INT8 and isinstance(query, bytes) and len(query) == column_type.width
        ):
            return unpacked_query(query, column_type)
        if isinstance(query, list | tuple) or hasattr(query, "__array__"):
            return numbers_of(query)
        return vector_of(query)


def _query_embedded(query: str, schema: Schema, options: TableOptions, path: str) -> F32Array:
    """The vector of a text that is searched for.

    Where the packages of the table's backend are missing, the other one makes it from the same weights: its
    vector of a text is almost the same (cosine 0.994), where vectors of a table are never mixed.
    """
    try:
        vector: F32Array = table_embedder(options, schema, path).embed([query])[0]
    except MissingExtraError:
        backend = same_weights(options.model, options.model_backend, options.model_digest)
        if backend is None:
            raise
        vector = embedder_named(options.model, backend).embed([query])[0]
    return vector


def missing_vectors(snapshot: Snapshot) -> list[list[Filter]]:
    """Filters for rows that have a text and no vector of it yet: a list for each column of texts."""
    schema = snapshot.schema

    def is_null(column: int, op: Op) -> Filter:
        return Filter(column, bind(Predicate(column, op, None), schema.columns[column].type))

    return [
        [is_null(vectors, Op.IS_NULL), is_null(text, Op.NOT_NULL)] for text, vectors in schema.vectors.items()
    ]
