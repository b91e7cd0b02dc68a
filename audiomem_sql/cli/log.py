"""``audiomem log``: the versions of a table, the newest first."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def log(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    most: Annotated[
        int | None, typer.Option("-n", "--most", help="Versions to show, the newest.", min=1)
    ] = None,
    oneline: Annotated[bool, typer.Option("--oneline", help="A line for each version.")] = False,
    json: Json = False,
) -> None:
    """Show the versions of a table, the newest first: time, message, tags, rows added and removed."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.snapshots import versions_of
    from audiomem_sql.table.reader import TableReader

    with TableReader(file) as table:
        versions = versions_of(table)[::-1][:most]
    if json:
        output.print_json(versions)
        return
    for number, version in enumerate(versions):
        tags = f" ({', '.join(version['tags'])})" if version["tags"] else ""
        counts = f"+{version['added']:,} -{version['removed']:,}"
        message = version["message"] or ""
        if oneline:
            print(output.printable(f"{version['version']}{tags} {counts} {message}".rstrip()))
            continue
        print(("\n" if number else "") + output.printable(f"version {version['version']}{tags}"))
        print(f"Date:  {version['time']}")
        print(f"Rows:  {counts}")
        if message:
            print(f"\n    {output.printable(message)}")
