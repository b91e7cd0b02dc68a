"""``audiomem repair``: make a damaged table what it was."""

from __future__ import annotations

from typing import Annotated

import typer


def repair(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    output_file: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", help="Write the repaired table here, and leave FILE as it is.", metavar="NEW"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write every damaged file of a table again, byte for byte as it was made. The table must have
    protection.
    """  # noqa: D205 (this is the help, one paragraph)
    import dataclasses

    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.machine.file_names import resolved
    from audiomem_sql.table.table import Table
    from audiomem_sql.upkeep.repair import repair_copy

    with Table(file) as table, bar("bytes") as progress:
        done = (
            table.repair(progress=progress.to)
            if output_file is None
            else repair_copy(table.snapshot, table.files, output_file, progress.to)
        )
    if json:
        output.print_json([dataclasses.asdict(each) for each in done])
        return
    for each in done:
        cells = output.counted(each.inner + each.outer, "cell")
        said = f"repaired, {cells} brought back" if each.changed else "was whole"
        name = file if each.file == resolved(file) else each.file
        print(f"{name}: {said}")
