"""What can be wrong with a sharded table beside its files: its manifest, and where the rows are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.batch import Batch
from audiomem_sql.scan import scan
from audiomem_sql.shards import ShardedSnapshot, manifest_at


def sharded_faults(snapshot: ShardedSnapshot) -> Iterator[tuple[str, str, str | None]]:
    """Every fault, once each shard by itself is sound: the file, what it is, and what brings it back."""
    _, damage = manifest_at(snapshot.place)  # also where it is known what it says
    if damage is not None:
        yield snapshot.path, f"one of its two copies is damaged: {damage}", "file"
    rows = sum(shard.rows for shard in snapshot.shards)
    if rows != snapshot.rows:
        yield (
            snapshot.path,
            f"it says that there are {snapshot.rows:,} rows, and the shards have {rows:,}",
            None,
        )
    for name, number in snapshot.tags.items():
        if not snapshot.versions[0].number <= number <= snapshot.newest:
            yield snapshot.path, f"the tag {name} names version {number}, which is not kept", None
    seen: list[I64Array] = []
    for number, shard in enumerate(snapshot.shards):
        path = snapshot.shard_files[number].files.base
        for batch in scan(shard, range(len(snapshot.schema))):
            seen.append(batch.rowids)
            for fault in _faults_of_rows(snapshot, number, batch):
                yield path, fault, None
    rowids = np.sort(np.concatenate([np.empty(0, np.int64), *seen]))
    twice = rowids[1:][np.diff(rowids) == 0]
    if len(twice):
        yield snapshot.path, f"row {twice[0]} is in two shards", None


def _faults_of_rows(snapshot: ShardedSnapshot, number: int, batch: Batch) -> Iterator[str]:
    """What is wrong with where rows of a shard are."""
    places = snapshot.placement.of_rows(batch.rowids, batch.arrays)
    wrong = np.flatnonzero(places != number)
    if len(wrong):
        row = int(wrong[0])
        yield f"row {batch.rowids[row]} is in shard {number}, and belongs to shard {places[row]}"
    for column, zones in snapshot.manifest.zones.columns.items():
        true = _zones(batch.arrays, column, snapshot)
        if true.filled[0] and not _holds(zones, number, true):
            name = snapshot.schema.columns[column].name
            yield f"the zone map of column {name} in the manifest has another least or greatest value"


def _zones(arrays: Sequence[Any], column: int, snapshot: ShardedSnapshot) -> Zones:
    kind = snapshot.schema.columns[column].type
    return Zones.build([len(arrays[column])], [Zones.of(arrays[column], kind)], kind)


def _holds(zones: Zones, number: int, true: Zones) -> bool:
    """Whether the values of a batch lie within what is said of a shard."""
    if zones.low is None or zones.high is None or true.low is None or true.high is None:
        return True
    within = zones.low[number] <= true.low[0] and true.high[0] <= zones.high[number]
    return bool(zones.filled[number] and within)
