"""What the catalogs say of a table, as plain values: for ``audiomem info`` and for notebooks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.urls import is_playlist, is_url
from audiomem_sql.protection.levels import NONE
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.storage.segment import ReadableSegment, TableOptions, Version
from audiomem_sql.table.contract import ReadableTable
from audiomem_sql.table.exposure import exposure
from audiomem_sql.versions import Snapshot, StoredSnapshot, TableFiles


def describe(table: ReadableTable) -> dict[str, Any]:
    """What is known of a table without reading its rows; sizes in bytes."""
    snapshot, schema = table.snapshot.readable(), table.schema
    columns = _columns(snapshot, schema)
    exposed = exposure(snapshot)
    log_bytes = _log_bytes(table)
    segments = _segments(snapshot)
    return {
        "file": table.path,
        "table": table.name,
        "rows": len(table),
        "version": snapshot.version,
        "missing": [[gap.start, gap[-1]] for gap in snapshot.gaps],
        "columns": columns,
        "constraints": [check.sql() for check in schema.checks] + [key.sql() for key in schema.keys],
        "versions": versions_of(snapshot),
        "generation": 0 if snapshot.table_file is None else snapshot.table_file.generation,
        "segments": segments,
        "shards": _shards(snapshot),
        "log": _log(snapshot, log_bytes),
        "vacuumed": _vacuumed(snapshot),
        "size": _size(snapshot, segments, log_bytes, sum(column["bytes"] for column in columns)),
        "arrived": None if table.arrived is None else asdict(table.arrived),
        "exposed": None if exposed is None else asdict(exposed),
        "sound": _sound(snapshot.segments, table.options),
        "repaired": {
            "page": sum(segment.file.corrections.inner for segment in snapshot.segments),
            "parity": sum(segment.file.corrections.outer for segment in snapshot.segments),
            "failed": sum(segment.file.corrections.failed for segment in snapshot.segments),
        },
        "sources": len(table.sources),
        "options": table.options.to_catalog(),
    }


class Sized(Protocol):
    """What sizes are asked of: a table that is open."""

    @property
    def files(self) -> TableFiles:
        """The paths of its files."""

    @property
    def snapshot(self) -> Snapshot:
        """The rows and versions."""


def sizes(table: Sized) -> dict[str, Any]:
    """Bytes of the files and of what is in them, as :func:`describe` has them under ``size``."""
    snapshot = table.snapshot.readable()
    values = sum(snapshot.column_bytes(number) for number in range(len(snapshot.schema.visible)))
    return _size(snapshot, _segments(snapshot), _log_bytes(table), values)


def _log_bytes(table: Sized) -> int:
    """Bytes of the log, or the records in a manifest; of a sharded table of the logs and the manifest."""
    snapshot = table.snapshot
    if isinstance(snapshot, StoredSnapshot):
        return snapshot.manifest.inline_bytes
    if isinstance(snapshot, ShardedSnapshot):
        logs = (file.files.log for file in snapshot.shard_files)
        return snapshot.file_size + sum(map(os.path.getsize, filter(os.path.lexists, logs)))
    return 0 if snapshot.log is None else os.path.getsize(table.files.log)


def _shards(snapshot: Snapshot) -> dict[str, Any] | None:
    """How the rows of a sharded table are spread; None of one file."""
    if not isinstance(snapshot, ShardedSnapshot):
        return None
    names = [snapshot.schema.columns[number].name for number in snapshot.placement.columns]
    return {
        "count": len(snapshot.shard_files),
        "key": names or ["rowid"],
        "zones": [snapshot.schema.columns[number].name for number in snapshot.zones.columns],
        "rows": [shard.rows for shard in snapshot.shards],
        "faults": [
            {"shard": number, "file": snapshot.shard_files[number].files.base, "fault": str(error)}
            for number, error in enumerate(snapshot.tried())
            if isinstance(error, AudioMemError)
        ],
    }


def _columns(snapshot: Snapshot, schema: Schema) -> list[dict[str, Any]]:
    """Every column that users see: its definition, and its size before and after compression."""
    segments = [segment.with_schema(snapshot.schema) for segment in snapshot.segments]
    return [
        {
            "name": column.name,
            "definition": column.sql(),
            "bytes": snapshot.column_bytes(number),
            "stored": sum(_stored_bytes(segment, number) for segment in segments),
            "blocks": sum(_block_count(segment, number) for segment in segments),
        }
        for number, column in enumerate(schema.columns)
    ]


class Versioned(Protocol):
    """What versions are asked of: a snapshot, or a table."""

    @property
    def versions(self) -> list[Version]:
        """Every commit that is kept, oldest first."""

    @property
    def tags(self) -> dict[str, int]:
        """Names of versions."""


def versions_of(table: Versioned) -> list[dict[str, Any]]:
    """Every version that is kept, oldest first, with its tags."""
    tags: dict[int, list[str]] = {}
    for name, number in sorted(table.tags.items()):
        tags.setdefault(number, []).append(name)
    return [
        {
            "version": version.number,
            "time": render(version.time),
            "inserted": version.inserted,
            "deleted": version.deleted,
            "tags": tags.get(version.number, []),
            "message": version.message,
        }
        for version in table.versions
    ]


def _segments(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Every segment, oldest first: its file, versions, rows and bytes.

    The bytes of a file are shared out by pages, so that they add up to its size.
    """
    pages: dict[str, int] = {}
    for segment in snapshot.segments:
        pages[segment.path] = pages.get(segment.path, 0) + segment.file.own_pages
    sizes = {segment.path: _bytes_of(segment) for segment in snapshot.segments}
    left = {path: sizes[path] for path in pages}
    facts: list[dict[str, Any]] = []
    for segment in reversed(snapshot.segments):  # the oldest one gets what is left: it has the metadata
        path, own = segment.path, segment.file.own_pages
        size = left[path] if pages[path] == own else left[path] * own // pages[path]
        left[path] -= size
        pages[path] -= own
        catalog = segment.catalog
        facts.insert(
            0,
            {
                "file": path,
                "versions": [catalog.first_version, catalog.last_version],
                "rows": segment.rows,
                "bytes": size,
            },
        )
    return facts


