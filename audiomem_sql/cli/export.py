"""``audiomem export``: rows of a table into a file of another program."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json
from audiomem_sql.errors import OptionError


def export(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    target: Annotated[
        str,
        typer.Argument(
            help="The file to write: .csv, .tsv, .json, .jsonl, .parquet, .xlsx, .db or .duckdb, texts "
            "also with .gz or .zst; or - for stdout.",
            metavar="TARGET",
        ),
    ],
    columns: Annotated[str | None, typer.Option(help="Columns, in the order wanted: a,b.")] = None,
    where: Annotated[str | None, typer.Option(help='Only rows that pass: "year > 2020".')] = None,
    version: Annotated[str | None, typer.Option(help="A number or a tag [default: the newest].")] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="csv, tsv, json, jsonl, parquet, xlsx, sqlite or duckdb [default: as the name says]."
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option("--table", help="The table in a database, or the sheet [default: the file's name]."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a table, or some of it, to a file of another program: audiomem export kb.flac out.csv"""  # noqa: D400
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.exporting.exporting import STDOUT, export_table
    from audiomem_sql.table.reader import TableReader

    if json and target == STDOUT:
        raise OptionError("--json tells of a file", remedy="Leave it out, or name a file.")
    chosen = None if columns is None else [name.strip() for name in columns.split(",")]
    with TableReader(file, version=version) as opened, bar("rows", "writing") as progress:
        done = export_table(
            opened,
            target,
            kind=format,
            columns=chosen,
            where=where,
            name=table,
            stdout=sys.stdout.buffer if target == STDOUT else None,
            told=progress.to,
        )
    if target != STDOUT:
        size = output.size(done.bytes or 0)
        output.tell(done.facts(), f"{target}: {output.counted(done.rows, 'row')}, {size}", json)
