"""The first rows in an order: the columns of the order are read of all rows, and the others only of those that are given.

An engine that takes rows from a dataset, and keeps the first ten, has had every column of every row decoded before it knew
which ten; only who knows the order beforehand can leave that out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import int64_view, integer_array
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError, SchemaError
from audiomem_sql.scan.filters import Filter, RowFilter
from audiomem_sql.scan.readable import Readable
from audiomem_sql.scan.scan import scan

_KEY = re.compile(r'\s*("(?:[^"]|"")+"|\w+)(?:\s+(asc|desc))?\s*', re.IGNORECASE)
_ROWID = "rowid"


def parse_order(ordering: str, schema: Schema) -> list[tuple[int, bool]]:
    """``year DESC, title`` as places of columns, and whether each is descending. QueryError for anything else."""
    keys: list[tuple[int, bool]] = []
    at = 0
    while True:
        found = _KEY.match(ordering, at)
        if found is None or (found.end() < len(ordering) and ordering[found.end()] != ","):
            raise QueryError(f"{ordering!r} is no order", remedy="Write columns, such as: year DESC, title")
        name = found[1]
        if name.startswith('"'):
            name = name[1:-1].replace('""', '"')
        try:
            place = schema.index(name)
        except SchemaError as error:
            raise QueryError(error.what, remedy=error.remedy) from None
        if schema.columns[place].type.kind is Kind.FLOAT:
            raise QueryError(
                f"vectors have no order: column {name}", remedy="Search for the nearest instead."
            )
        keys.append((place, (found[2] or "").lower() == "desc"))
        if found.end() == len(ordering):
            return keys
        at = found.end() + 1


def first_rows(
    readable: Readable,
    keys: Sequence[tuple[int, bool]],
    k: int,
    filters: Sequence[Filter] = (),
    row_filter: RowFilter | None = None,
) -> I64Array:
    """The rowids of the first ``k`` rows that pass the filters, int64 (n,): NULL comes last, and of equals the lower rowid.

    Texts and blobs are ordered by their bytes, whatever collation the column has.
    """
    import pyarrow.compute as pc

    places = list(dict.fromkeys(place for place, _ in keys))
    sorting = [(str(place), "descending" if falls else "ascending") for place, falls in keys]
    sorting.append((_ROWID, "ascending"))
    names = [*map(str, places), _ROWID]
    kept: pa.Table | None = None
    for batch in scan(readable, places, filters, row_filter=row_filter, ahead=2):
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
    return pc.fill_null((pc.greater_equal if falls else pc.less_equal)(values, last), False)
