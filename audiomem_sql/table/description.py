"""What is known of a table from its catalogs alone, as plain values: for ``audiomem info`` and for notebooks."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audiomem_sql.audio.finding.modulated import ModulatedPages
from audiomem_sql.columns.timestamps import render
from audiomem_sql.protection.levels import NONE

if TYPE_CHECKING:
    from audiomem_sql.columns.constraints import Check, Key
    from audiomem_sql.storage.segment import ReadableSegment
    from audiomem_sql.table.reader import TableReader


def describe(table: TableReader) -> dict[str, Any]:
    """What is known of a table without reading its rows; sizes in bytes."""
    segments = table.snapshot.segments
    sizes = [os.path.getsize(segment.path) for segment in segments]
    log = os.path.getsize(table.files.log) if table.snapshot.log is not None else 0
    total = sum(sizes) + log
    tags: dict[int, list[str]] = {}
    for name, number in sorted(table.tags.items()):
        tags.setdefault(number, []).append(name)
    profile = table.options.audio_profile
    parts: tuple[Check | Key, ...] = (*table.schema.checks, *table.schema.keys)
    columns: list[dict[str, Any]] = []
    for place, column in enumerate(table.schema.columns):
        columns.append(
            {
                "name": column.name,
                "definition": column.sql(),
                "bytes": table.snapshot.column_bytes(place),
                "stored": sum(_stored(segment, place) for segment in segments),
                "blocks": sum(_blocks(segment, place) for segment in segments),
            }
        )
    values = sum(column["bytes"] for column in columns)
    return {
        "file": table.path,
        "table": table.name,
        "rows": len(table),
        "version": table.version,
        "missing": [[gap.start, gap[-1]] for gap in table.snapshot.gaps],
        "columns": columns,
        "constraints": [part.sql() for part in parts],
        "versions": [
            {
                "version": version.number,
                "time": render(version.time),
                "inserted": version.inserted,
                "deleted": version.deleted,
                "tags": tags.get(version.number, []),
                "message": version.message,
            }
            for version in table.versions
        ],
        "size": {
            "base": sizes[0],
            "deltas": sum(sizes[1:]),
            "log": log,
            "files": len(sizes) + (table.snapshot.log is not None),
            "total": total,
            "protection": sum(_protection(segment) for segment in segments),
            "values": values,
            "ratio": round(values / total, 3),
        },
        "sound": {
            "profile": table.options.profile,
            "sample_rate": profile.sample_rate,
            "bits_per_sample": profile.bits_per_sample,
            "channels": profile.channels,
            "block_size": profile.block_size,
            "pages": sum(segment.file.page_count for segment in segments),
            "seconds": round(
                sum(_frames_of(segment) for segment in segments) * profile.block_size / profile.sample_rate,
                2,
            ),
        },
        "repaired": {
            "page": sum(segment.file.corrections.inner for segment in segments),
            "parity": sum(segment.file.corrections.outer for segment in segments),
            "failed": sum(segment.file.corrections.failed for segment in segments),
        },
        "sources": len(table.sources),
        "options": table.options.to_catalog(),
    }


def _stored(segment: ReadableSegment, column: int) -> int:
    entry = segment.entry(column)
    if entry is None:
        return 0
    extents = [extent.stored for extent in (entry.dictionary, entry.bloom) if extent is not None]
    return int(entry.blocks.stored.sum()) + sum(extents)


def _protection(segment: ReadableSegment) -> int:
    """Bytes that the file would be smaller without protection."""
    file, catalog = segment.file, segment.catalog
    if file.map is None:
        return 0
    plain = replace(file.layout, level=NONE)
    pages = 2 * plain.catalog_pages_for(file.map.catalog * file.layout.catalog_bytes)
    pages += plain.pages_for(catalog.data_bytes)
    return (file.page_count - pages) * file.layout.page_size


def _frames_of(segment: ReadableSegment) -> int:
    """Frames of a file, with the silence before and behind its pages."""
    source, pages = segment.file.source, segment.file.page_count
    if not isinstance(source, ModulatedPages):
        return pages
    return source.spectrum.first_frame(pages) + source.spectrum.lead


def _blocks(segment: ReadableSegment, column: int) -> int:
    directory = segment.directory(column)
    return 0 if directory is None else int(directory.count)
