"""The codecs that all shards store the vectors of a commit with, so that distances are those of one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.text_vectors import holds_passages
from audiomem_sql.columns.views import valid
from audiomem_sql.machine.spooled_arrays import ArrayRows
from audiomem_sql.storage.segment import matrix

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorCodec


def codecs_for(batches: Sequence[Batch], schema: Schema, codes: str) -> dict[int, VectorCodec]:
    """By the number of a column of vectors of texts the codec that one segment of all rows would have.

    codes: the option ``vector_codes``.
    """
    from audiomem_sql.indexes.vectors import fitted_codec

    codecs: dict[int, VectorCodec] = {}
    for number, column in enumerate(schema.columns):
        if not column.is_hidden or holds_passages(column):
            continue
        array = pa.chunked_array([batch.arrays[number] for batch in batches]).combine_chunks()
        present = valid(array)
        if not present.any():
            continue
        vectors = np.where(present[:, None], matrix(array), np.float32(0))
        codecs[number] = fitted_codec(ArrayRows(vectors), present, codes)
    return codecs
