"""``audiomem backup``: a copy of a table that others may be writing to."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.replica import Replicas


def backup(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    copy: Annotated[str, typer.Argument(help="The new file; must be free.", metavar="COPY")],
    version: Annotated[
        str | None, typer.Option("--version", help="A number or a tag [default: the newest].")
    ] = None,
    replica: Replicas = None,
) -> None:
    """Copy a table to a new file while others go on writing to it. The copy has the version and all before
    it.
    """  # noqa: D205 (this is the help, one paragraph)
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.table import Table

    with Table(file, replicas=replica) as table:
        with bar("work") as progress:
            number = table.backup(copy, version, progress=progress.to)
        rows = table.at(number).rows
        print(f"{copy}: version {number} of {file}, {output.counted(rows, 'row')}")
