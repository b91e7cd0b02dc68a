"""``format("audiomem")``: what Spark asks for readers, writers and streams."""

from __future__ import annotations

from collections.abc import MutableMapping

from pyspark.sql.datasource import DataSource
from pyspark.sql.types import StructType

from audiomem_sql.spark.options import SourceOptions
from audiomem_sql.spark.reading import Reader, columns_of
from audiomem_sql.spark.spark_types import spark_schema
from audiomem_sql.spark.streams import StreamReader
from audiomem_sql.spark.writing import StreamWriter, Writer


class AudiomemSource(DataSource):
    """A table: a FLAC file, a folder of shards, a URL, or the files that a pattern fits."""

    def __init__(self, options: MutableMapping[str, str]) -> None:
        super().__init__(options)
        self.given = SourceOptions.of(dict(options))

    @classmethod
    def name(cls) -> str:
        """What ``format`` calls it."""
        return "audiomem"

    def schema(self) -> StructType:
        """The columns."""
        return spark_schema(columns_of(self.given))

    def reader(self, schema: StructType) -> Reader:
        """What reads."""
        return Reader(self.given, schema.names)

    def writer(self, schema: StructType, overwrite: bool) -> Writer:
        """What writes."""
        return Writer(self.given, schema, overwrite)

    def streamReader(self, schema: StructType) -> StreamReader:
        """What reads a stream."""
        return StreamReader(self.given, schema.names)

    def streamWriter(self, schema: StructType, overwrite: bool) -> StreamWriter:
        """What writes a stream."""
        return StreamWriter(self.given, schema, overwrite)
