"""``audiomem restore``: the rows of an old version become the newest."""

from __future__ import annotations

from typing import Annotated

import typer


def restore(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    version: Annotated[str, typer.Argument(help="The version, by number or by tag.", metavar="VERSION")],
) -> None:
    """Make the rows of an old version the newest, in a commit of its own; nothing is lost."""
    from audiomem_sql.table.table import Table

    with Table(file) as table:
        before = table.version
        after = table.restore(version)
        if after == before:
            print(f"{file}: the newest version has the rows of version {version} already")
        else:
            print(f"{file}: version {after} has the rows of version {version}: {len(table):,} rows")
