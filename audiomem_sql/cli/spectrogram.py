"""``audiomem spectrogram``: a picture of a table."""

from __future__ import annotations

from typing import Annotated

import typer


def spectrogram(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    picture: Annotated[
        str, typer.Argument(help="The picture to make: .png, .svg or .pdf.", metavar="PICTURE")
    ],
) -> None:
    """Draw what a table sounds like: frequencies over time, bands and their health, pages and damage."""
    from audiomem_sql.spectrogram import draw
    from audiomem_sql.table import Table

    with Table(file) as table:
        draw(table.snapshot, picture)
    print(f"{picture}: {file}")
