"""The language of columns with ``tokenize='auto'``.

The first segment that has enough text decides, and later ones follow. Each index says how its words were
made, and is searched so. A vacuum, which writes all texts again, decides anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes import words
from audiomem_sql.storage.segment import ReadableSegment

if TYPE_CHECKING:
    from audiomem_sql.indexes.words import Words


def decided_words(segments: Iterable[ReadableSegment], schema: Schema, column: int) -> Words:
    """How the texts of a column become words: as the largest segment does that knows their language."""
    chosen = words.words_of(schema.columns[column].tokenize)
    if not chosen.is_undecided:
        return chosen
    rows = 0
    for segment in segments:
        if segment.rows <= rows:
            continue
        try:
            index = segment.keyword_index(column)
        except DamagedFileError:  # who reads the words of that segment will say so
            continue
        if index is not None and not index.words.is_undecided:
            chosen, rows = index.words, segment.rows
    return chosen


def decided_tokenizers(segments: Iterable[ReadableSegment], schema: Schema) -> dict[int, str]:
    """The tokenizers that the columns of a new segment follow, by number; of those with ``auto`` only."""
    known = [segment.with_schema(schema) for segment in segments]
    return {
        column: str(decided_words(known, schema, column).tokenizer)
        for column in schema.indexed_columns
        if words.words_of(schema.columns[column].tokenize).is_undecided
    }
