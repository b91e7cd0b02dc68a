"""``audiomem alter``: a change of the columns."""

from __future__ import annotations

from typing import Annotated

import typer


def alter(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    change: Annotated[
        list[str],
        typer.Argument(
            metavar="CHANGE",
            help="index column NAME (metric=…), unindex column NAME, add column DEFINITION, "
            "drop column NAME, or rename column NAME to NAME.",
        ),
    ],
    vacuum: Annotated[
        bool,
        typer.Option("--vacuum", help="Write the rows again, so that an index has those that are there."),
    ] = False,
) -> None:
    """Change the columns, or the index of a column of vectors. Older versions keep what they had."""
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.table import Table

    with Table(file) as table:
        version = table.alter(" ".join(change))
        print(f"{file}: {table.migrations[-1].text}, version {version}")
        if vacuum:
            with bar("rows") as progress:
                progress.doing("writing the rows again")
                table.vacuum(progress=progress.to)
