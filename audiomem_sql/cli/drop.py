"""``audiomem drop``: delete a table."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.errors import OptionError


def drop(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a table with all its versions: the file, its log and its delta files, and nothing else. Of a
    folder of shards the manifest and the shards that it names.

    DROP TABLE of SQL leaves the file as it is.
    """  # noqa: D205 (this is the help, one paragraph)
    import os
    import sys

    from audiomem_sql.cli import output
    from audiomem_sql.shards import is_half_dropped
    from audiomem_sql.table.dropping import drop
    from audiomem_sql.table.reader import TableReader

    said = "what is left of a table"
    if not is_half_dropped(file):
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
    if os.path.isdir(file):
        output.note(f"audiomem: {file}: the folder stays: there are files in it that are not of the table.")
