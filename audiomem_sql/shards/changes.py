"""What versions of a sharded table changed: what their commits changed in the shards, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audiomem_sql.columns.defaults import constant
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.shards.manifest import Manifest
from audiomem_sql.shards.shard_file import ShardFile
from audiomem_sql.shards.version_bytes import ShardedVersion
from audiomem_sql.versions import changes

#: Rows by version and rowid.
Rows = dict[tuple[int, int], tuple[Any, ...]]
_ADDED = ("insert", "update_postimage")


def changes_of(
    manifest: Manifest, files: Sequence[ShardFile], first: int, last: int, values: bool
) -> tuple[Rows, Rows]:
    """The rows that each of the versions added, and those that it removed; with their ``values``, or none."""
    added: Rows = {}
    removed: Rows = {}
    for each in manifest.versions:
        number = each.version.number
        if first <= number <= last and not each.moved:
            if each is manifest.versions[0]:
                _add_oldest(manifest, files, number, added, values)
            else:
                _add_version(manifest, files, each, added, removed, values)
    return added, removed


def _add_oldest(
    manifest: Manifest, files: Sequence[ShardFile], number: int, added: Rows, with_values: bool
) -> None:
    """The oldest version that is kept counts as having inserted all that it shows."""
    for file, pin in zip(files, manifest.pins_at(number), strict=True):
        schema = manifest.layout_at(number).schema
        shard = file.at(pin, schema)
        for change in changes(shard, shard.versions[0].number, shard.version, values=with_values):
            key = number, change.rowid
            if not with_values and change.kind in _ADDED:
                added[key] = ()
            elif change.kind in _ADDED:
                added[key] = _with_columns(change.values, shard.schema_at(change.version), schema)
            else:
                added.pop(key, None)


def _with_columns(values: tuple[Any, ...], before: Schema, after: Schema) -> tuple[Any, ...]:
    """A row with other columns; one that it does not have has its DEFAULT."""
    if before.is_same(after):
        return values
    known = dict(zip(before.visible.ids, values, strict=True))
    return tuple(
        known[column.id] if column.id in known else as_sql(constant(column), column.type)
        for column in after.visible.columns
    )


def _add_version(
    manifest: Manifest,
    files: Sequence[ShardFile],
    each: ShardedVersion,
    added: Rows,
    removed: Rows,
    with_values: bool,
) -> None:
    """What one version changed.

    A shard may have had commits in between that never were part of the table, and were taken back: the values
    tell what is as it was.
    """
    number = each.version.number
    before = manifest.pins_at(number - 1)
    for shard_number, pin in each.pins.items():
        shard = files[shard_number].at(pin, manifest.layout_at(number).schema)
        old: dict[int, tuple[Any, ...] | None] = {}
        new: dict[int, tuple[Any, ...] | None] = {}
        taken_back = pin.version > before[shard_number].version + 1
        for change in changes(
            shard, before[shard_number].version + 1, pin.version, values=with_values or taken_back
        ):
            if change.kind in _ADDED:
                old.setdefault(change.rowid, None)
                new[change.rowid] = change.values
            else:
                old.setdefault(change.rowid, change.values)
                new[change.rowid] = None
        for rowid, values in new.items():
            if taken_back and values == old[rowid]:
                continue
            if old[rowid] is not None:
                removed[number, rowid] = old[rowid]  # type: ignore[assignment]
            if values is not None:
                added[number, rowid] = values
