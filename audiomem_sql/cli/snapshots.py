"""``audiomem snapshots``: the versions of a table that are kept."""

from __future__ import annotations

from typing import Annotated

import typer


def snapshots(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the versions that can be read: number, time, rows added and removed, tags, message."""
    from audiomem_sql.cli import output
    from audiomem_sql.columns.timestamps import render
    from audiomem_sql.table.reader import TableReader

    with TableReader(file) as table:
        tags: dict[int, list[str]] = {}
        for name, number in sorted(table.tags.items()):
            tags.setdefault(number, []).append(name)
        rows = [
            (v.number, render(v.time), v.inserted, v.deleted, tags.get(v.number, []), v.message)
            for v in table.versions
        ]
    names = ("version", "time", "added", "removed", "tags", "message")
    if json:
        output.print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    output.print_rows(names, [(*row[:4], ", ".join(row[4]), row[5] or "") for row in rows])
