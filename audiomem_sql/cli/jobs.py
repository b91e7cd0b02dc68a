"""``audiomem jobs``: what is known of the jobs of a server."""

from __future__ import annotations

from typing import Annotated

import typer


def jobs(
    file: Annotated[
        str, typer.Argument(help="The first table of the server, or its --jobs folder.", metavar="FILE")
    ],
    limit: Annotated[int, typer.Option(help="Most jobs.", min=1)] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the jobs that a server on this machine knows, newest first."""
    import os
    from dataclasses import asdict

    from audiomem_sql.cli import output
    from audiomem_sql.errors import OptionError
    from audiomem_sql.jobs.records import DATABASE, listed_in

    folder = next((each for each in (f"{file}-jobs", file) if os.path.exists(f"{each}/{DATABASE}")), None)
    if folder is None:
        raise OptionError("no server has had jobs here", file=file, remedy="Name its --jobs folder.")
    known = listed_in(folder, limit)
    if json:
        output.print_json([{**asdict(job), "arguments": None} for job in known])
        return
    for job in known:
        problem = "" if job.problem is None else f"  {job.problem['detail']}"
        line = (
            f"{job.id}  {job.table}  {job.kind:8}  {job.state:11}  {job.progress:4.0%}  {job.stage}{problem}"
        )
        print(output.printable(line))
