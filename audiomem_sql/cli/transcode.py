"""``audiomem transcode``: the same table as another sound."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def transcode(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    profile: Annotated[
        str | None, typer.Option(help="Shape of the sound: auto, server, desktop, mobile or embedded.")
    ] = None,
    modulation: Annotated[str | None, typer.Option(help="pcm or spectrum.")] = None,
    band_plan: Annotated[str | None, typer.Option(help="Of a spectrum: flat, mission or ultrasonic.")] = None,
    robustness: Annotated[str | None, typer.Option(help="Of a spectrum: exact, broadcast or lossy.")] = None,
    protection: Annotated[str | None, typer.Option(help="none, standard or archive.")] = None,
    deltas: Annotated[
        str | None, typer.Option(help="inside the file, or beside it, where commits must not touch it.")
    ] = None,
    compression_level: Annotated[int | None, typer.Option(help="zstd level, 1 to 22.")] = None,
    json: Json = False,
) -> None:
    """Write a table anew, with another modulation, profile or protection; all versions stay."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.errors import OptionError
    from audiomem_sql.table.table import Table

    settings = {
        "profile": profile,
        "modulation": modulation,
        "band_plan": band_plan,
        "robustness": robustness,
        "protection": protection,
        "deltas": deltas,
        "compression_level": compression_level,
    }
    changes = {name: value for name, value in settings.items() if value is not None}
    if not changes:
        raise OptionError("nothing is to be changed", remedy="Name an option, such as --modulation spectrum.")
    with Table(file) as table:
        before = table.files.size()
        with bar("rows") as progress:
            table.transcode(changes, progress=progress.to)
        chosen, after = table.options.to_catalog(), table.files.size()
        options = ", ".join(f"{name}={value}" for name, value in chosen.items())
        facts = {"file": file, "bytes_before": before, "bytes_after": after, "options": chosen}
        line = f"{file}: {output.size(before)} before, {output.size(after)} after; {options}"
        output.tell(facts, line, json)