def _bytes_of(segment: ReadableSegment) -> int:
    """Bytes of the file of a segment."""
    is_file = not is_url(segment.path) and not is_playlist(segment.path)
    return os.path.getsize(segment.path) if is_file else segment.file.source.file.size


def _log(snapshot: Snapshot, log_bytes: int) -> dict[str, Any] | None:
    """The log that goes with the file, or the manifest: its session, and the versions that are only there."""
    if isinstance(snapshot, StoredSnapshot):
        held = [record.version for record in snapshot.records]
        return {"session": None, "versions": [held[0], held[-1]], "bytes": log_bytes} if held else None
    log = snapshot.log
    if log is None:
        return None
    versions = [record.version for record in snapshot.logged]
    return {
        "session": None if log.session is None else log.session.hex(),
        "versions": [versions[0], versions[-1]] if versions else [],
        "bytes": log_bytes,
    }


def _vacuumed(snapshot: Snapshot) -> dict[str, Any]:
    """The last version that is in the first segment, and when it was made.

    So far the table is as after a vacuum. Small tables are written anew whenever they are closed.
    """
    last = snapshot.segments[0].catalog.last_version
    times = [render(version.time) for version in snapshot.versions if version.number == last]
    return {"version": last, "time": times[0] if times else None}


def _size(
    snapshot: Snapshot, segments: Sequence[dict[str, Any]], log_bytes: int, value_bytes: int
) -> dict[str, Any]:
    """Bytes of the files and of what is in them. value_bytes: those of the values before compression."""
    base, *deltas = [segment["bytes"] for segment in segments]
    total = base + sum(deltas) + log_bytes
    return {
        "base": base,
        "deltas": sum(deltas),
        "log": log_bytes,
        "files": len({segment["file"] for segment in segments}) + (snapshot.log is not None),
        "total": total,
        "protection": sum(_protection_bytes(segment) for segment in snapshot.segments),
        "values": value_bytes,
        "ratio": round(value_bytes / total, 3),
    }


def _sound(segments: Sequence[ReadableSegment], options: TableOptions) -> dict[str, Any]:
    """What a player says of the files, without the page of an open table that names its log."""
    profile = options.audio_profile
    newest = {
        segment.path: segment.file for segment in segments
    }  # of each file: its end is that of the sound
    samples = sum(file.frame_count for file in newest.values()) * profile.block_size
    return {
        "profile": options.profile,
        "sample_rate": profile.sample_rate,
        "bits_per_sample": profile.bits_per_sample,
        "channels": profile.channels,
        "block_size": profile.block_size,
        "pages": sum(file.first + file.page_count for file in newest.values()),
        "seconds": round(samples / profile.sample_rate, 2),
    }


def _stored_bytes(segment: ReadableSegment, column: int) -> int:
    """Bytes that a column takes in a file: its blocks, dictionary and Bloom filter."""
    entry = segment.entry(column)
    if entry is None:
        return 0
    extents = [extent.stored for extent in (entry.dictionary, entry.bloom) if extent is not None]
    return entry.blocks.stored_bytes + sum(extents)


def _protection_bytes(segment: ReadableSegment) -> int:
    """Bytes that the file would be smaller without protection."""
    file, catalog = segment.file, segment.catalog
    if file.map is None:
        return 0
    plain = replace(file.layout, level=NONE)
    if file.map.compact:
        cells = 2 * plain.cells_for(file.map.catalog * file.layout.cell_payload)
        pages = -(-(cells + plain.cells_for(catalog.data_bytes)) // plain.cells)
    else:
        pages = 2 * plain.catalog_pages_for(file.map.catalog * file.layout.catalog_bytes)
        pages += plain.pages_for(catalog.data_bytes)
    return (file.page_count - pages) * file.layout.page_size


def _block_count(segment: ReadableSegment, column: int) -> int:
    directory = segment.directory(column)
    return 0 if directory is None else int(directory.count)
