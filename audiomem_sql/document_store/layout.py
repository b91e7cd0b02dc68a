"""Which columns of a table are what of a document: of tables that were made for documents, and of any other.

A table that is made here has the columns ``id TEXT PRIMARY KEY``, ``text TEXT INDEXED``, ``metadata JSON``,
``metadata_types JSON`` and, where documents bring vectors, ``vector FLOAT[n] INDEXED``. Of any other table,
such as one that files were ingested into, the columns that are neither key, text nor vectors are metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import FLOAT32, Kind
from audiomem_sql.columns.vector_index import COSINE, VectorIndexOptions
from audiomem_sql.document_store.conditions import Field
from audiomem_sql.errors import QueryError, SchemaError

ID, TEXT, VECTOR, METADATA, TYPES = "id", "text", "vector", "metadata", "metadata_types"


def columns_of(*, semantic: bool, dimensions: int | None, metric: str) -> list[str]:
    """The definitions of the columns of a new table. dimensions: None for no vectors of its documents."""
    columns = [
        f"{ID} TEXT PRIMARY KEY",
        f"{TEXT} TEXT {'SEMANTIC ' if semantic else ''}INDEXED",
        f"{METADATA} JSON",
        f"{TYPES} JSON",
    ]
    return columns if dimensions is None else [*columns, vector_column(dimensions, metric)]


def vector_column(dimensions: int, metric: str) -> str:
    """The definition of the column of vectors."""
    return f"{VECTOR} FLOAT[{dimensions}] INDEXED(metric={metric})"


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of columns. None: there is none of the kind.

    more: columns that are metadata by their own names. semantic: the text is searched by meaning. key: the
    type of ``id``. dimensions, metric: of ``vector``. writable: documents can be added.
    """

    id: str | None
    text: str
    vector: str | None
    metadata: str | None
    types: str | None
    more: tuple[str, ...]
    semantic: bool
    key: Kind | None
    dimensions: int | None
    metric: str

    @classmethod
    def of(cls, schema: Schema, path: str, text: str | None = None, vector: str | None = None) -> Layout:
        """That of a table with ``schema``. text, vector: names of columns, where it has several of the kind.

        SchemaError where it cannot be told which column holds the text.
        """
        columns = {fold(column.name): column for column in schema.columns}
        text_name = schema[text].name if text is not None else _text(schema.columns, path)
        key = next((column for column in schema.columns if column.primary_key), None)
        vectors = [column for column in schema.columns if _is_vectors(column)]
        if vector is not None and schema[vector] not in vectors:
            raise SchemaError(
                f"column {vector} holds no vectors", file=path, remedy="Name a column of type FLOAT[n]."
            )
        own = columns.get(VECTOR)
        chosen = schema[vector] if vector is not None else own if own in vectors else None
        if chosen is None and len(vectors) == 1:
            chosen = vectors[0]
        metadata = columns.get(METADATA)
        if metadata is not None and metadata.type.kind is not Kind.JSON:
            metadata = None
        types = columns.get(TYPES) if metadata is not None else None
        taken = {text_name, *(column.name for column in (key, metadata, types) if column is not None)}
        return cls(
            id=None if key is None else key.name,
            text=text_name,
            vector=None if chosen is None else chosen.name,
            metadata=None if metadata is None else metadata.name,
            types=None if types is None else types.name,
            more=tuple(
                column.name
                for column in schema.columns
                if column.name not in taken and column.type.kind not in (Kind.FLOAT, Kind.BLOB)
            ),
            semantic=schema[text_name].semantic,
            key=None if key is None else key.type.kind,
            dimensions=None if chosen is None else chosen.type.width,
            metric=_metric(chosen),
        )

    @property
    def writable(self) -> bool:
        """Whether it has all that a document needs."""
        return None not in (self.id, self.metadata, self.types) and self.key is Kind.TEXT

    def read(self, *, vectors: bool) -> list[str]:
        """The columns that a document is made of."""
        names = [self.id, self.text, self.metadata, self.types, self.vector if vectors else None, *self.more]
        return [name for name in names if name is not None]

    def field(self, path: Sequence[str]) -> Field:
        """A value of the metadata, by its keys; a column of that name comes first. QueryError for no keys."""
        if not path or not all(isinstance(key, str) for key in path):
            raise QueryError(
                f"{list(path)!r:.60} leads to nothing in metadata", remedy="Keys are texts, at least one."
            )
        wanted = fold(path[0])
        for name in self.more:
            if fold(name) == wanted and len(path) == 1:
                return Field.of_column(name)
        if self.metadata is None:
            return Field("NULL", "NULL")
        return Field.of_json(self.metadata, path, self.types)


def _text(columns: Sequence[Column], path: str) -> str:
    """The name of the only column that can be meant: called ``text``, or searched by meaning, or by words."""
    texts = [column for column in columns if column.type.kind is Kind.TEXT and not column.primary_key]
    for found in (
        [column for column in texts if fold(column.name) == TEXT],
        [column for column in texts if column.semantic],
        [column for column in texts if column.indexed],
        texts,
    ):
        if len(found) == 1:
            return found[0].name
    raise SchemaError(
        "it cannot be told which column holds the text of a document",
        file=path,
        remedy="Name it: text_column='body'.",
    )


def _is_vectors(column: Column) -> bool:
    return column.type.kind is Kind.FLOAT and column.type.element == FLOAT32


def _metric(column: Column | None) -> str:
    if column is None or column.vector_index is None:
        return COSINE
    return VectorIndexOptions.parse(column.vector_index).metric
