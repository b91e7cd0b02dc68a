"""``audiomem salvage``: a new table of all that can still be read of a broken one."""

from __future__ import annotations

from typing import Annotated

import typer


def salvage(
    file: Annotated[str, typer.Argument(help="The broken FLAC file.", metavar="BROKEN")],
    output_file: Annotated[
        str, typer.Option("-o", "--output", help="Where the new table goes; must be free.", metavar="NEW")
    ],
    protection: Annotated[
        str, typer.Option("--protection", help="Of the new table: none, standard or archive.")
    ] = "archive",
) -> None:
    """Write the rows that can be read to a new table. What is missing is named on stderr, row by row.

    Of deltas that are missing, and of cells that nothing brings back, the rest is saved: the newest rows, with their rowids.
    """
    from audiomem_sql.cli import output
    from audiomem_sql.table import Table

    with Table(file, salvage=True, on_damage="skip") as broken:
        rows = len(broken)
        with Table.salvaged(broken, output_file, {"protection": protection}) as saved:
            print(f"{output_file}: {len(saved):,} of {output.counted(rows, 'row')} saved")
