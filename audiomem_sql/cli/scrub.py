"""``audiomem scrub``: look for damage slowly, beside other work."""

from __future__ import annotations

from typing import Annotated

import typer


def scrub(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    rate: Annotated[float, typer.Option("--rate", help="Megabytes a second, at most.", min=0.001)] = 8.0,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what is found, if it can be.")] = False,
) -> int:
    """Read all of a table at a bounded rate, list what is damaged, and repair it if asked. Meant for cron."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.scrubbing import scrub as slowly
    from audiomem_sql.table.table import Table

    problem_count = 0
    with Table(file) as table:
        with bar("pages") as progress:
            for problem in slowly(table, rate * 1e6):
                problem_count += 1
                progress.say(str(problem))
        if problem_count and repair:
            table.repair()
    if not problem_count:
        print(f"{file}: all well")
        return 0
    print(f"{file}: {output.counted(problem_count, 'problem')}{', repaired' if repair else ''}")
    return 0 if repair else 1
