"""``embed(text)``, ``embed(text, model)``, ``embed(text, model, model_backend)``: the vector of a text.

SQLite has it as a blob of float32, DuckDB as ``FLOAT[]``. ``audiomem_device('cuda')`` says where models run.
"""

from __future__ import annotations

from audiomem_sql import search
from audiomem_sql.errors import DataTypeError
from audiomem_sql.machine.device import use_device
from audiomem_sql.storage.segment import DEFAULT_MODEL, check_backend, default_backend
from audiomem_sql.udfs.function import DIRECT_ONLY, TEXT, VECTOR, Function, null_for_table


@null_for_table
def embed(text: object, model: object = DEFAULT_MODEL, backend: object = "") -> bytes | None:
    """The vector of ``text``; NULL of NULL. backend: what runs the model, ``""`` the default.

    DataTypeError for what is no text, MissingExtraError without the model, UnsupportedError for
    one that is neither built in nor allowed.
    """
    if text is None:
        return None
    vector = embed_many([text], [model], [backend])[0]
    assert vector is not None
    return vector


def embed_many(
    texts: list[object], models: list[object] | None = None, backends: list[object] | None = None
) -> list[bytes | None]:
    """The same of many texts: each is embedded once, and those of one model together."""
    named = [DEFAULT_MODEL] * len(texts) if models is None else models
    chosen: list[object] = [""] * len(texts) if backends is None else backends
    wanted: dict[tuple[str, str], dict[str, bytes]] = {}
    for text, model, backend in zip(texts, named, chosen, strict=True):
        if text is None:
            continue
        if not isinstance(text, str) or not isinstance(model, str) or not isinstance(backend, str):
            raise DataTypeError("embed takes a text, the name of a model, and that of a backend")
        if backend:
            check_backend(model, backend)
        wanted.setdefault((model, backend), {})[text] = b""
    for (model, backend), by_text in wanted.items():
        vectors = search.embedder_of(model, backend or default_backend(model)).embed(list(by_text))
        by_text.update(zip(by_text, (vector.astype("<f4").tobytes() for vector in vectors), strict=True))
    vectors_of_rows: list[bytes | None] = []
    for text, model, backend in zip(texts, named, chosen, strict=True):
        vectors_of_rows.append(None if text is None else wanted[model, backend][text])  # type: ignore[index]
    return vectors_of_rows


def audiomem_device(name: object = None) -> str:
    """Where models and large comparisons of this process run from now on; of NULL, where they run.

    DataTypeError for what is no text, and what :func:`audiomem_sql.machine.device.use_device` raises.
    """
    if name is not None and not isinstance(name, str):
        raise DataTypeError("audiomem_device takes the name of a device, such as cpu, cuda or auto")
    return use_device(name)


FUNCTIONS = (
    Function(embed, (TEXT,) * 3, VECTOR, (1, 2, 3), embed_many, DIRECT_ONLY),
    Function(audiomem_device, (TEXT,), TEXT, (0, 1), flags=DIRECT_ONLY),
)
