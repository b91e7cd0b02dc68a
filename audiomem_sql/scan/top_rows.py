"""The first rows in an order: only the columns of the order are read of all rows.

An engine that takes rows from a dataset, and keeps the first ten, has had every column of every row decoded
before it knew which ten; only who knows the order beforehand can leave that out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.lexemes import Lexeme, Token, lexemes
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import int64_view, integer_array
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError, SchemaError
from audiomem_sql.scan.filters import Filter, RowFilter
from audiomem_sql.scan.readable import Readable
from audiomem_sql.scan.scanner import scan

_ROWID = "rowid"


def parse_order(ordering: str, schema: Schema) -> list[tuple[int, bool]]:
    """``year DESC, title`` as places of columns, and whether each is descending.

    QueryError for anything else.
    """
    try:
        words = lexemes(ordering)
    except SchemaError:
        words = []
    keys: list[tuple[int, bool]] = []
    for start in _starts(words, ordering):
        name = words[start]
        try:
            column = schema.index(name.value)
        except SchemaError as error:
            raise QueryError(error.what, remedy=error.remedy) from None
        if schema.columns[column].type.kind is Kind.FLOAT:
            raise QueryError(
                f"vectors have no order: column {name.value}", remedy="Search for the nearest instead."
            )
        keys.append((column, words[start + 1 : start + 2] != [] and words[start + 1].is_word("DESC")))
    return keys


def _starts(words: Sequence[Lexeme], ordering: str) -> list[int]:
    """Where each key begins: ``name [ASC | DESC]``, and commas between them."""
    starts = [0]
    for number, word in enumerate(words):
        if word.text == ",":
            starts.append(number + 1)
    for start, stop in zip(starts, [start - 1 for start in starts[1:]] + [len(words)], strict=True):
        key = words[start:stop]
        if (
            len(key) not in (1, 2)
            or key[0].token not in (Token.WORD, Token.QUOTED)
            or not all(word.is_word("ASC", "DESC") for word in key[1:])
        ):
            raise QueryError(f"{ordering!r} is no order", remedy="Write columns, such as: year DESC, title")
    return starts


def first_rows(
    readable: Readable,
    keys: Sequence[tuple[int, bool]],
    k: int,
    filters: Sequence[Filter] = (),
    row_filter: RowFilter | None = None,
) -> I64Array:
    """The rowids of the first ``k`` rows that pass the filters, int64 (n,).

    NULL comes last, and NaN before it, whichever way. Of equal rows the one with the lower rowid comes first.

    Texts and blobs are ordered by their bytes, whatever collation the column has.
    """
    import pyarrow.compute as pc

    columns = list(dict.fromkeys(column for column, _ in keys))
    sorting = [(str(column), "descending" if falls else "ascending") for column, falls in keys]
    sorting.append((_ROWID, "ascending"))
    names = [*map(str, columns), _ROWID]
    kept: pa.Table | None = None
    for batch in scan(readable, columns, filters, row_filter=row_filter, ahead=2):
        rows = pa.Table.from_arrays([*batch.arrays, integer_array(batch.rowids)], names)
        if kept is not None:
            if len(kept) == k:
                rows = rows.filter(
                    _may_come_before(rows[sorting[0][0]], kept[sorting[0][0]][k - 1], keys[0][1])
                )
                if not len(rows):
                    continue
            rows = pa.concat_tables([kept, rows])
        order = pc.sort_indices(rows, sort_keys=sorting)
        kept = rows.take(order[:k])
    return np.empty(0, np.int64) if kept is None else int64_view(kept[_ROWID].combine_chunks())


def _may_come_before(values: pa.ChunkedArray, last: pa.Scalar, falls: bool) -> Any:
    """Which rows can be among the first, by their first key; ``last``: that of the last row that is kept."""
    import pyarrow.compute as pc

    if not last.is_valid:
        return pa.chunked_array([pa.repeat(True, len(values))])
    if last.type == pa.float64() and last.as_py() != last.as_py():
        return pc.is_valid(values)
    return pc.fill_null((pc.greater_equal if falls else pc.less_equal)(values, last), False)
