"""``audiomem map``: the rows of a table on a plane, as a picture or in characters."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from audiomem_sql.cli.json_option import Json

if TYPE_CHECKING:
    from audiomem_sql.table.table_map import TableMap

#: Colours of the letters, which tell the clusters even without them.
_STYLES = (
    "bright_blue",
    "bright_red",
    "bright_green",
    "bright_yellow",
    "bright_cyan",
    "bright_magenta",
    "blue",
    "red",
    "green",
)
_WIDTH, _HEIGHT = 100, 30


def map_table(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    picture: Annotated[
        str | None, typer.Option("-o", "--output", help="The picture to make: .png, .svg or .pdf.")
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="Clusters to make.")] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="The column whose vectors are compared.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", help='Only rows for which this SQL is true, such as "year > 2020".'),
    ] = None,
    version: Annotated[str | None, typer.Option("--version", help="A version: number or tag.")] = None,
    json: Json = False,
) -> None:
    """Draw the rows near each other where their vectors are, with words for each cluster."""
    from audiomem_sql.cli import output
    from audiomem_sql.table.table import Table

    with Table(file, version=version) as table:
        drawn = table.map(column, k, where=where)
    if picture is not None:
        drawn.save(picture)
    if picture is not None or json:
        facts = {"file": file, "picture": picture, "title": drawn.title, "legend": list(drawn.legend())}
        output.tell(facts, f"{picture}: {drawn.title}", json)
    else:
        _show(drawn)


def _show(drawn: TableMap) -> None:
    """The map in characters, as large as the terminal."""
    from rich.text import Text

    from audiomem_sql.cli import output
    from audiomem_sql.table.table_map import LETTERS

    out = output.console()
    size = shutil.get_terminal_size((_WIDTH, _HEIGHT)) if out.is_terminal else (_WIDTH, _HEIGHT)
    lines = max(10, size[1] - len(drawn.clusters) - 3)
    out.print(Text(output.printable(drawn.title), style="bold"))
    styles = {letter: _STYLES[place % len(_STYLES)] for place, letter in enumerate(LETTERS)}
    for letters in drawn.letters(max(20, size[0] - 1), lines):
        text = Text(no_wrap=True)
        for letter in "".join(letters).rstrip():
            text.append(letter, styles.get(letter))
        out.print(text)
    for line in drawn.legend():
        out.print(Text(line[0], styles.get(line[0], "")) + Text(output.printable(line[1:])))
