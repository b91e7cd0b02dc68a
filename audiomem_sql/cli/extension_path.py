"""``audiomem extension-path``: what to load in a database's own shell."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def extension_path(
    database: Annotated[str, typer.Argument(help="What loads it: sqlite or duckdb.", metavar="DATABASE")],
    json: Json = False,
) -> int:
    """Print the path of the extension that makes a database know FLAC tables."""
    from audiomem_sql.cli import output
    from audiomem_sql.loadable import loadable_path

    path = str(loadable_path(database))
    output.tell({"database": database, "path": path}, path, json)
    return 0
