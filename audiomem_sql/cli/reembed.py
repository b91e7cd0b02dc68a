"""``audiomem reembed``: all vectors of a table anew, with another model if wanted."""

from __future__ import annotations

from typing import Annotated

import typer


def reembed(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    model: Annotated[
        str | None, typer.Option("--model", help="The model from now on, such as all-MiniLM-L6-v2.")
    ] = None,
) -> None:
    """Make the vectors of all rows anew. Older versions keep theirs until a vacuum; stopped, it goes on when run again."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table import Table

    with Table(file) as table, bar("rows") as progress:
        version = table.reembed(model, progress=progress.to)
        print(
            f"{file}: {output.counted(len(table), 'row')} embedded with {table.options.model}, version {version}"
        )
