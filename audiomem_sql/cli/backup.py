"""``audiomem backup``: a copy of a table that others may be writing to."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json
from audiomem_sql.cli.replica import Replicas


def backup(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    copy: Annotated[str, typer.Argument(help="The new file; must be free.", metavar="COPY")],
    version: Annotated[
        str | None, typer.Option("--version", help="A number or a tag [default: the newest].")
    ] = None,
    writable: Annotated[
        bool,
        typer.Option(
            "--writable", help="Of shards at a URL: a table to write to, which newer copies do not replace."
        ),
    ] = False,
    replica: Replicas = None,
    json: Json = False,
) -> None:
    """Copy a table to a new file while others go on writing to it. The copy has the version and all before
    it. A folder of shards is copied to a folder; if COPY ends in .flac, one version of it to one file.
    """  # noqa: D205 (this is the help, one paragraph)
    import os

    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.shards import ShardedSnapshot
    from audiomem_sql.table.table import Table

    with Table(file, replicas=replica) as table:
        with bar("work") as progress:
            number = table.backup(copy, version, writable=writable, progress=progress.to)
        rows = table.at(number).rows
        facts = {"copy": copy, "file": file, "version": number, "rows": rows}
        line = f"{copy}: version {number} of {file}, {output.counted(rows, 'row')}"
        output.tell(facts, line, json)
        before = sum(each.number < number for each in table.versions)
        if before and isinstance(table.snapshot, ShardedSnapshot) and os.path.isfile(copy):
            left = output.counted(before, "version")
            output.note(f"audiomem: {copy}: has this version alone, and not the {left} before it.")
