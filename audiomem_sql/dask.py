"""The door for Dask: a data frame whose partitions are parts of one version of a table, or of several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from audiomem_sql.columns.to_pandas import frame_of
from audiomem_sql.errors import MissingExtraError
from audiomem_sql.table.partition_columns import chosen
from audiomem_sql.table.partitions import Partition, plan_partitions

try:
    import dask.dataframe as dd
except ImportError:
    raise MissingExtraError("dask is not installed", remedy="Run: pip install 'audiomem-sql[dask]'") from None

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_flac"]


def read_flac(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    columns: Sequence[str] | None = None,
    where: str | None = None,
    parameters: Sequence[Any] = (),
    *,
    version: int | str | None = None,
    as_of: str | datetime | None = None,
    rows: int = 250_000,
) -> dd.DataFrame:
    """The rows of a table, or of several with the same columns, as a Dask data frame.

    path: a file, a folder of shards, a URL, a pattern such as ``kb/*.flac``, or a list of them. columns,
    where, parameters, version, as_of: as in :func:`audiomem_sql.read_flac`. rows: about so many in a part.
    The version is that of now, whenever the rows are computed. Columns have the types of the files, as Arrow
    has them (``dtype_backend="pyarrow"``). Raises what ``audiomem_sql.open`` raises; SchemaError if tables
    have other columns than the first one.
    """
    plan = plan_partitions(path, version=version, as_of=as_of, where=where, parameters=parameters, rows=rows)
    schema = chosen(plan.schema, columns)
    frame = _frame(schema.empty_table())
    parts = plan.partitions or (None,)
    return dd.from_map(_read, parts, schema=schema, meta=frame, enforce_metadata=False)


def _read(partition: Partition | None, schema: pa.Schema) -> pd.DataFrame:
    """The rows of a partition; None: there are none."""
    batches = [] if partition is None else list(partition.batches(schema.names))
    return _frame(pa.Table.from_batches([each.cast(schema) for each in batches], schema))


def _frame(rows: pa.Table) -> pd.DataFrame:
    return frame_of(rows, [None] * rows.num_columns, "pyarrow")
