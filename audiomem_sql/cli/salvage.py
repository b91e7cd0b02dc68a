"""``audiomem salvage``: a new table of all that can still be read of a broken one."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def salvage(
    file: Annotated[str, typer.Argument(help="The broken FLAC file.", metavar="BROKEN")],
    output_file: Annotated[
        str, typer.Option("-o", "--output", help="Where the new table goes; must be free.", metavar="NEW")
    ],
    protection: Annotated[
        str, typer.Option("--protection", help="Of the new table: none, standard or archive.")
    ] = "archive",
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Also rows of which some columns are lost, with NULL for these."),
    ] = False,
    json: Json = False,
) -> None:
    """Write the rows that can be read to a new table. What is missing is named on stderr, row by row.

    Of deltas that are missing, and of cells that nothing brings back, the rest is saved: the newest rows,
    with their rowids. Where no copy of the catalog is left, neither at the front nor at the end, blocks are
    found by their labels.
    """
    from audiomem_sql.cli import output
    from audiomem_sql.table.table import Table

    kept = 0
    with Table(file, salvage=True, on_damage="null" if partial else "skip") as broken:
        rows = len(broken)
        with Table.salvaged(broken, output_file, {"protection": protection}) as saved:
            kept = len(saved)
            facts = {"file": file, "output": output_file, "rows": rows, "saved": kept}
            output.tell(facts, f"{output_file}: {kept:,} of {output.counted(rows, 'row')} saved", json)
    if kept < rows and not partial:
        output.note("`--partial` also saves rows of which only some columns are lost, with NULL for these.")
