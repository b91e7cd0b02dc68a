"""Functions that run in Spark's tasks: vectors of texts, and searches of many queries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

    asked = _Asked(query, k, names, column, target)

    def answers(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with TableReader(table, version=pinned) as reader:
            for batch in batches:
                yield from asked.answers(reader, batch)

    return queries.mapInArrow(answers, found)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked with the column ``query`` of a batch; answers have ``names``, typed as ``target``."""

    query: str
    k: int
    names: list[str]
    column: str | None
    target: pa.Schema

    def answers(self, reader: TableReader, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The rows of ``batch`` with their answers."""
        at_once = self._nearest_alone(reader, batch.column(self.query))
        return self._nearest(reader, batch) if at_once else self._one_by_one(reader, batch)

    def _nearest_alone(self, reader: TableReader, queries: pa.Array) -> bool:
        """Whether the answers are the nearest rows and no words count: then many are found at once."""
        if not pa.types.is_string(queries.type):
            return True
        schema = reader.schema
        asked = range(len(schema)) if self.column is None else [schema.index(self.column)]
        if any(schema.columns[number].indexed for number in asked):
            return False
        return not any(_PREFIXED.match(text) for text in queries.drop_null().to_pylist())

    def _nearest(self, reader: TableReader, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The answers of a batch of queries, all at once."""
        given = pa.table({self.query: batch.column(self.query)})
        pairs = reader.nearest_to(given, self.k, data_column=self.query, column=self.column)
        numbers = [reader.schema.index(name) for name in self.names]
        for piece in pairs.to_batches(max_chunksize=_ANSWERS_AT_ONCE):
            if not piece.num_rows:
                continue
            rowids, places = np.unique(piece["right_row_id"].to_numpy(), return_inverse=True)
            _, arrays = fetch_rows(reader.snapshot, rowids, numbers)
            rows = pa.RecordBatch.from_arrays(arrays, names=self.names).take(pa.array(places))
            columns = [*rows.columns, piece["distance"]]
            yield self._answered(batch.take(piece["left_row_id"]), columns, piece["place"])

    def _one_by_one(self, reader: TableReader, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The answers of each query of a batch."""
        for number, query in enumerate(batch.column(self.query).to_pylist()):
            if query is None:
                continue
            found: Any = reader.search(query, self.k, columns=self.names, column=self.column)
            count = found.num_rows
            if count:
                rows = [found.column(place).combine_chunks() for place in range(len(self.target))]
                same = batch.take(pa.array([number] * count))
                yield self._answered(same, rows, pa.array(range(1, count + 1)))

    def _answered(
        self, asked: pa.RecordBatch, columns: Sequence[pa.Array], ranks: pa.Array
    ) -> pa.RecordBatch:
        """Queries with a row of the table for each, and its rank."""
        cast = [array.cast(field.type) for array, field in zip(columns, self.target, strict=True)]
        names = [*asked.schema.names, *self.target.names, "answer"]
        return pa.RecordBatch.from_arrays([*asked.columns, *cast, ranks.cast(pa.int32())], names=names)
