"""What can be wrong with a sharded table beside its files: its manifest, and where the rows are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.batch import Batch
from audiomem_sql.errors import AudioMemError, DamagedFileError, UnsupportedError
from audiomem_sql.machine.urls import file_name
from audiomem_sql.scan import scan
from audiomem_sql.shards import ShardedSnapshot, manifest_at, restoring

#: Shards that an error tells of.
_MOST_TOLD = 8


def sharded_faults(snapshot: ShardedSnapshot, sound: Sequence[int]) -> Iterator[tuple[str, str, str | None]]:
    """Every fault: the file, what it is, and what brings it back. sound: the shards that can be read."""
    _, damage = manifest_at(snapshot.place)  # also where it is known what it says
    if damage is not None:
        yield snapshot.path, f"one of its two copies is damaged: {damage}", "file"
    shards = {number: snapshot.shard(number) for number in sound}
    rows = sum(shard.rows for shard in shards.values())
    if rows != snapshot.rows and len(shards) == len(snapshot.shard_files):
        yield (
            snapshot.path,
            f"it says that there are {snapshot.rows:,} rows, and the shards have {rows:,}",
            None,
        )
    for name, number in snapshot.tags.items():
        if not snapshot.versions[0].number <= number <= snapshot.newest:
            yield snapshot.path, f"the tag {name} names version {number}, which is not kept", None
    seen: list[I64Array] = []
    for number, shard in shards.items():
        path = snapshot.shard_files[number].files.base
        for batch in scan(shard, range(len(snapshot.schema))):
            seen.append(batch.rowids)
            for fault in _faults_of_rows(snapshot, number, batch):
                yield path, fault, None
    rowids = np.sort(np.concatenate([np.empty(0, np.int64), *seen]))
    twice = rowids[1:][np.diff(rowids) == 0]
    if len(twice):
        yield snapshot.path, f"row {twice[0]} is in two shards", None


def beyond_repair(snapshot: ShardedSnapshot, beyond: Mapping[int, AudioMemError]) -> AudioMemError:
    """The error of a repair that some shards are beyond; the others are whole."""
    folder = os.path.dirname(snapshot.path)
    without = [error for error in beyond.values() if isinstance(error, UnsupportedError)]
    if len(without) == len(beyond):
        return UnsupportedError(without[0].what, file=folder, remedy=without[0].remedy)
    beyond = {number: error for number, error in beyond.items() if error not in without}
    names = {number: file_name(snapshot.shard_files[number].files.base) for number in beyond}
    told = [
        error.what.replace(f"shard {number} ", f"shard {number} ({names[number]}) ", 1)
        if error.what.startswith(f"shard {number} ")
        else f"shard {number} ({names[number]}){f', {error.place}' if error.place else ''}: {error.what}"
        for number, error in beyond.items()
    ]
    whole = len(snapshot.shard_files) - len(beyond)
    are = "has protection none" if without else "is whole"
    if whole > 1:
        are = "have protection none" if without else "are whole"
    others = f"; the other {whole if whole > 1 else 'one'} {are}" if whole else ""
    more = f"; and {len(told) - _MOST_TOLD} more shards" if len(told) > _MOST_TOLD else ""
    return DamagedFileError(
        f"not all can be repaired: {'; '.join(told[:_MOST_TOLD])}{more}{others}",
        file=folder,
        remedy=restoring(*list(names.values())[:_MOST_TOLD]),
    )


def _faults_of_rows(snapshot: ShardedSnapshot, number: int, batch: Batch) -> Iterator[str]:
    """What is wrong with where rows of a shard are."""
    places = snapshot.placement.of_rows(batch.rowids, batch.arrays)
    wrong = np.flatnonzero(places != number)
    if len(wrong):
        row = int(wrong[0])
        yield f"row {batch.rowids[row]} is in shard {number}, and belongs to shard {places[row]}"
    for column, zones in snapshot.zones.columns.items():
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
