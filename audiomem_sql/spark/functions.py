"""Functions that run in Spark's tasks: vectors of texts, and searches of many queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from audiomem_sql.scan import fetch_rows
from audiomem_sql.search import allow_model, embedder_of
from audiomem_sql.storage.segment import DEFAULT_MODEL, default_backend
from audiomem_sql.table.reader import TableReader

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: What chooses how a text is asked.
_PREFIXED = re.compile(r"\s*(semantic|words|keyword|hybrid):", re.IGNORECASE)
#: Answers whose rows are looked up at once.
_ANSWERS_AT_ONCE = 1 << 14


def embed(texts: Column, model: str = DEFAULT_MODEL, model_backend: str | None = None) -> Column:
    """The vectors of a column of texts, as array<float>; NULL of NULL."""
    import pandas as pd
    from pyspark.sql.functions import pandas_udf

    def vectors(series: pd.Series) -> pd.Series:
        allow_model(model)
        embedder = embedder_of(model, model_backend or default_backend(model))
        present = series.notna()
        made = iter(embedder.embed([str(text) for text in series[present]]))
        return pd.Series([next(made).tolist() if there else None for there in present], dtype=object)

    vectors.__annotations__ = {"series": pd.Series, "return": pd.Series}
    return pandas_udf(vectors, "array<float>")(texts)


def search(
    queries: DataFrame,
    table: str,
    k: int = 10,
    *,
    query: str = "query",
    columns: list[str] | None = None,
    column: str | None = None,
    version: int | str | None = None,
) -> DataFrame:
    """The ``k`` rows of ``table`` that answer each of ``queries`` best, all of one version.

    queries: a data frame whose column ``query`` has texts, or vectors for a table of vectors. The answer has
    its columns, those of the row (``columns``, by default all), ``distance``, and ``answer``, from 1 on.
    Queries are asked all at once, in batches of Spark's, where they are vectors, or texts of a column that
    has no index of words; others one after the other.
    """
    from pyspark.sql.types import IntegerType, StructType

    from audiomem_sql.spark.spark_types import spark_arrow_schema, spark_schema

    with TableReader(table, version=version) as reader:
        pinned = reader.version
        visible = reader.snapshot.schema.visible.to_arrow()
        names = list(visible.names) if columns is None else list(columns)
        row = pa.schema([*(visible.field(name) for name in names), pa.field("distance", pa.float64())])
    found = StructType([*queries.schema.fields, *spark_schema(row).fields]).add("answer", IntegerType())
    target = spark_arrow_schema(row)

    def answers(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with TableReader(table, version=pinned) as reader:
            for batch in batches:
                if _nearest_alone(reader, batch.column(query), column):
                    yield from _nearest(reader, batch, query, k, names, column, target)
                else:
                    yield from _answers(reader, batch, query, k, names, column, target)

    return queries.mapInArrow(answers, found)


def _nearest_alone(reader: TableReader, queries: pa.Array, column: str | None) -> bool:
    """Whether the answers are the nearest rows and no words count: then many are found at once."""
    if not pa.types.is_string(queries.type):
        return True
    schema = reader.schema
    asked = range(len(schema)) if column is None else [schema.index(column)]
    if any(schema.columns[number].indexed for number in asked):
        return False
    return not any(_PREFIXED.match(text) for text in queries.drop_null().to_pylist())


def _nearest(
    reader: TableReader,
    batch: pa.RecordBatch,
    query: str,
    k: int,
    names: list[str],
    column: str | None,
    target: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """The answers of a batch of queries, all at once."""
    given = pa.table({query: batch.column(query)})
    pairs = reader.nearest_to(given, k, data_column=query, column=column)
    for piece in pairs.to_batches(max_chunksize=_ANSWERS_AT_ONCE):
        if not piece.num_rows:
            continue
        numbers = [reader.schema.index(name) for name in names]
        rowids, places = np.unique(piece["right_row_id"].to_numpy(), return_inverse=True)
        _, arrays = fetch_rows(reader.snapshot, rowids, numbers)
        rows = pa.RecordBatch.from_arrays(arrays, names=names).take(pa.array(places))
        asked = batch.take(piece["left_row_id"])
        columns = [*rows.columns, piece["distance"]]
        cast = [array.cast(field.type) for array, field in zip(columns, target, strict=True)]
        yield pa.RecordBatch.from_arrays(
            [*asked.columns, *cast, piece["place"].cast(pa.int32())],
            names=[*batch.schema.names, *target.names, "answer"],
        )


def _answers(
    reader: TableReader,
    batch: pa.RecordBatch,
    query: str,
    k: int,
    names: list[str],
    column: str | None,
    target: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    for number, asked in enumerate(batch.column(query).to_pylist()):
        if asked is None:
            continue
        found: Any = reader.search(asked, k, columns=names, column=column)
        count = found.num_rows
        if not count:
            continue
        same = batch.take(pa.array([number] * count))
        rows = [found.column(place).combine_chunks() for place in range(len(target))]
        arrays = [array.cast(field.type) for array, field in zip(rows, target, strict=True)]
        ranks = pa.array(range(1, count + 1), pa.int32())
        names_of = [*batch.schema.names, *target.names, "answer"]
        yield pa.RecordBatch.from_arrays([*same.columns, *arrays, ranks], names=names_of)
