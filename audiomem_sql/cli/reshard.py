"""``audiomem reshard``: another number of shards, shards of other weights, or one that is split."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def reshard(
    file: Annotated[str, typer.Argument(help="The folder of a sharded table.", metavar="FOLDER")],
    to: Annotated[int | None, typer.Option("--to", help="How many shards there are to be.")] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="How much of the table each shard is to have, such as 2,1,1."),
    ] = None,
    split: Annotated[
        int | None, typer.Option("--split", help="The number of a shard, half of which goes to a new one.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be moved, and change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Have other shards. Others read and write meanwhile; a reshard that was killed goes on.

    Without --to, --weights and --split it goes on with what was begun.
    """
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table import resharding

    given = _weights(weights)
    if dry_run:
        plan = resharding.planned(file, to, weights=given, split=split)
        output.tell({"file": file, "dry_run": True, "plan": str(plan)}, f"{file}: would move {plan}", json)
        return
    with bar("buckets") as progress:
        plan = resharding.reshard(file, to, weights=given, split=split, progress=progress.to)
    output.tell({"file": file, "dry_run": False, "plan": str(plan)}, f"{file}: moved {plan}", json)


def _weights(text: str | None) -> list[float] | None:
    """Numbers with commas between them. BadParameter for what are none."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        message = f"{text!r:.60} are no weights; write 2,1,1"
        raise typer.BadParameter(message, param_hint="--weights") from None
