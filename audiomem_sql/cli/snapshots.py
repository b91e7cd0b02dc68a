"""``audiomem snapshots``: the versions of a table that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audiomem_sql.table.reader import TableReader


def snapshots(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the versions that can be read: number, time, rows added and removed, tags, message."""
    from audiomem_sql.cli import output
    from audiomem_sql.table.reader import TableReader

    with TableReader(file) as table:
        versions = versions_of(table)
    if json:
        output.print_json(versions)
        return
    names = ("version", "time", "added", "removed", "tags", "message")
    output.print_rows(
        names,
        [
            (*(version[name] for name in names[:4]), ", ".join(version["tags"]), version["message"] or "")
            for version in versions
        ],
    )


def versions_of(table: TableReader) -> list[dict[str, Any]]:
    """The versions that are kept, the oldest first, as ``--json`` prints them."""
    from audiomem_sql.table import description

    names = {"inserted": "added", "deleted": "removed"}
    return [
        {names.get(name, name): fact for name, fact in version.items()}
        for version in description.versions_of(table)
    ]
