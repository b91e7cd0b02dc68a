"""``audiomem info``: what a file holds, from its catalogs alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiomem_sql.cli.replica import Replicas

if TYPE_CHECKING:
    from rich.table import Table as Grid


def info(
    file: Annotated[str | None, typer.Argument(help="The FLAC file.", metavar="[FILE]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Say what is left where parts of the table are missing.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Say how much has arrived of a table that is on its way.")
    ] = False,
    hardware: Annotated[
        bool, typer.Option("--hardware", help="Say which profile fits this machine, and why, and end.")
    ] = False,
    replica: Replicas = None,
) -> int:
    """Say what a file holds: columns, rows, versions, sizes, sound.

    The exit code is 1 if a shard of it cannot be read; the others are described.
    """
    from audiomem_sql.cli import output
    from audiomem_sql.errors import OptionError
    from audiomem_sql.remote.tiers import cache_rows
    from audiomem_sql.table.description import describe
    from audiomem_sql.table.table import Table

    if hardware:
        _hardware(file, json)
        return 0
    if file is None:
        raise OptionError("FILE is missing", remedy="Name a FLAC file, or ask for --hardware.")

    with Table(file, salvage=salvage, partial=partial, replicas=replica) as table:
        facts = describe(table)
        if table.replicas:
            facts["replicas"] = table.replicas
        facts["cache"] = [row._asdict() for row in cache_rows()]
    if json:
        output.print_json(facts)
    else:
        _print(facts)
    faults = facts["shards"]["faults"] if facts["shards"] else []
    for fault in faults:
        output.note(f"audiomem: {fault['fault']}")
    return int(bool(faults))


def _hardware(file: str | None, json: bool) -> None:
    """What this machine has, what ``profile=auto`` is for a file there, and what the profiles are."""
    import os

    from rich.text import Text

    from audiomem_sql.audio import PROFILES
    from audiomem_sql.cli import output
    from audiomem_sql.machine.hardware import measured
    from audiomem_sql.machine.limits import LIMITS, cache_room
    from audiomem_sql.storage.segment import TableOptions

    folder = os.path.dirname(os.path.abspath(file or "x"))
    machine = measured(folder)
    reasons = machine.reasons()
    facts = {
        "processors": machine.processors,
        "memory": machine.memory,
        "free": machine.free,
        "rotating": machine.rotating,
        "folder": folder,
        "profile": machine.choice,
        "missing": {name: why for name, why in reasons.items() if why},
    }
    if json:
        output.print_json(facts)
        return
    out = output.console()
    kind = {None: "", True: " (a disk that rotates)", False: " (a disk that does not rotate)"}[
        machine.rotating
    ]
    sizes = f"{output.size(machine.memory)} of memory, {output.size(machine.free)} free in {folder}{kind}"
    out.print(Text(f"{output.counted(machine.processors, 'processor')}, {sizes}"))
    out.print(Text(f"profile=auto is {machine.choice}", style="bold"))
    grid = output.grid("profile", "sound", "block", "level", "threads", "cache", "here")
    for name, why in reasons.items():
        profile, limits = PROFILES[name], LIMITS[name]
        writing = TableOptions(profile=name, compression_level=limits.level).write_options()
        grid.add_row(
            name,
            f"{profile.sample_rate / 1000:g} kHz, {profile.bits_per_sample} bit, {profile.channels} ch",
            output.size(writing.block_bytes),
            str(writing.level),
            str(writing.threads),
            output.size(cache_room(limits)),
            f"too little: {why}" if why else "chosen" if name == machine.choice else "fits",
        )
    out.print(grid)


#: Versions that are listed for people; --json has all.
SHOWN_VERSIONS = 10


def _print(facts: dict[str, Any]) -> None:
    from rich.text import Text

    from audiomem_sql.cli import output

    out = output.console()
    out.print(Text(facts["file"], style="bold"))
    for name, line in _lines(facts).items():
        out.print(Text(f"  {name:<11}", style="cyan") + Text(line))
    out.print(_columns(facts["columns"]))
    if facts["cache"]:
        out.print(_cache(facts["cache"]))
    for constraint in facts["constraints"]:
        out.print(Text(output.printable(constraint)))
    out.print(_versions(facts["versions"][-SHOWN_VERSIONS:]))
    if len(facts["versions"]) > SHOWN_VERSIONS:
        more = len(facts["versions"]) - SHOWN_VERSIONS
        out.print(Text(f"… and {more:,} before them (--json lists all)", style="dim"))


def _lines(facts: dict[str, Any]) -> dict[str, str]:
    """The facts that are one line each, by their names."""
    from audiomem_sql.cli import output
    from audiomem_sql.machine.urls import is_url
    from audiomem_sql.table.exposure import Exposure

    size, sound, options = facts["size"], facts["sound"], facts["options"]
    deltas = f"{output.counted(len(facts['segments']) - 1, 'delta')} {output.size(size['deltas'])}"
    log = f", log {output.size(size['log'])}" if size["log"] else ""
    rates = f"{sound['sample_rate'] / 1000:g} kHz, {sound['bits_per_sample']} bit"
    protection = options["protection"]
    if size["protection"]:
        share = 100 * size["protection"] / (size["total"] - size["log"] - size["protection"])
        protection += f", {output.size(size['protection'])} (+ {share:.1f} %)"
    where = "in the store" if is_url(facts["file"]) else "on disk"
    lines = {
        "table": f"{facts['table']}: {output.counted(facts['rows'], 'row')}, version {facts['version']}",
        "size": f"{output.size(size['total'])} {where}: base {output.size(size['base'])}, {deltas}{log}",
        "segments": _segments(facts),
        "log": _log(facts["log"]),
        "values": f"{output.size(size['values'])} before compression, ratio {size['ratio']:.2f}",
        "sound": f"{output.seconds(sound['seconds'])}, {rates}, "
        f"{output.counted(sound['channels'], 'channel')}, profile {sound['profile']}, "
        f"{output.counted(sound['pages'], 'page')}",
        "protection": protection,
        "options": ", ".join(
            f"{name}={value}" for name, value in options.items() if name not in ("profile", "protection")
        ),
    }
    if facts["arrived"]:
        arrived = facts["arrived"]
        lines["arrived"] = (
            f"{arrived['rows']:,} of {output.counted(arrived['rows_in_all'], 'row')}, "
            f"{arrived['pages']:,} of {output.counted(arrived['pages_in_all'], 'page')}"
        )
    if facts["shards"]:
        shards = facts["shards"]
        lines["shards"] = (
            f"{shards['count']:,} by the hash of {', '.join(shards['key'])}, with {min(shards['rows']):,} "
            f"to {max(shards['rows']):,} rows"
        )
    if facts["exposed"]:
        lines["exposed"] = str(Exposure(**facts["exposed"]))
    if facts["missing"]:
        gaps = (str(first) if first == last else f"{first} to {last}" for first, last in facts["missing"])
        lines["missing"] = f"versions {', '.join(gaps)}"
    if facts["sources"]:
        lines["sources"] = f"{facts['sources']:,} ingested"
    return lines


#: Segments that are listed for people, the newest ones; --json has all.
SHOWN_SEGMENTS = 4


def _segments(facts: dict[str, Any]) -> str:
    """How many segments there are, with which versions, and up to where the table is vacuumed."""
    from audiomem_sql.cli import output

    segments, vacuumed = facts["segments"], facts["vacuumed"]
    listed = segments[-SHOWN_SEGMENTS:]
    parts = [f"{_span(segment['versions'])} ({output.size(segment['bytes'])})" for segment in listed]
    more = "" if len(listed) == len(segments) else "… "
    since = f" of {vacuumed['time']}" if vacuumed["time"] else ""
    return (
        f"{len(segments):,}, generation {facts['generation']}: {more}{', '.join(parts)}; "
        f"vacuumed up to version {vacuumed['version']}{since}"
    )


def _log(log: dict[str, Any] | None) -> str:
    """Which log goes with the file."""
    if log is None:
        return "none"
    session = "" if log["session"] is None else f"session {log['session']}, "
    return f"{session}{_span(log['versions'])} only there" if log["versions"] else f"{session}no commits"


def _span(versions: Sequence[int]) -> str:
    first, last = versions
    return f"version {first}" if first == last else f"versions {first} to {last}"


def _columns(columns: Sequence[dict[str, Any]]) -> Grid:
    from rich.text import Text

    from audiomem_sql.cli import output

    grid = output.grid(
        "column", "bytes", "stored", "ratio", "blocks", right=("bytes", "stored", "ratio", "blocks")
    )
    for column in columns:
        ratio = f"{column['bytes'] / column['stored']:.2f}" if column["stored"] else ""
        numbers = (f"{column['bytes']:,}", f"{column['stored']:,}", ratio, f"{column['blocks']:,}")
        grid.add_row(Text(output.printable(column["definition"])), *numbers)
    return grid


def _cache(tiers: Sequence[dict[str, Any]]) -> Grid:
    """The tiers of the cache in front of the file."""
    from rich.text import Text

    from audiomem_sql.cli import output

    names = ("hits", "misses", "requests", "errors", "held", "capacity", "cost")
    grid = output.grid("tier", "state", *names, right=names)
    for tier in tiers:
        counts = (f"{tier[name]:,}" for name in names[:4])
        sizes = ("" if tier[name] is None else output.size(tier[name]) for name in ("held", "capacity"))
        texts = (Text(output.printable(tier[name])) for name in ("tier", "state"))
        grid.add_row(*texts, *counts, *sizes, f"{tier['cost']:.6f} $")
    return grid


def _versions(versions: Sequence[dict[str, Any]]) -> Grid:
    from rich.text import Text

    from audiomem_sql.cli import output

    grid = output.grid(
        "version", "time", "added", "removed", "tags", "message", right=("version", "added", "removed")
    )
    for version in versions:
        message = Text(output.cell(version["message"] or ""))
        counts = (f"{version['inserted']:,}", f"{version['deleted']:,}")
        tags = Text(output.printable(", ".join(version["tags"])))
        grid.add_row(str(version["version"]), version["time"], *counts, tags, message)
    return grid
