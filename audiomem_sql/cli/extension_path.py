"""``audiomem extension-path``: what to load in a database's own shell."""

from __future__ import annotations

from typing import Annotated

import typer


def extension_path(
    database: Annotated[str, typer.Argument(help="What loads it: sqlite or duckdb.", metavar="DATABASE")],
) -> int:
    """Print the path of the extension that makes a database know FLAC tables."""
    from audiomem_sql.loadable import loadable_path

    print(loadable_path(database))
    return 0
