"""``audiomem open``: the place that a row comes from, in the program that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from audiomem_sql.cli.json_option import Json

if TYPE_CHECKING:
    from audiomem_sql.cli.places import Place
    from audiomem_sql.table.table import Table


def open_place(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    row: Annotated[
        str, typer.Argument(help="The id of the row, as `audiomem search` shows it.", metavar="ID")
    ],
    version: Annotated[str | None, typer.Option("--version", help="A version: number or tag.")] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the command, and the URL of a place; open nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Open what a row comes from, at its place: a page of a PDF, a line of a text, a second of a recording.

    Texts are opened in $VISUAL or $EDITOR, others in the program that the desktop has for them.
    """
    import shlex
    import subprocess

    from audiomem_sql.cli import output
    from audiomem_sql.cli.openers import command_for
    from audiomem_sql.errors import UnsupportedError
    from audiomem_sql.table.table import Table

    with Table(file, version=version) as table:
        place = _place(table, row)
    command = command_for(place, file)
    if json:
        path = place.path(file)
        facts = {"source": place.source, "place": place.place, "path": path, "link": place.link(file)}
        output.print_json({**facts, "command": command})
    elif only_print:
        print(output.printable(shlex.join(command)))
        print(output.printable(place.link(file)))
    if json or only_print:
        return 0
    try:
        return subprocess.run(command, check=False).returncode
    except OSError as error:
        raise UnsupportedError(
            f"{command[0]} cannot be started ({error.strerror})",
            remedy="Set EDITOR, or see the place with --print.",
        ) from None


def _place(table: Table, row: str) -> Place:
    """The place of the row with this id. QueryError if there is none, SchemaError for other tables."""
    from audiomem_sql.cli.places import Place
    from audiomem_sql.columns.lexemes import quote, text_literal
    from audiomem_sql.errors import QueryError, SchemaError
    from audiomem_sql.scan import fetch_rows

    schema = table.schema
    if "source" not in schema:
        raise SchemaError(
            "the table has no column source, which says where its rows come from",
            file=table.path,
            remedy="`audiomem ingest` makes tables that have one.",
        )
    names = [name for name in ("source", "place") if name in schema]
    key = next((column for column in schema.columns if column.primary_key and not column.is_rowid), None)
    found: dict[str, list[object]]
    if key is not None:
        found = table.to_arrow(names, f"{quote(key.name)} = {text_literal(row)}").to_pydict()
    else:
        import numpy as np

        try:
            rowids = np.array([int(row)], np.int64)
        except (ValueError, OverflowError):
            raise QueryError(f"{row!r:.40} is no id", file=table.path, remedy="Pass a number.") from None
        exist, arrays = fetch_rows(table.snapshot, rowids, [schema.index(name) for name in names])
        found = (
            {name: array.to_pylist() for name, array in zip(names, arrays, strict=False)}
            if exist.any()
            else {}
        )
    values = {name: column[0] for name, column in found.items() if column}
    if not values:
        raise QueryError(f"there is no row {row}", file=table.path, remedy="`audiomem search` shows ids.")
    place = Place.of_row(values)
    if place is None:
        raise QueryError(f"row {row} has no source", file=table.path, remedy="It was not ingested.")
    return place
