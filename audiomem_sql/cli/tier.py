"""``audiomem tier``: storage classes of objects that only old versions use."""

from __future__ import annotations

from typing import Annotated

import typer


def tier(
    place: Annotated[
        str,
        typer.Argument(
            help="s3://bucket/backups/, a folder of table files; or a table with a manifest.", metavar="PLACE"
        ),
    ],
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="An age such as 90d.", metavar="AGE")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The class, such as STANDARD_IA or GLACIER.", metavar="CLASS")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be moved, and move nothing.")
    ] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Ask for what is archived at PLACE, to read it.")
    ] = False,
    days: Annotated[int, typer.Option("--days", help="How long it can be read then.")] = 7,
    speed: Annotated[str, typer.Option("--speed", help="Standard, Bulk or Expedited.")] = "Standard",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Move what only old versions use to another storage class of S3, or ask for what is archived."""
    from dataclasses import asdict

    from audiomem_sql.cli import output
    from audiomem_sql.errors import OptionError
    from audiomem_sql.remote import archive
    from audiomem_sql.upkeep.storage_classes import move_old, parse_age, restore_all

    if restore:
        if older_than is not None or to is not None or dry_run:
            raise OptionError("--restore asks for what is archived, and moves nothing")
        restored = restore_all(place, days, speed)
        if json:
            output.print_json([asdict(each) for each in restored])
        for asked in restored if not json else ():
            print(f"{asked.url}: {archive.told(asked)}")
        if not restored:
            output.note(f"audiomem: {place}: nothing of it is archived")
        return 0
    if older_than is None or to is None:
        raise OptionError("--older-than and --to are missing", remedy="Write --older-than 90d --to GLACIER.")
    moved = move_old(place, parse_age(older_than), to, dry_run=dry_run)
    if json:
        output.print_json([asdict(each) for each in moved])
    for each in moved if not json else ():
        said = each.fault or f"{'would be ' if dry_run else ''}moved from {each.before} to {each.after}"
        print(f"{each.url}: {output.size(each.size)}, {said}")
    if not moved:
        output.note(f"audiomem: {place}: nothing older than {older_than} can be moved")
        if not place.endswith("/"):
            divide = f"audiomem vacuum {place} --history {older_than}"
            output.note(f"`{divide}` puts rows that ended before apart, so that they can be.")
    return int(any(each.fault for each in moved))
