"""``embed(text)``, ``embed(text, model)``: the vector of a text as a blob of float32."""

from __future__ import annotations

from typing import Any, cast

import apsw

from audiomem_sql.errors import DataTypeError
from audiomem_sql.semantic.embedders import embedder_named
from audiomem_sql.table_options import DEFAULT_MODEL


def embed(text: object, model: object = DEFAULT_MODEL) -> bytes | None:
    """The vector of ``text``; NULL of NULL. DataTypeError for what is no text, MissingExtraError without the model."""
    if text is None:
        return None
    if not isinstance(text, str) or not isinstance(model, str):
        raise DataTypeError("embed takes a text, and the name of a model")
    vector: bytes = embedder_named(model).embed([text])[0].astype("<f4").tobytes()
    return vector


def register(connection: apsw.Connection) -> None:
    """Make the function known to ``connection``."""
    for arguments in (1, 2):
        connection.create_scalar_function("embed", cast(Any, embed), arguments, deterministic=True)
