"""``audiomem drop``: delete a table."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json
from audiomem_sql.errors import OptionError


def drop(
    file: Annotated[str, typer.Argument(help="The FLAC file, or its URL.", metavar="FILE")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete a table with all its versions: the file, its log and its delta files, and nothing else. Of a
    folder of shards the manifest and the shards that it names, of a table in a store its objects.

    DROP TABLE of SQL leaves the file as it is.
    """  # noqa: D205 (this is the help, one paragraph)
    import os
    import sys

    from audiomem_sql.cli import output
    from audiomem_sql.errors import DamagedFileError, StorageError
    from audiomem_sql.machine.urls import is_url
    from audiomem_sql.shards import is_half_dropped, is_sharded
    from audiomem_sql.table.dropping import drop
    from audiomem_sql.table.reader import TableReader
    from audiomem_sql.table.stored_dropping import described

    said = "what is left of a table"
    if not is_half_dropped(file):
        try:
            with TableReader(file) as table:
                rows, versions = len(table), len(table.versions)
                size = output.size(table.files.size())
        except (DamagedFileError, StorageError):
            if not is_url(file) or is_sharded(file):
                raise
            said = described(file)
        else:
            said = f"{output.counted(rows, 'row')}, {output.counted(versions, 'version')}, {size}"
    if not yes:
        if not sys.stdin.isatty():
            raise OptionError(
                f"this deletes {said}", file=file, remedy="Pass --yes where nobody can be asked."
            )
        typer.confirm(f"{file}: delete {said}?", abort=True)
    deleted = drop(file)
    things = output.counted(len(deleted), "object" if is_url(file) else "file")
    facts = {"file": file, "deleted": [str(each) for each in deleted]}
    output.tell(facts, f"{file}: {said}: deleted in {things}", json)
    if os.path.isdir(file):
        output.note(f"audiomem: {file}: the folder stays: there are files in it that are not of the table.")
