"""``audiomem info``: what a file holds, from its catalogs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audiomem_sql.columns.constraints import Check, Key
    from audiomem_sql.segment import Segment
    from audiomem_sql.table import Table


def info(
    file: Annotated[str | None, typer.Argument(help="The FLAC file.", metavar="[FILE]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Say what is left where deltas of the table are missing.")
    ] = False,
    hardware: Annotated[
        bool, typer.Option("--hardware", help="Say which profile fits this machine, and why, and end.")
    ] = False,
) -> int:
    """Say what a file holds: columns, rows, versions, sizes, sound."""
    from audiomem_sql.cli import output
    from audiomem_sql.errors import OptionError
    from audiomem_sql.table import Table

    if hardware:
        _hardware(file, json)
        return 0
    if file is None:
        raise OptionError("FILE is missing", remedy="Name a FLAC file, or ask for --hardware.")

    with Table(file, salvage=salvage) as table:
        facts = describe(table)
    if json:
        output.print_json(facts)
    else:
        _print(facts)
    return 0


def _hardware(file: str | None, json: bool) -> None:
    """What this machine has, what ``profile=auto`` makes of it for a file in that folder, and what the profiles are."""
    import os

    from rich.text import Text

    from audiomem_sql.audio import PROFILES
    from audiomem_sql.audio.hardware import measured
    from audiomem_sql.cli import output
    from audiomem_sql.table_options import TableOptions

    folder = os.path.dirname(os.path.abspath(file or "x"))
    here = measured(folder)
    reasons = here.reasons()
    facts = {
        "processors": here.processors,
        "memory": here.memory,
        "free": here.free,
        "folder": folder,
        "profile": here.choice,
        "missing": {name: why for name, why in reasons.items() if why},
    }
    if json:
        output.print_json(facts)
        return
    out = output.console()
    sizes = f"{output.size(here.memory)} of memory, {output.size(here.free)} free in {folder}"
    out.print(Text(f"{output.counted(here.processors, 'processor')}, {sizes}"))
    out.print(Text(f"profile=auto is {here.choice}", style="bold"))
    grid = output.grid("profile", "sound", "block", "threads", "here")
    for name, why in reasons.items():
        shape, write = PROFILES[name], TableOptions(profile=name).write_options()
        sound = f"{shape.sample_rate / 1000:g} kHz, {shape.bits_per_sample} bit, {shape.channels} ch"
        fits = f"too little: {why}" if why else "chosen" if name == here.choice else "fits"
        grid.add_row(name, sound, output.size(write.block_bytes), str(write.threads), fits)
    out.print(grid)


def describe(table: Table) -> dict[str, Any]:
    """What is known of a table without reading its rows; sizes in bytes."""
    import os

    from audiomem_sql.columns.timestamps import render

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
                sum(segment.file.page_count + 2 * lead_of(segment) for segment in segments)
                * profile.block_size
                / profile.sample_rate,
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


def lead_of(segment: Segment) -> int:
    """Frames of silence before the first page of a file."""
    from audiomem_sql.audio.modulated import ModulatedPages

    source = segment.file.source
    return source.spectrum.lead if isinstance(source, ModulatedPages) else 0


def _stored(segment: Segment, column: int) -> int:
    entry = segment.entry(column)
    if entry is None:
        return 0
    extents = [extent.stored for extent in (entry.dictionary, entry.bloom) if extent is not None]
    return int(entry.blocks.stored.sum()) + sum(extents)


def _protection(segment: Segment) -> int:
    """Bytes that the file would be smaller without protection."""
    from audiomem_sql.page_layout import PageLayout
    from audiomem_sql.protection.levels import NONE

    file, catalog = segment.file, segment.catalog
    if file.map is None:
        return 0
    plain = PageLayout(file.layout.page_size, NONE)
    pages = 2 * plain.pages_for(file.map.catalog * file.layout.payload_bytes)
    pages += plain.pages_for(catalog.data_bytes)
    return (file.page_count - pages) * file.layout.page_size


def _blocks(segment: Segment, column: int) -> int:
    directory = segment.directory(column)
    return 0 if directory is None else int(directory.count)


#: Versions that are listed for people; --json has all.
SHOWN_VERSIONS = 10


def _print(facts: dict[str, Any]) -> None:
    from rich.text import Text

    from audiomem_sql.cli import output

    out = output.console()
    size, sound, options = facts["size"], facts["sound"], facts["options"]
    rates = f"{sound['sample_rate'] / 1000:g} kHz, {sound['bits_per_sample']} bit"
    lines = {
        "table": f"{facts['table']}: {output.counted(facts['rows'], 'row')}, version {facts['version']}",
        "size": f"{output.size(size['total'])} on disk: base {output.size(size['base'])}, "
        f"{output.counted(size['files'] - 1 - bool(size['log']), 'delta')} {output.size(size['deltas'])}"
        + (f", log {output.size(size['log'])}" if size["log"] else ""),
        "values": f"{output.size(size['values'])} before compression, ratio {size['ratio']:.2f}",
        "sound": f"{output.seconds(sound['seconds'])}, {rates}, {output.counted(sound['channels'], 'channel')}, "
        f"profile {sound['profile']}, {output.counted(sound['pages'], 'page')}",
        "protection": options["protection"]
        + (f", {output.size(size['protection'])}" if size["protection"] else "")
        + (
            f" (+ {100 * size['protection'] / (size['total'] - size['log'] - size['protection']):.1f} %)"
            if size["protection"]
            else ""
        ),
        "options": ", ".join(
            f"{name}={value}" for name, value in options.items() if name not in ("profile", "protection")
        ),
    }
    if facts["missing"]:
        gaps = (str(first) if first == last else f"{first} to {last}" for first, last in facts["missing"])
        lines["missing"] = f"versions {', '.join(gaps)}"
    if facts["sources"]:
        lines["sources"] = f"{facts['sources']:,} ingested"
    out.print(Text(facts["file"], style="bold"))
    for name, line in lines.items():
        out.print(Text(f"  {name:<11}", style="cyan") + Text(line))
    columns = output.grid(
        "column", "bytes", "stored", "ratio", "blocks", right=("bytes", "stored", "ratio", "blocks")
    )
    for column in facts["columns"]:
        ratio = f"{column['bytes'] / column['stored']:.2f}" if column["stored"] else ""
        numbers = (f"{column['bytes']:,}", f"{column['stored']:,}", ratio, f"{column['blocks']:,}")
        columns.add_row(Text(output.printable(column["definition"])), *numbers)
    out.print(columns)
    for constraint in facts["constraints"]:
        out.print(Text(output.printable(constraint)))
    versions = output.grid(
        "version", "time", "added", "removed", "tags", "message", right=("version", "added", "removed")
    )
    for version in facts["versions"][-SHOWN_VERSIONS:]:
        message = Text(output.cell(version["message"] or ""))
        counts = (f"{version['inserted']:,}", f"{version['deleted']:,}")
        tags = Text(output.printable(", ".join(version["tags"])))
        versions.add_row(str(version["version"]), version["time"], *counts, tags, message)
    out.print(versions)
    if len(facts["versions"]) > SHOWN_VERSIONS:
        out.print(
            Text(
                f"… and {len(facts['versions']) - SHOWN_VERSIONS:,} before them (--json lists all)",
                style="dim",
            )
        )
