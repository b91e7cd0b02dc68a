"""How the texts of the columns of a table become words, as a search must know it before it looks anywhere."""

from __future__ import annotations

from collections.abc import Mapping

from audiomem_sql.indexes.words import Words
from audiomem_sql.scan import Readable
from audiomem_sql.versions import decided_words

#: Rows outside the segments that tell the language of a column, where no segment does.
_ROWS = 2000


def column_words(readable: Readable, columns: Mapping[str, int]) -> dict[str, Words]:
    """The words of columns, by name; columns: their indices by name."""
    return {name: _words(readable, column) for name, column in columns.items()}


def _words(readable: Readable, column: int) -> Words:
    words = decided_words((view.segment for view in readable.views), readable.schema, column)
    if words.is_undecided and readable.pending is not None:
        return words.decided_by(readable.pending.arrays[column].slice(0, _ROWS))
    return words
