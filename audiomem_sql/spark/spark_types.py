"""Columns of tables as Spark has them, and batches of their rows."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType


def spark_arrow_type(given: pa.DataType) -> pa.DataType:
    """The Arrow type that Spark takes for one of a column: times in UTC, vectors as arrays, bits as bytes."""
    if pa.types.is_timestamp(given):
        return pa.timestamp("us", "UTC")
    if pa.types.is_fixed_size_list(given):
        if pa.types.is_uint8(given.value_type):
            return pa.binary()
        return pa.list_(pa.field("element", given.value_type))
    return given


def spark_arrow_schema(schema: pa.Schema) -> pa.Schema:
    """The columns with Spark's types, all of which may be NULL."""
    return pa.schema([pa.field(field.name, spark_arrow_type(field.type)) for field in schema])


def spark_schema(schema: pa.Schema) -> StructType:
    """The columns as Spark describes them."""
    return from_arrow_schema(spark_arrow_schema(schema), prefer_timestamp_ntz=False)


def spark_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with the types of :func:`spark_arrow_schema`."""
    schema = spark_arrow_schema(batch.schema)
    arrays = [
        _bits(array) if pa.types.is_binary(field.type) and not pa.types.is_binary(array.type) else array
        for array, field in zip(batch.columns, schema, strict=True)
    ]
    cast = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
    return pa.RecordBatch.from_arrays(cast, schema=schema)


def _bits(array: pa.Array) -> pa.Array:
    return pa.array([None if item is None else bytes(item) for item in array.to_pylist()], pa.binary())
