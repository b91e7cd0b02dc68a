"""Partitions of the rows of tables, which other processes read, each a part: ranges of rowids of a shard.

They are cut where blocks begin, but named by rowids of one version: what a vacuum or another process does to
the files meanwhile changes no row of them. All that is planned is small and can be pickled, and a table is
opened where a partition is read.

    plan = plan_partitions("kb.shards", version=3, where="year > 2020")
    for partition in plan.partitions:      # in any order, in any process
        for batch in partition.batches(columns=["id", "title"]):
            ...
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.shown import shown_arrays
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import InFile, QueryError, SchemaError, StorageError
from audiomem_sql.machine.urls import is_url
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, Readable, filters_of_text, scan
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.table.reader import TableReader

#: Rows in a partition, unless it is said how many there are to be.
PARTITION_ROWS = 250_000


@dataclass(frozen=True, slots=True)
class Partition:
    """Rows of one version of the table at ``path``: those of a shard with rowids from ``first`` to ``last``.

    shard: None where the table has none. first, last: None for no bound. rows: about how many there are.
    where: the filter that was planned with, with its parameters.
    """

    path: str
    version: int
    shard: int | None = None
    first: int | None = None
    last: int | None = None
    rows: int = 0
    where: str | None = None
    parameters: tuple[Any, ...] = ()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows that pass the filter, as record batches of ``columns``, all by default.

        The table is open while batches are asked for.
        """
        with TableReader(self.path, version=self.version) as table:
            snapshot = table.snapshot
            schema = snapshot.schema.visible
            with InFile(self.path):
                names = schema.names if columns is None else columns
                numbers = [schema.index(name) for name in names]
                filters, row_filter = filters_of_text(self.where, self.parameters, schema)
            arrow = schema.shown()
            types = [schema.columns[number].type for number in numbers]
            fields = pa.schema([arrow.field(number) for number in numbers])
            rows = _of_shard(snapshot, self.shard)
            for batch in scan(rows, numbers, [*filters, *self._rowids()], row_filter=row_filter):
                if numbers:
                    yield pa.RecordBatch.from_arrays(shown_arrays(batch.arrays, types), schema=fields)
                else:
                    yield pa.RecordBatch.from_struct_array(pa.array([{}] * len(batch), pa.struct([])))

    def _rowids(self) -> list[Filter]:
        bounds = [(Op.GE, self.first), (Op.LE, self.last)]
        given = [Predicate(ROWID, op, bound) for op, bound in bounds if bound is not None]
        return [Filter(ROWID, bind(each, ColumnType(Kind.INTEGER))) for each in given]


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """Partitions which together have all rows of one version of each table.

    schema: the columns, as Arrow has them. versions: (path, version) of each table.
    """

    schema: pa.Schema
    partitions: tuple[Partition, ...]
    versions: tuple[tuple[str, int], ...]


def plan_partitions(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    version: int | str | None = None,
    as_of: str | datetime | None = None,
    where: str | None = None,
    parameters: Sequence[Any] = (),
    rows: int = PARTITION_ROWS,
    count: int | None = None,
) -> PartitionPlan:
    """The partitions of tables, of the versions that they have now, or had.

    paths: of a table, or several, each a file, a folder of shards, a URL or a pattern such as ``kb/*.flac``.
    where: leaves out shards that have no such rows; the partitions filter by it. rows: about how many in a
    partition. count: how many partitions instead, about; a table or shard is one at least.

    StorageError where a pattern fits no file; SchemaError if a table has other columns than the first one.
    """
    names = table_paths(paths)
    if rows < 1 or (count is not None and count < 1):
        raise QueryError("a partition has one row or more", remedy="Pass rows=100000, or count=16.")
    schema: pa.Schema | None = None
    partitions: list[Partition] = []
    versions: list[tuple[str, int]] = []
    for name in names:
        with TableReader(name, version=version, as_of=as_of) as table:
            snapshot = table.snapshot
            own = snapshot.schema.visible.shown()
            if schema is None:
                schema = own
            elif not schema.equals(own, check_metadata=False):
                raise SchemaError(
                    f"its columns are not those of {names[0]}: {snapshot.schema.visible.sql()}",
                    file=name,
                    remedy="Read tables with the same columns together, and the others by themselves.",
                )
            with InFile(name):
                filters, _ = filters_of_text(where, parameters, snapshot.schema.visible)
            size = rows if count is None else max(1, -(-snapshot.rows * len(names) // count))
            versions.append((name, snapshot.version))
            numbers: list[int | None] = [None]
            if isinstance(snapshot, ShardedSnapshot):
                numbers = list(snapshot.chosen(filters))
            for number in numbers:
                for first, last, held in _ranges(_of_shard(snapshot, number), size):
                    fixed = (name, snapshot.version, number, first, last, held, where, tuple(parameters))
                    partitions.append(Partition(*fixed))
    assert schema is not None
    return PartitionPlan(schema, tuple(partitions), tuple(versions))


def table_paths(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """The tables that paths, URLs and patterns name. StorageError where a pattern fits no file."""
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    names: list[str] = []
    for each in [os.fspath(one) for one in given]:
        if is_url(each) or os.path.lexists(each) or not glob.has_magic(each):
            names.append(each)
            continue
        found = sorted(glob.glob(each, recursive=True))
        if not found:
            raise StorageError("no file fits the pattern", file=each, remedy="Name a FLAC file, or more.")
        names += found
    if not names:
        raise StorageError("no table is named", remedy="Name a FLAC file, or more.")
    return list(dict.fromkeys(names))


def _of_shard(snapshot: Any, number: int | None) -> Readable:
    """The rows of one shard, or all."""
    if number is None or not isinstance(snapshot, ShardedSnapshot):
        readable: Readable = snapshot
        return readable
    return snapshot.some([number])


def _ranges(rows: Readable, size: int) -> Iterator[tuple[int | None, int | None, int]]:
    """(first rowid, last rowid, about how many rows) of parts of about ``size`` rows; none without rows."""
    lows, counts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for view in rows.views:
        if view.live_rows:
            for low, held in _blocks(view.segment):
                lows.append(low)
                counts.append(held)
    if rows.pending is not None and len(rows.pending):
        lows.append(rows.pending.rowids)
        counts.append(np.ones(len(rows.pending), np.int64))
    low, held = np.concatenate(lows), np.concatenate(counts)
    if not len(low):
        return
    order = np.argsort(low, kind="stable")
    low, before = low[order], np.cumsum(held[order]) - held[order]
    part = before // size
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    starts = starts[np.append(True, np.diff(low[starts]) > 0)]
    total = int(held.sum())
    for place, start in enumerate(starts.tolist()):
        last = place + 1 == len(starts)
        stop = len(low) if last else int(starts[place + 1])
        counted = (total if last else int(before[stop])) - int(before[start])
        yield (int(low[start]) if place else None), (None if last else int(low[stop]) - 1), counted


def _blocks(segment: Any) -> Iterator[tuple[I64Array, I64Array]]:
    """(the least rowid, rows) of the blocks of a segment."""
    directory = segment.directory(ROWID)
    if directory is not None and directory.zones.low is not None:
        yield np.asarray(directory.zones.low, np.int64), np.diff(directory.starts).astype(np.int64)
        return
    first = segment.catalog.first_rowid
    starts = np.arange(0, segment.rows, 1 << 13, dtype=np.int64)  # consecutive: any place will do
    yield first + starts, np.diff(np.append(starts, segment.rows))
