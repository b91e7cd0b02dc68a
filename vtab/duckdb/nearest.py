"""``audiomem_nearest(path, query, k, column, filter)``: the nearest rows for each row of any relation.

A table function of DuckDB takes no columns of the rows before it, a scalar function does. So this is one, and
gives a list: ``unnest`` makes rows of it. Called for some two thousand rows at a time, it looks for the
neighbours of all of these at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.search import Given
from audiomem_sql.table.analyses import Analysed
from audiomem_sql.vtab.duckdb.source import open_table
from audiomem_sql.vtab.rows import rows_wanted

NAME = "audiomem_nearest"
#: Numbers of arguments: all behind the query may be left out.
COUNTS = (2, 3, 4, 5)
#: What it returns, to DuckDB and as Arrow.
RETURNED = "STRUCT(row_id BIGINT, distance FLOAT)[]"
_PAIR = pa.struct([("row_id", pa.int64()), ("distance", pa.float32())])
_PACKED = np.dtype([("row_id", "<i8"), ("distance", "<f4")])


def nearest_lists(queries: pa.Array, paths: Sequence[Any], *others: Sequence[Any]) -> pa.Array:
    """The nearest rows of each query, the nearest first, as lists of ``row_id`` and ``distance``.

    queries: vectors, or texts where the column is SEMANTIC; NULL has no list. paths, others: for each query
    the table, and k, the column and a filter, as far as they are given. QueryError, DataTypeError as for a
    search.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(paths, *others, strict=True)):
        groups.setdefault(key, []).append(row)
    counts = np.zeros(len(queries), np.int64)
    rows = [np.empty(0, np.int64)]
    found = [pa.table([[], [], []], schema=pa.schema([("left", pa.int64()), *_PAIR]))]
    for key, places in groups.items():
        taken = np.array(places)
        pairs = _pairs(queries.take(pa.array(taken)), *key)
        left = taken[pairs["left_row_id"].to_numpy()]
        counts += np.bincount(left, minlength=len(queries))
        rows.append(left)
        found.append(
            pairs.select(["left_row_id", "right_row_id", "distance"]).rename_columns(found[0].schema.names)
        )
    order = np.argsort(np.concatenate(rows), kind="stable")
    whole = pa.concat_tables(found).take(pa.array(order)).combine_chunks()
    values = [whole[name].combine_chunks() for name in ("row_id", "distance")]
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    items = pa.StructArray.from_arrays(values, fields=list(_PAIR))
    return pa.ListArray.from_arrays(offsets, items, mask=queries.is_null())


def _pairs(
    queries: pa.Array, path: Any, k: Any = None, column: Any = None, condition: Any = None
) -> pa.Table:
    if not isinstance(path, str):
        raise QueryError("there is no path", remedy="Pass the path of a FLAC file as text.")
    count = None if k is None else rows_wanted(k, path)
    table = open_table(path)
    try:
        analysed = Analysed(table.readable, table.options, table.path, condition)
        return analysed.nearest_to(Given("query", [queries]), column, count)
    except AudioMemError as error:
        if error.file == table.path:
            raise
        # the rows are counted from where DuckDB began, which says nothing to whoever asked
        raise type(error)(error.what, file=path, place="query", remedy=error.remedy) from None


def of_arrow(*arguments: Any) -> pa.Array:
    """The function as DuckDB's Python package calls it, of Arrow arrays."""
    if len(arguments) not in COUNTS:
        raise QueryError(
            f"{NAME} does not take {len(arguments)} arguments",
            remedy="Pass the path and the query, and then k, the column and a filter.",
        )
    path, query, *others = (
        each.combine_chunks() if isinstance(each, pa.ChunkedArray) else each for each in arguments
    )
    return nearest_lists(query, path.to_pylist(), *(each.to_pylist() for each in others))


def of_lists(paths: list[Any], queries: list[Any], *others: list[Any]) -> list[bytes | None]:
    """The function as the loadable extension calls it: lists of values, vectors as blobs of float32.

    Each list is packed: an i64 and an f32 for each row.
    """
    texts = any(isinstance(query, str) for query in queries)
    lists = nearest_lists(pa.array(queries, pa.string()) if texts else _lists(queries), paths, *others)
    items = lists.flatten()
    packed = np.empty(len(items), _PACKED)
    for name in _PACKED.names or ():
        packed[name] = items.field(name).to_numpy()
    sizes = lists.value_lengths().fill_null(0).to_numpy()
    ends = np.cumsum(sizes)
    return [
        None if query is None else packed[end - size : end].tobytes()
        for query, size, end in zip(queries, sizes, ends, strict=True)
    ]


def _lists(blobs: list[bytes | None]) -> pa.Array:
    """Lists of float32 of their bytes."""
    sizes = [0 if blob is None else len(blob) // 4 for blob in blobs]
    numbers = np.frombuffer(b"".join(blob for blob in blobs if blob is not None), "<f4")
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    missing = pa.array([blob is None for blob in blobs])
    return pa.ListArray.from_arrays(offsets, pa.array(numbers), mask=missing)
