"""``audiomem verify``: every fault in the files of a table."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from audiomem_sql.errors import DamagedFileError


def verify(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Read all of a table, and list everything that is damaged. The exit code is 1 if anything is."""
    import time

    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.table import Table
    from audiomem_sql.upkeep.verify import Problem, problems

    started = time.perf_counter()
    found: list[Problem] = []
    files = pages = rows = 0
    anew = "repair"
    try:
        with Table(file) as table:
            segments = table.snapshot.segments
            files, rows = len(segments), len(table)
            if any(segment.file.map is None for segment in segments):
                anew = "vacuum"  # there is no protection to repair with
            pages = sum(segment.file.page_count for segment in segments)
            with bar("pages") as progress:
                for problem in problems(table, progress.to):
                    found.append(problem)
                    if not json:
                        progress.say(str(problem), sys.stdout)
    except DamagedFileError as error:
        # Damage that keeps the table from being opened is a finding, too.
        what = f"{error.place}: {error.what}" if error.place else error.what
        found.append(Problem(error.file or file, None, (), what))
        if not json:
            print(found[-1])
    if json:
        listed: list[dict[str, Any]] = [
            {
                "file": problem.file,
                "page": problem.page,
                "cells": list(problem.cells),
                "problem": problem.what,
                "repair": problem.repair,
            }
            for problem in found
        ]
        output.print_json(
            {"file": file, "ok": not found, "files": files, "pages": pages, "rows": rows, "problems": listed}
        )
        return int(bool(found))
    took = f"in {time.perf_counter() - started:.1f} s"
    if found:
        what_to_do = (
            {
                "repair": "`audiomem repair` makes the file what it was.",
                "vacuum": f"All of it can be read; audiomem vacuum {file} writes it anew.",
            }[anew]
            if all(problem.repair for problem in found)
            else f"Restore the file from a copy, or save what is left: audiomem salvage {file} -o NEW"
        )
        output.note(f"audiomem: {file}: {output.counted(len(found), 'problem')} {took}. {what_to_do}")
        return 1
    print(
        f"{file}: all well: {output.counted(rows, 'row')}, {output.counted(pages, 'page')} "
        f"in {output.counted(files, 'file')}, {took}"
    )
    return 0
