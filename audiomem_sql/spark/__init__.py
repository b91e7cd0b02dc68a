"""The door for Spark 4: ``format("audiomem")``, and functions that run in its tasks (docs/SPARK.md).

audiomem_sql.spark.register(spark)
spark.read.format("audiomem").load("kb.shards")
df.write.format("audiomem").mode("append").save("kb.shards")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from audiomem_sql.errors import MissingExtraError

try:
    importlib.import_module("pyspark.sql.datasource")  # PySpark 3 has none
except ImportError:
    raise MissingExtraError(
        "pyspark is not installed, or is too old", remedy="Run: pip install 'audiomem-sql[spark]'"
    ) from None

from audiomem_sql.spark.functions import embed, search
from audiomem_sql.spark.placing import by_shard
from audiomem_sql.spark.source import AudiomemSource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["AudiomemSource", "by_shard", "embed", "register", "search"]


def register(spark: SparkSession) -> None:
    """Let ``spark`` read and write tables with ``format("audiomem")``."""
    spark.dataSource.register(AudiomemSource)
