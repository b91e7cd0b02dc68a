"""``audiomem changes``: what commits changed."""

from __future__ import annotations

from typing import Annotated

import typer


def changes(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    first: Annotated[str, typer.Argument(help="The first version, by number or by tag.", metavar="FIRST")],
    last: Annotated[
        str | None,
        typer.Argument(help="The last version, included; the newest if it is left out.", metavar="LAST"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the rows that the commits FIRST to LAST added, removed and replaced."""
    from audiomem_sql.cli import output
    from audiomem_sql.table.reader import TableReader
    from audiomem_sql.versions import changes as changes_of

    with TableReader(file) as table:
        names = ("version", "rowid", "change", *table.schema.names)
        row_changes = changes_of(table.snapshot, table.at(first).version, table.at(last).version)
        rows = [(change.version, change.rowid, change.kind, *change.values) for change in row_changes]
    (output.print_json_rows if json else output.print_rows)(names, rows)
