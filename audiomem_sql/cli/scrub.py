"""``audiomem scrub``: look for damage slowly, beside other work."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def scrub(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    rate: Annotated[float, typer.Option("--rate", help="Megabytes a second, at most.", min=0.001)] = 8.0,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what is found, if it can be.")] = False,
    json: Json = False,
) -> int:
    """Read all of a table at a bounded rate, list what is damaged, and repair it if asked. Meant for cron."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.scrubbing import scrub as slowly
    from audiomem_sql.table.table import Table

    problems: list[str] = []
    with Table(file) as table:
        with bar("pages") as progress:
            for problem in slowly(table, rate * 1e6):
                problems.append(str(problem))
                if not json:
                    progress.say(str(problem))
        if problems and repair:
            table.repair()
    line = f"{file}: all well"
    if problems:
        line = f"{file}: {output.counted(len(problems), 'problem')}{', repaired' if repair else ''}"
    output.tell({"file": file, "problems": problems, "repaired": bool(problems) and repair}, line, json)
    return 0 if repair or not problems else 1
