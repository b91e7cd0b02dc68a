"""``audiomem stream``: a table as a stream that players play, and that is read while it arrives."""

from __future__ import annotations

from typing import Annotated

import typer


def stream(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    where: Annotated[
        str, typer.Argument(help="An empty or new folder, or s3://bucket/folder.", metavar="FOLDER")
    ],
    version: Annotated[
        str | None, typer.Option("--version", help="A number or a tag [default: the newest].")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="How long a media segment is, about.")] = 6.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a table as HLS: playlists, and FLAC in fragmented MP4. Others may go on writing to it."""
    from dataclasses import asdict

    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.table import Table

    with Table(file) as table, bar("work") as progress:
        made = table.stream(where, version, seconds=seconds, progress=progress.to)
    if json:
        output.print_json(asdict(made))
        return
    print(
        f"{made.playlist}: version {made.version} of {file}, {output.counted(made.rows, 'row')}, "
        f"{output.counted(made.segments, 'media segment')} of {output.seconds(made.seconds)} in all"
    )
    print(f"{made.table}: the table, for audiomem")
