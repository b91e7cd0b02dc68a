"""``audiomem extension-path``: what to load in a database's own shell."""

from __future__ import annotations

from typing import Annotated

import typer


def extension_path(
    database: Annotated[str, typer.Argument(help="The database that loads it: sqlite.", metavar="DATABASE")],
) -> int:
    """Print the path of the extension that makes a database know FLAC tables."""
    from audiomem_sql.errors import OptionError
    from audiomem_sql.loadable import loadable_path

    if database != "sqlite":
        raise OptionError(f"there is no extension for {database}", remedy="Known: sqlite.")
    print(loadable_path())
    return 0
