"""``audiomem alter``: a change of the columns."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def alter(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    change: Annotated[
        list[str],
        typer.Argument(
            metavar="CHANGE",
            help="index column NAME (metric=… or tokenize=…), unindex column NAME, add column DEFINITION, "
            "drop column NAME, rename column NAME to NAME, alter column NAME set semantic, or drop semantic.",
        ),
    ],
    vacuum: Annotated[
        bool,
        typer.Option("--vacuum", help="Write the rows again, so that an index has those that are there."),
    ] = False,
    json: Json = False,
) -> None:
    """Change the columns, or what they are searched by. Older versions keep what they had."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.table import Table

    with Table(file) as table:
        version = table.alter(" ".join(change))
        text = table.migrations[-1].text
        facts = {
            "file": file,
            "change": text,
            "version": version,
            "columns": list(table.schema.visible.names),
        }
        output.tell(facts, f"{file}: {text}, version {version}", json)
        if vacuum:
            with bar("rows") as progress:
                progress.doing("writing the rows again")
                table.vacuum(progress=progress.to)
