"""Documents as rows of Arrow, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.document_store.layout import Layout
from audiomem_sql.document_store.metadata import check_text, packed, unpacked
from audiomem_sql.document_store.stored import Stored
from audiomem_sql.errors import AudioMemError, DataTypeError


def arrow_rows(documents: Mapping[str, Stored], layout: Layout, schema: Schema) -> pa.Table:
    """Documents, by their ids, as rows for a table that is ``writable``; DataTypeError names the document."""
    metadata: list[str] = []
    types: list[str | None] = []
    more: dict[str, list[Any]] = {name: [] for name in layout.more}
    for identity, document in documents.items():
        try:
            check_text(identity, "the id")
            check_text(document.text or "", "the text")
            rest = dict(document.metadata)
            for name, values in more.items():
                values.append(rest.pop(name, None))
            text, kinds = packed(rest)
        except AudioMemError as error:
            place = f"document {identity!r}" + (f", {error.place}" if error.place else "")
            raise DataTypeError(error.what, place=place, remedy=error.remedy) from None
        metadata.append(text)
        types.append(kinds)
    arrow = schema.to_arrow()
    columns: dict[str, Any] = {
        str(layout.id): list(documents),
        layout.text: [document.text for document in documents.values()],
        str(layout.metadata): metadata,
        str(layout.types): types,
        **more,
    }
    arrays = {name: pa.array(values, arrow.field(name).type) for name, values in columns.items()}
    if layout.vector is not None:
        arrays[layout.vector] = _vectors(documents, int(layout.dimensions or 0))
    return pa.table(arrays)


def _vectors(documents: Mapping[str, Stored], dimensions: int) -> pa.Array:
    """Their vectors, NULL for those that have none. DataTypeError for one of another number of numbers."""
    numbers = np.zeros((len(documents), dimensions), np.float32)
    missing = np.zeros(len(documents), bool)
    for place, (identity, document) in enumerate(documents.items()):
        if document.vector is None:
            missing[place] = True
            continue
        vector = np.asarray(document.vector, np.float32)
        if vector.shape != (dimensions,):
            raise DataTypeError(
                f"the vector has {vector.size} numbers, those of the table have {dimensions}",
                place=f"document {identity!r}",
                remedy="Embed all documents of a table by one model.",
            )
        numbers[place] = vector
    flat = pa.array(numbers.reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, dimensions, mask=pa.array(missing))


def documents_of(columns: Mapping[str, pa.Array], layout: Layout) -> list[Stored]:
    """Rows as documents. columns: by name; vectors of another origin are called ``""``."""
    if layout.text not in columns:
        return []
    values = {name: array.to_pylist() for name, array in columns.items() if name not in (layout.vector, "")}
    count = len(values[layout.text])
    nothing: list[Any] = [None] * count
    ids = values.get(layout.id or "", nothing)
    texts = values[layout.text]
    metadata = values.get(layout.metadata or "", nothing)
    types = values.get(layout.types or "", nothing)
    array = columns.get(layout.vector or "", columns.get(""))
    vectors = nothing if array is None else _numbers(array)
    documents = []
    for place in range(count):
        more = {name: values[name][place] for name in layout.more if values[name][place] is not None}
        found = unpacked(metadata[place], types[place])
        identity = None if ids[place] is None else str(ids[place])
        documents.append(Stored(identity, texts[place], more | found, vectors[place]))
    return documents


def _numbers(array: pa.Array) -> list[Any]:
    return [None if each is None else np.asarray(each, np.float32) for each in array.to_pylist()]
