"""``audiomem clusters``: what the rows of a table are about."""

from __future__ import annotations

from typing import Annotated

import typer


def clusters(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    k: Annotated[int | None, typer.Option("-k", help="Clusters to make.")] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="The column whose vectors are compared.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", help='Only rows for which this SQL is true, such as "year > 2020".'),
    ] = None,
    version: Annotated[str | None, typer.Option("--version", help="A version: number or tag.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Say of each row which cluster it is in.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put the rows into clusters by their vectors, and name each by some words."""
    from audiomem_sql.cli import output
    from audiomem_sql.table.table import Table

    with Table(file, version=version) as table:
        make = table.cluster_rows if rows else table.clusters
        found = make(column, k, where=where)
        values = [tuple(row.values()) for row in found.to_pylist()]
        if json:
            output.print_json_rows(found.column_names, values)
        else:
            output.print_rows(found.column_names, values)
