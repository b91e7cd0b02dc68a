"""``audiomem tag``: a name for a version."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def tag(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    name: Annotated[str, typer.Argument(help="The name.", metavar="NAME")],
    version: Annotated[
        int | None, typer.Option("--version", help="The version; the newest if it is left out.")
    ] = None,
    json: Json = False,
) -> None:
    """Give a version a name; vacuum keeps what has one."""
    from audiomem_sql.cli import output
    from audiomem_sql.table.table import Table

    with Table(file) as table:
        table.tag(name, version)
        facts = {"file": file, "version": table.tags[name], "tag": name}
        output.tell(facts, f"{file}: version {table.tags[name]} is called {name}", json)
