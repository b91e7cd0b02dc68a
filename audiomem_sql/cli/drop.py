"""``audiomem drop``: delete a table."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.errors import OptionError


def drop(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a table with all its versions: the file, its log and its delta files, and nothing else.

    DROP TABLE of SQL leaves the file as it is.
    """
    import sys

    from audiomem_sql.cli import output
    from audiomem_sql.table.dropping import drop
    from audiomem_sql.table.reader import TableReader

    with TableReader(file) as table:
        rows, versions = len(table), len(table.versions)
        size = output.size(table.files.size())
    said = f"{output.counted(rows, 'row')}, {output.counted(versions, 'version')}, {size}"
    if not yes:
        if not sys.stdin.isatty():
            raise OptionError(
                f"this deletes {said}", file=file, remedy="Pass --yes where nobody can be asked."
            )
        typer.confirm(f"{file}: delete {said}?", abort=True)
    deleted = drop(file)
    print(f"{file}: {said}: deleted in {output.counted(len(deleted), 'file')}")
