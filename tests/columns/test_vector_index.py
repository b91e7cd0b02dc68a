"""What INDEXED says of a column of vectors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from audiomem_sql.columns.affinity import convert
from audiomem_sql.columns.arrow_cast import cast_column
from audiomem_sql.columns.arrow_input import schema_of_arrow
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.errors import DataTypeError, SchemaError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("INDEXED", "metric=cosine"),
        ("INDEXED(metric=cosine)", "metric=cosine"),
        ("INDEXED (METRIC = 'L2')", "metric=l2"),
        ('INDEXED(metric="ip")', "metric=ip"),
        ("INDEXED(distance_metric=L2)", "metric=l2"),
        ("INDEXED(metric=l2sq)", "metric=l2"),
        ("INDEXED(metric=inner_product)", "metric=ip"),
        ("INDEXED(dimensions=4)", "metric=cosine, dimensions=4"),
        ("INDEXED(codes=compact)", "metric=cosine"),
        ("NOT NULL INDEXED(codes=int8, dimensions=8, metric=ip)", "metric=ip, dimensions=8, codes=int8"),
    ],
)
def test_what_is_written(written: str, meant: str) -> None:
    schema = parse_columns(["id INTEGER PRIMARY KEY", f"vec FLOAT[8] {written}"])
    assert schema["vec"].vector_index == meant
    assert not schema["vec"].indexed
    assert schema["vec"].sql().endswith(f"INDEXED({meant})")
    assert schema.indexed_columns == ()
    assert schema.vector_indexes == {1: VectorIndexOptions.parse(meant)}
    again = parse_columns([column.sql() for column in schema.columns])
    assert again == schema
    assert Schema.from_catalog(schema.to_catalog()) == schema
    assert schema_of_arrow(schema.to_arrow()) == schema
    assert parse_columns(["id INTEGER PRIMARY KEY", "vec FLOAT[8]"]) != schema


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("vec FLOAT[8] INDEXED()", "no options in the parentheses"),
        ("vec FLOAT[8] INDEXED(metric=l2", "no options in the parentheses"),
        ("vec FLOAT[8] INDEXED(metric)", "cannot be understood"),
        ("vec FLOAT[8] INDEXED(metric=l3)", "metric=l3 means nothing"),
        ("vec FLOAT[8] INDEXED(metrics=l2)", "has no option metrics"),
        ("vec FLOAT[8] INDEXED(metric=l2, metric=l2)", "says metric twice"),
        ("vec FLOAT[8] INDEXED(codes=int4)", "codes=int4 means nothing"),
        ("vec FLOAT[8] INDEXED(dimensions=0)", "an index of 0 numbers"),
        ("vec FLOAT[8] INDEXED(dimensions=9)", "an index of 9 numbers, of vectors that have 8"),
        ("vec FLOAT[8] INDEXED(dimensions=few)", "dimensions=few is no number"),
        ("t TEXT INDEXED(metric=l2)", "INDEXED of TEXT has no options of vectors"),
        ("n INTEGER INDEXED", "INTEGER cannot be INDEXED"),
    ],
)
def test_what_means_nothing(definition: str, message: str) -> None:
    with pytest.raises(SchemaError, match=r"column (vec|t|n)") as caught:
        parse_columns([definition])
    assert message in str(caught.value)
    assert caught.value.remedy


def test_the_flag_alone_is_an_index_by_cosine() -> None:
    column = Column("vec", ColumnType(Kind.FLOAT, 4), indexed=True)
    assert (column.indexed, column.vector_index) == (False, "metric=cosine")


def test_a_catalog_with_an_index_that_cannot_be() -> None:
    for name, options in (("TEXT", "metric=l2"), ("FLOAT[2]", "metric=l7"), ("FLOAT[2]", "dimensions=3")):
        with pytest.raises(SchemaError, match="column a"):
            Schema.from_catalog([{"name": "a", "type": name, "vector_index": options}])


def test_a_vector_of_zeros_has_no_direction() -> None:
    by_cosine, by_l2, plain = (
        parse_columns([f"v FLOAT[2] {index}"]).columns[0] for index in ("INDEXED", "INDEXED(metric=l2)", "")
    )
    zeros = pa.chunked_array([pa.array([[1, 0], [0, 0]], pa.list_(pa.float32(), 2))])
    for column in (by_l2, plain):
        assert convert([0, 0], column) == bytes(8)
        assert len(cast_column(column, zeros.chunks)) == 2
    for value in ([0, 0], "[0, 0]", bytes(8), np.zeros(2), [-0.0, 0]):
        with pytest.raises(DataTypeError, match="no direction"):
            convert(value, by_cosine)
    with pytest.raises(DataTypeError, match=r"row 1.*no direction"):
        cast_column(by_cosine, zeros.chunks)
    assert convert(None, by_cosine) is None
