"""Rows put in tasks by their shard, so that each task writes few shards, and each shard has few segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.arrow_cast import cast_column
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.views import integers, valid
from audiomem_sql.errors import OptionError, UnsupportedError
from audiomem_sql.shards import Placement, is_sharded, key_columns, manifest_at, spread
from audiomem_sql.spark.options import SourceOptions
from audiomem_sql.spark.writing import new_schema
from audiomem_sql.table.existence import table_is_there
from audiomem_sql.table.sharded_creation import options_at

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_NO_SHARD_KEY = "Write it as it is, or make the table with a key: primary_key, or shard_key."


def by_shard(frame: DataFrame, table: str, partitions: int | None = None, **options: object) -> DataFrame:
    """``frame``, its rows put together by the shards of ``table`` that they belong to.

    partitions: how many tasks write, by default two for each core, and at most one for each shard. options:
    those of the write, of a table that is to be made. UnsupportedError where rowids place rows,
    and no column holds them.
    """
    said = {name: str(value) for name, value in options.items()} | {"path": table}
    placement, shards = _placement(frame, SourceOptions.of(said))
    count = min(partitions or 2 * frame.sparkSession.sparkContext.defaultParallelism, shards)
    number = shard_number(frame, placement)
    name = "audiomem_shard"
    from pyspark.sql.functions import col

    # by the number itself: its hash would be uneven
    return frame.withColumn(name, number).repartitionById(count, col(name) % count).drop(name)


def shard_number(frame: DataFrame, placement: Placement) -> Column:
    """The number of the shard of each row of ``frame``."""
    try:
        from pyspark.sql.functions import arrow_udf, col
    except ImportError:
        raise UnsupportedError(
            "by_shard needs Spark 4.1", remedy="Run: pip install 'pyspark>=4.1', or write without it."
        ) from None

    numbers = _key(placement)
    named = {column.lower(): column for column in frame.columns}
    columns = [placement.schema.columns[number] for number in numbers]
    for column in columns:
        if column.name.lower() not in named:
            raise OptionError(
                f"the column {column.name}, which places rows, is not in the data frame",
                remedy=f"Columns: {', '.join(frame.columns)}.",
            )

    def shards(*arrays: pa.Array) -> pa.Array:
        return _shards(placement, arrays)

    shards.__annotations__ = {"arrays": pa.Array, "return": pa.Array}
    return arrow_udf(shards, "int")(*(col(named[column.name.lower()]) for column in columns))


def _placement(frame: DataFrame, options: SourceOptions) -> tuple[Placement, int]:
    """Where rows belong, and in how many shards."""
    path = options.path
    if table_is_there(path):
        if not is_sharded(path):
            raise UnsupportedError("the table has no shards", file=path, remedy=_NO_SHARD_KEY)
        manifest, _ = manifest_at(path if "://" in path else f"{path.rstrip('/')}/manifest")
        placement, count = manifest.placement_at(manifest.newest, manifest.schema), len(manifest.shards)
    else:
        schema, count = (
            new_schema(options, frame.schema),
            int(options_at(path, options.given).get("shards", 0)),
        )
        if not count:
            raise OptionError("by_shard takes the options of a new table", remedy="Say how many: shards=16.")
        placement = Placement(schema, key_columns(schema, options.names("shard_key")), spread(count))
    if not placement.columns and placement.schema.rowid_column is None:
        raise UnsupportedError("no column says in which shard a row is", file=path, remedy=_NO_SHARD_KEY)
    return placement, count


def _key(placement: Placement) -> tuple[int, ...]:
    """The columns that place rows, where there is the rowid's, too."""
    if placement.columns:
        return placement.columns
    assert placement.schema.rowid_column is not None
    return (placement.schema.rowid_column,)


def _shards(placement: Placement, arrays: tuple[pa.Array, ...]) -> pa.Array:
    """The shards of rows, of which ``arrays`` has the columns of the key."""
    schema: Schema = placement.schema
    numbers, count = _key(placement), len(arrays[0])
    if not placement.columns:
        place = schema.rowid_column
        assert place is not None
        keys = cast_column(schema.columns[place], [arrays[0]]).combine_chunks()
        rowids = integers(keys) * valid(keys)
        return pa.array(placement.of_rows(rowids, ()), pa.int32())
    columns: list[pa.Array] = [pa.nulls(count)] * len(schema)
    for number, array in zip(numbers, arrays, strict=True):
        columns[number] = cast_column(schema.columns[number], [array]).combine_chunks()
    return pa.array(placement.of_rows(np.zeros(count, np.int64), columns), pa.int32())
