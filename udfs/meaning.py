"""``embed(text)``, ``embed(text, model)``: the vector of a text as a blob of float32."""

from __future__ import annotations

from audiomem_sql.errors import DataTypeError
from audiomem_sql.semantic.embedders import embedder_named
from audiomem_sql.table_options import DEFAULT_MODEL
from audiomem_sql.udfs.function import Function

_TAKES = "embed takes a text, and the name of a model"


def embed(text: object, model: object = DEFAULT_MODEL) -> bytes | None:
    """The vector of ``text``; NULL of NULL. DataTypeError for what is no text, MissingExtraError without the model."""
    if text is None:
        return None
    if not isinstance(text, str) or not isinstance(model, str):
        raise DataTypeError(_TAKES)
    vector: bytes = embedder_named(model).embed([text])[0].astype("<f4").tobytes()
    return vector


def embed_many(texts: list[object], models: list[object] | None = None) -> list[bytes | None]:
    """The same of many texts: each is embedded once, and those of one model together."""
    named = [DEFAULT_MODEL] * len(texts) if models is None else models
    wanted: dict[str, dict[str, bytes]] = {}
    for text, model in zip(texts, named, strict=True):
        if text is None:
            continue
        if not isinstance(text, str) or not isinstance(model, str):
            raise DataTypeError(_TAKES)
        wanted.setdefault(model, {})[text] = b""
    for model, found in wanted.items():
        vectors = embedder_named(model).embed(list(found))
        found.update(zip(found, (vector.astype("<f4").tobytes() for vector in vectors), strict=True))
    return [None if text is None else wanted[model][text] for text, model in zip(texts, named, strict=True)]  # type: ignore[index]


FUNCTIONS = (Function(embed, (1, 2), embed_many),)
