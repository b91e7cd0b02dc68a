"""``audiomem info``: what a file holds, from its catalogs alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer


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
    from audiomem_sql.table.description import describe
    from audiomem_sql.table.table import Table

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
    from audiomem_sql.cli import output
    from audiomem_sql.machine.hardware import measured
    from audiomem_sql.machine.limits import LIMITS
    from audiomem_sql.storage.segment import TableOptions

    folder = os.path.dirname(os.path.abspath(file or "x"))
    here = measured(folder)
    reasons = here.reasons()
    facts = {
        "processors": here.processors,
        "memory": here.memory,
        "free": here.free,
        "rotating": here.rotating,
        "folder": folder,
        "profile": here.choice,
        "missing": {name: why for name, why in reasons.items() if why},
    }
    if json:
        output.print_json(facts)
        return
    out = output.console()
    kind = {None: "", True: " (a disk that rotates)", False: " (a disk that does not rotate)"}[here.rotating]
    sizes = f"{output.size(here.memory)} of memory, {output.size(here.free)} free in {folder}{kind}"
    out.print(Text(f"{output.counted(here.processors, 'processor')}, {sizes}"))
    out.print(Text(f"profile=auto is {here.choice}", style="bold"))
    grid = output.grid("profile", "sound", "block", "level", "threads", "cache", "here")
    for name, why in reasons.items():
        shape, write = (
            PROFILES[name],
            TableOptions(profile=name, compression_level=LIMITS[name].level).write_options(),
        )
        sound = f"{shape.sample_rate / 1000:g} kHz, {shape.bits_per_sample} bit, {shape.channels} ch"
        fits = f"too little: {why}" if why else "chosen" if name == here.choice else "fits"
        cache = output.size(LIMITS[name].cache_bytes)
        grid.add_row(
            name, sound, output.size(write.block_bytes), str(write.level), str(write.threads), cache, fits
        )
    out.print(grid)


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
