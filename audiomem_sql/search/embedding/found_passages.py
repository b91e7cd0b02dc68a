"""Which passage of a row a search found: the nearest one to what it looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.scan import Readable, fetch_rows
from audiomem_sql.search.embedding.passages import BestPassage, best_passage


class Passage(NamedTuple):
    """A passage of the text in ``column``: its first character, and the one behind its last."""

    column: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class FoundPassages:
    """Tells the passages of the rows of one search.

    text_column, vector_column, passages: places of the text, of its vectors and of its passages. query: what
    is searched for, float32 (d,).
    """

    text_column: int
    vector_column: int
    passages: int
    query: F32Array

    def best(self, readable: Readable, rowids: I64Array) -> list[BestPassage | None]:
        """The nearest passage of each row; None where the text is not cut, or cannot be read."""
        there, arrays = fetch_rows(readable, rowids, (self.vector_column, self.passages))
        found: list[BestPassage | None] = [None] * len(rowids)
        if not there.any():
            return found
        vectors, passages = arrays[0].to_pylist(), arrays[1].to_pylist()
        for place, vector, value in zip(np.flatnonzero(there).tolist(), vectors, passages, strict=True):
            if vector is not None and value is not None:
                found[place] = best_passage(np.array(vector, np.float32), value, self.query)
        return found


def passage_of(found: FoundPassages | None, readable: Readable, rowid: int) -> Passage | None:
    """The passage of one row; None where the text is not cut."""
    best = None if found is None else found.best(readable, np.array([rowid], np.int64))[0]
    return None if found is None or best is None else Passage(found.text_column, best.start, best.end)


def shown(start: int, end: int) -> str:
    """A passage as SQL has it: a JSON array of its first character and the one behind its last."""
    return f"[{start},{end}]"


def shown_spans(
    found: FoundPassages | None, readable: Readable, rowids: Sequence[int] | I64Array
) -> list[str | None]:
    """The passages of rows as SQL has them; NULL without any."""
    if found is None:
        return [None] * len(rowids)
    best = found.best(readable, np.asarray(rowids, np.int64))
    return [None if each is None else shown(each.start, each.end) for each in best]


def search_fields(schema: Schema) -> list[pa.Field]:
    """What a search puts behind the columns that users see; schema: with the columns of vectors."""
    visible = schema.visible
    fields = [pa.field(visible.added_name("distance"), pa.float32())]
    if schema.passages:
        fields.append(pa.field(visible.added_name("passage"), pa.string()))
    return fields
