"""``embed(text)``, ``embed(text, model)``, ``embed(text, model, model_backend)``: the vector of a text as a blob of float32."""

from __future__ import annotations

from audiomem_sql.errors import DataTypeError
from audiomem_sql.semantic.embedders import BACKENDS, embedder_named
from audiomem_sql.table_options import DEFAULT_MODEL, check_backend
from audiomem_sql.udfs.function import Function


def embed(text: object, model: object = DEFAULT_MODEL, backend: object = BACKENDS[0]) -> bytes | None:
    """The vector of ``text``; NULL of NULL. DataTypeError for what is no text, MissingExtraError without the model."""
    if text is None:
        return None
    if not isinstance(text, str) or not isinstance(model, str) or not isinstance(backend, str):
        raise DataTypeError("embed takes a text, the name of a model, and that of a backend")
    check_backend(model, backend)
    vector: bytes = embedder_named(model, backend).embed([text])[0].astype("<f4").tobytes()
    return vector


FUNCTIONS = (Function(embed, (1, 2, 3)),)
