"""``audiomem repair``: make a damaged table what it was."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.replica import Replicas


def repair(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    output_file: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", help="Write the repaired table here, and leave FILE as it is.", metavar="NEW"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    replica: Replicas = None,
) -> int:
    """Write every damaged file of a table again, byte for byte as it was made. The table must have
    protection, or copies: with --replica, FILE and every copy that is damaged are made whole from the others.
    """  # noqa: D205 (this is the help, one paragraph)
    import dataclasses

    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.errors import OptionError
    from audiomem_sql.machine.file_names import place_of
    from audiomem_sql.machine.urls import is_url
    from audiomem_sql.table.copying import repair_copy
    from audiomem_sql.table.table import Table

    if replica:
        return _heal(file, replica, json, output_file)
    if is_url(file):
        if output_file is not None:
            raise OptionError(
                "--output repairs a copy of a local table",
                remedy="`audiomem backup` copies what is at a URL, repaired.",
            )
        from audiomem_sql.upkeep.repair_stored import repair_stored

        with bar("objects") as progress:  # also where the table cannot be opened
            done = repair_stored(file, progress.to)
    else:
        with Table(file) as table, bar("bytes") as progress:
            done = (
                table.repair(progress=progress.to)
                if output_file is None
                else repair_copy(table.snapshot, table.files, output_file, progress.to)
            )
    if json:
        output.print_json([dataclasses.asdict(each) for each in done])
        return 0
    for each in done:
        cells = output.counted(each.inner + each.outer, "cell")
        said = f"repaired, {cells} brought back" if each.changed else "was whole"
        name = file if each.file == place_of(file) else each.file
        print(f"{name}: {said}")
    return 0


def _heal(file: str, replicas: list[str], json: bool, output_file: str | None) -> int:
    """Make every copy whole; 1 if one is not."""
    from dataclasses import asdict

    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.errors import OptionError
    from audiomem_sql.upkeep.healing import heal
    from audiomem_sql.versions import copy_places

    if output_file is not None:
        raise OptionError(
            "--output and --replica exclude each other",
            remedy="A whole copy is made by audiomem backup FILE NEW --replica PLACE.",
        )
    with bar("copies") as progress:
        done = heal(copy_places(file, replicas), progress.to)
    if json:
        output.print_json([asdict(each) for each in done])
    for each in done if not json else ():
        said = f"written anew, {each.different:,} bytes were different" if each.changed else "was whole"
        print(f"{each.place}: {f'still not whole: {each.fault}' if each.fault else said}")
    return int(any(each.fault for each in done))
