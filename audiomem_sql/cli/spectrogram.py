"""``audiomem spectrogram``: a picture of a table."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from audiomem_sql.cli import output
from audiomem_sql.cli.json_option import Json
from audiomem_sql.errors import OptionError


def spectrogram(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    picture: Annotated[
        str | None, typer.Argument(help="The picture to make: .png, .svg or .pdf.", metavar="[PICTURE]")
    ] = None,
    cover: Annotated[
        bool, typer.Option("--cover", help="Put a square picture into the file, which players show.")
    ] = False,
    json: Json = False,
) -> None:
    """Draw what a table sounds like: frequencies over time, bands and their health, pages and damage."""
    from audiomem_sql.sound.spectrogram import draw, draw_cover
    from audiomem_sql.table.table import Table

    if picture is None and not cover:
        raise OptionError("there is nothing to draw to", remedy="Name a picture, or pass --cover.")
    facts: dict[str, Any] = {"file": file}
    lines: list[str] = []
    with Table(file) as table:
        if picture is not None:
            draw(table.snapshot, picture)
            facts["picture"] = picture
            lines.append(f"{picture}: {file}")
        if cover:
            drawing = draw_cover(table.snapshot)
            table.set_cover(drawing)
            shape = f"{drawing.width} by {drawing.height} pixels"
            facts["cover"] = {"width": drawing.width, "height": drawing.height, "bytes": len(drawing.data)}
            lines.append(f"{file}: cover of {shape}, {output.size(len(drawing.data))}")
    output.tell(facts, "\n".join(lines), json)
