"""``audiomem restore``: the rows of an old version become the newest."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json
from audiomem_sql.errors import OptionError


def restore(
    file: Annotated[str, typer.Argument(help="The FLAC file, or the URL of a table.", metavar="FILE")],
    version: Annotated[
        str | None, typer.Argument(help="The version, by number or by tag.", metavar="VERSION")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="The newest version at a time, such as 2026-01-31 12:00.")
    ] = None,
    json: Json = False,
) -> None:
    """Make the rows of an old version the newest, in a commit of its own; nothing is lost."""
    from audiomem_sql.cli import output
    from audiomem_sql.table.table import Table

    if (version is None) == (as_of is None):
        raise OptionError("one version is restored", remedy="Name a VERSION, or a time with --as-of.")
    with Table(file) as table:
        before = table.version
        old = table.at(version, as_of).version
        after, called = table.restore(old), old if version is None else version
        line = f"version {after} has the rows of version {called}: {len(table):,} rows"
        if after == before:
            line = f"the newest version has the rows of version {called} already"
        facts = {"file": file, "version": after, "restored": old, "rows": len(table)}
        output.tell(facts, f"{file}: {line}", json)
