"""Columns of tables as Spark has them, and batches of their rows."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.logical.texts import sql_images
from audiomem_sql.columns.types import ColumnType

#: Numbers that Spark lacks, as the next wider ones.
_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
}


def spark_arrow_type(given: pa.DataType) -> pa.DataType:
    """The Arrow type that Spark takes for one of a column: times in UTC, vectors as arrays, bits as bytes.

    Types that Spark lacks are the texts that SQL shows, as are lists, structs and maps that have one in them.
    """
    if pa.types.is_fixed_size_list(given) and pa.types.is_uint8(given.value_type):
        return pa.binary()
    return _known(given) or pa.string()


def _known(given: pa.DataType) -> pa.DataType | None:
    if given in _WIDER:
        return _WIDER[given]
    if pa.types.is_timestamp(given):
        return None if given.unit == "ns" else pa.timestamp("us", "UTC")
    if pa.types.is_fixed_size_list(given) or pa.types.is_list(given):
        item = _known(given.value_type)
        return None if item is None else pa.list_(pa.field("element", item))
    if pa.types.is_map(given):
        key, value = _known(given.key_type), _known(given.item_type)
        return None if key is None or value is None else pa.map_(key, value)
    if pa.types.is_struct(given):
        fields = [
            (given.field(number).name, _known(given.field(number).type)) for number in range(given.num_fields)
        ]
        return None if any(kind is None for _, kind in fields) else pa.struct(fields)
    is_number = pa.types.is_signed_integer(given) or pa.types.is_floating(given) or pa.types.is_boolean(given)
    is_bytes = pa.types.is_string(given) or pa.types.is_binary(given)
    return given if is_number or is_bytes or given.id in (pa.date32().id, pa.decimal128(1).id) else None


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
        _bits(array)
        if pa.types.is_binary(field.type) and not pa.types.is_binary(array.type)
        else _texts(array, given)
        if pa.types.is_string(field.type) and not pa.types.is_string(array.type)
        else array
        for array, field, given in zip(batch.columns, schema, batch.schema, strict=True)
    ]
    cast = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
    return pa.RecordBatch.from_arrays(cast, schema=schema)


def _bits(array: pa.Array) -> pa.Array:
    return pa.array([None if item is None else bytes(item) for item in array.to_pylist()], pa.binary())


def _texts(array: pa.Array, field: pa.Field) -> pa.Array:
    """What SQL shows of logical values; the metadata of the field tells their type."""
    node = ColumnType.parse(field.metadata[b"audiomem:type"].decode()).logical
    assert node is not None
    images = sql_images(node, stored_form(node, array))
    return pa.array([None if image is None else str(image) for image in images], pa.string())
