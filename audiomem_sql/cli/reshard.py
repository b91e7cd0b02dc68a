"""``audiomem reshard``: another number of shards."""

from __future__ import annotations

from typing import Annotated

import typer


def reshard(
    file: Annotated[str, typer.Argument(help="The folder of a sharded table.", metavar="FOLDER")],
    to: Annotated[int, typer.Option("--to", help="How many shards there are to be.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be moved, and change nothing.")
    ] = False,
) -> None:
    """Have another number of shards. Others read and write meanwhile; a reshard that was killed goes on."""
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table import resharding

    if dry_run:
        print(f"{file}: would move {resharding.planned(file, to)}")
        return
    with bar("buckets") as progress:
        plan = resharding.reshard(file, to, progress=progress.to)
    print(f"{file}: moved {plan}")
