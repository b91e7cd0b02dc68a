"""``audiomem import``: files of rows into a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from audiomem_sql.cli.create import OptionList, parse_options
from audiomem_sql.cli.json_option import Json
from audiomem_sql.errors import OptionError

if TYPE_CHECKING:
    from audiomem_sql.importing.importing import Imported

_Paths = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders or globs of one kind: CSV, TSV, JSON, JSON Lines, Parquet; or one Excel, "
        "SQLite or DuckDB file; or - for stdin. Behind them the FLAC file.",
        metavar="SOURCE... FILE",
    ),
]
_Key = Annotated[str | None, typer.Option(help="The column that is the primary key.")]
_Types = Annotated[
    list[str] | None,
    typer.Option(help="Types of columns: price=REAL,zip=TEXT; can be repeated.", metavar="NAME=TYPE,..."),
]
_Append = Annotated[bool, typer.Option("--append", help="Add the rows to the table that is there.")]
_OnBadLine = Annotated[
    str, typer.Option(help="What becomes of lines that are no rows: refuse, skip or keep.", metavar="WHAT")
]
_BadLines = Annotated[
    str | None,
    typer.Option(help="The file for lines that are kept [default: FILE.bad.csv beside].", metavar="PATH"),
]
_Format = Annotated[
    str | None,
    typer.Option(help="csv, tsv, json, jsonl, parquet, xlsx, sqlite or duckdb [default: as the names say]."),
]
_TableName = Annotated[
    str | None, typer.Option("--table", help="Which table of a database, or sheet of a workbook.")
]
_Header = Annotated[
    bool, typer.Option("--header/--no-header", help="Whether the first line names the columns.")
]


def import_table(
    paths: _Paths,
    key: _Key = None,
    types: _Types = None,
    append: _Append = False,
    on_bad_line: _OnBadLine = "refuse",
    bad_lines: _BadLines = None,
    format: _Format = None,
    table: _TableName = None,
    header: _Header = True,
    option: OptionList = None,
    json: Json = False,
) -> None:
    """Make a table of files of rows, its columns with types: audiomem import data.csv kb.flac"""  # noqa: D400
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.importing.importing import Order, import_files

    if len(paths) < 2:
        raise OptionError("a source and a FLAC file are needed", remedy="audiomem import data.csv kb.flac")
    order = Order(
        key,
        _types(types or ()),
        append,
        on_bad_line,
        bad_lines,
        format,
        table,
        header,
        parse_options(option or ()),
    )
    with bar("bytes", "reading") as progress:
        done = import_files(paths[:-1], paths[-1], order, told=progress.to)
    output.tell(done.facts(), "\n".join(_lines(done)), json)


def _types(given: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Types by column; commas inside parentheses are those of a type."""
    types: dict[str, str] = {}
    for text in given:
        for part in re.split(r",(?![^()]*\))(?=[^=]*=)", text):
            name, mark, definition = part.partition("=")
            if not mark or not name.strip() or not definition.strip():
                raise OptionError(f"--types has {part!r:.80}", remedy="Write it as NAME=TYPE.")
            if name.strip() in types:
                raise OptionError(f"--types names {name.strip()} twice")
            types[name.strip()] = definition.strip()
    return types


def _lines(done: Imported) -> list[str]:
    from audiomem_sql.cli import output

    what = f"{output.counted(done.rows, 'row')} of {output.counted(done.files, 'file')}"
    lines = [f"{done.file}: {what}, {output.size(done.bytes)}, version {done.version}"]
    lines.append(f"  {', '.join(done.columns)}")
    if done.bad_lines:
        where = f"kept in {done.bad_lines_file}" if done.bad_lines_file else "left out"
        lines.append(
            f"  {output.counted(done.bad_lines, 'bad line')} {where}; the first: {done.first_bad_line}"
        )
    return lines
