"""``audiomem search``: the rows that answer a question."""

from __future__ import annotations

from json import loads
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audiomem_sql.table.table import Table

#: Words of a query without results that others are suggested for.
_MOST_SUGGESTED = 8


def search(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    query: Annotated[str, typer.Argument(help="A question, or some words.", metavar="QUERY")],
    k: Annotated[int, typer.Option("-k", help="Rows to show.", min=1)] = 10,
    where: Annotated[
        str | None,
        typer.Option("--where", help='Only rows for which this SQL is true, such as "year > 2020".'),
    ] = None,
    version: Annotated[str | None, typer.Option("--version", help="A version: number or tag.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The column to search.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the rows that answer QUERY best, in meaning, by their words or both, the best first."""
    from audiomem_sql.cli import output
    from audiomem_sql.columns.sql_values import sql_values
    from audiomem_sql.table.table import Table

    with Table(file, version=version) as table:
        results = table.search(query, k=k, where=where, column=column)
        if json:
            values = [
                sql_values(results[column.name].combine_chunks(), column.type)
                for column in table.schema.columns
            ]
            added = [column.to_pylist() for column in results.columns[len(values) :]]
            rows = zip(*values, *added, strict=True)
            output.print_json_rows(results.column_names, rows)
            return
        added_names = results.column_names[len(table.schema) :]
        schema = table.schema
        semantic = (each.name for each in schema.columns if each.semantic)
        long = schema[column].name if column else next(semantic, None)
        for number, row in enumerate(results.to_pylist(), 1):
            _show(number, row, added_names, long)
        if not results.num_rows:
            words = _suggested(table, query, column)
            output.note(f"nothing was found; did you mean {words}?" if words else "nothing was found")


def _suggested(table: Table, query: str, column: str | None) -> str | None:
    """The query with words that the table has in the place of those that it lacks; None if there are none."""
    if not table.schema.indexed_columns:
        return None
    words = query.split()[:_MOST_SUGGESTED]
    suggested = [next(iter(table.suggest(word, 1, column=column)), word) for word in words]
    changed = [word.lower() for word in words] != [word.lower() for word in suggested]
    return " ".join(suggested) if changed else None


def _show(number: int, row: dict[str, Any], added_names: list[str], long: str | None) -> None:
    """One result: its place, distance and short values on a line, its longest text below.

    Of a long text the passage that was found. added_names: of distance and, if there is one, passage.
    long: the column whose texts have passages.
    """
    from rich.text import Text

    from audiomem_sql.cli import output

    distance = row.pop(added_names[0])
    passage = row.pop(added_names[1]) if len(added_names) > 1 else None
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    longest = long if passage is not None else max(texts, key=lambda name: len(texts[name]), default=None)
    short = "  ".join(
        f"{name}={output.cell(value)}" for name, value in row.items() if name != longest and value is not None
    )
    out = output.console()
    out.print(
        Text(f"{number:3}. ", style="bold")
        + Text("words  " if distance is None else f"{distance:.3f}  ", style="cyan")
        + Text(output.printable(short))
    )
    if longest is not None:
        start, end = (0, None) if passage is None else loads(passage)
        body = ("…" if start else "") + " ".join(texts[longest][start:end].split())
        out.print(Text("     " + output.printable(body[:300] + ("…" if len(body) > 300 else ""))))
