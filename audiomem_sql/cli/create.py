"""``audiomem create``: an empty table in a new file, or in a folder of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json
from audiomem_sql.errors import OptionError, SchemaError

OptionList = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", metavar="NAME=VALUE", help="An option as in CREATE VIRTUAL TABLE; can be repeated."
    ),
]


def create(
    file: Annotated[str, typer.Argument(help="The FLAC file or folder to make.", metavar="FILE")],
    columns: Annotated[
        list[str],
        typer.Argument(
            metavar="COLUMN...", help='Definitions, one an argument: "id INTEGER PRIMARY KEY" "body TEXT".'
        ),
    ],
    profile: Annotated[
        str | None, typer.Option(help="Shape of the sound: auto, server, desktop, mobile or embedded.")
    ] = None,
    protection: Annotated[str | None, typer.Option(help="Protection level.")] = None,
    compression_level: Annotated[int | None, typer.Option(help="zstd level, 1 to 22.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Of SEMANTIC columns, such as all-MiniLM-L6-v2, or hashing.")
    ] = None,
    model_backend: Annotated[str | None, typer.Option(help="What runs the model: torch or onnx.")] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            help="Make a folder with so many files, whose rows are one table [default: 16 of FILE.shards]."
        ),
    ] = None,
    shard_key: Annotated[
        str | None, typer.Option(help="Columns whose hash says which file a row is in: a,b.")
    ] = None,
    option: OptionList = None,
    json: Json = False,
) -> int:
    """Make an empty table in a new file, or in a folder of several."""
    from audiomem_sql.cli import output
    from audiomem_sql.table.table import Table

    options = parse_options(option or ())
    for name, value in (
        ("profile", profile),
        ("protection", protection),
        ("compression_level", compression_level),
        ("model", model),
        ("model_backend", model_backend),
        ("shards", shards),
        ("shard_key", shard_key),
    ):
        if value is not None:
            if name in options:
                raise OptionError(f"the option {name} is given twice")
            options[name] = str(value)
    try:
        with Table.create(file, columns, options) as table:
            columns = [column.sql() for column in table.schema.visible.columns]
            facts = {"file": file, "columns": columns, "options": table.options.to_catalog()}
            output.tell(facts, f"{file}: {table.schema.sql()}", json)
    except SchemaError as error:
        raise OptionError(error.what, place=error.place, remedy=error.remedy) from None
    return 0


def parse_options(arguments: Sequence[str]) -> dict[str, str]:
    """``name=value`` options as a dict; OptionError for what is none."""
    from audiomem_sql.columns.arguments import parse_options

    return parse_options(
        name.replace("-", "_") + mark + value for name, mark, value in (o.partition("=") for o in arguments)
    )
