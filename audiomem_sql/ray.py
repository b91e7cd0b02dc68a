"""The door for Ray: a dataset whose read tasks are parts of one version of a table, or of several."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa

from audiomem_sql.errors import MissingExtraError
from audiomem_sql.table.partition_columns import chosen
from audiomem_sql.table.partitions import Partition, plan_partitions

try:
    import ray.data
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask
except ImportError:
    raise MissingExtraError("ray is not installed", remedy="Run: pip install 'audiomem-sql[ray]'") from None

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
    **options: Any,
) -> ray.data.Dataset:
    """The rows of a table, or of several with the same columns, as a dataset of Ray.

    path: a file, a folder of shards, a URL, a pattern such as ``kb/*.flac``, or a list of them. columns,
    where, parameters, version, as_of: as in :func:`audiomem_sql.read_flac`. rows: about how many in a task.
    The version is that of now, whenever the rows are read. options: those of ``ray.data.read_datasource``.
    Raises what ``audiomem_sql.open`` raises; SchemaError if tables have other columns than the first one.
    """
    plan = plan_partitions(path, version=version, as_of=as_of, where=where, parameters=parameters, rows=rows)
    source = _Source(plan.partitions, chosen(plan.schema, columns))
    return ray.data.read_datasource(source, **options)


class _Source(Datasource):
    """A read task for each partition."""

    def __init__(self, partitions: Sequence[Partition], schema: pa.Schema) -> None:
        super().__init__()
        self._partitions, self._schema = partitions, schema

    def get_name(self) -> str:
        """What Ray calls it."""
        return "AudioMemory"

    def estimate_inmemory_data_size(self) -> int | None:
        """None: it is not known."""
        return None

    def get_read_tasks(self, parallelism: int, *_more: Any, **_options: Any) -> list[ReadTask]:
        """The tasks; how many is said by the partitions."""
        about = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        reads = [partial(_read, each, self._schema) for each in self._partitions or (None,)]
        return [ReadTask(read, about, schema=self._schema) for read in reads]


def _read(partition: Partition | None, schema: pa.Schema) -> Iterable[pa.Table]:
    """The rows of a partition as blocks; None: there are none."""
    yield schema.empty_table()
    if partition is not None:
        for batch in partition.batches(schema.names):
            yield pa.Table.from_batches([batch.cast(schema)])
