"""``audiomem search``: the rows that answer a question."""

from __future__ import annotations

from json import loads
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pyarrow as pa

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
    ranking: Annotated[
        str | None,
        typer.Option("--ranking", help='How to rank, such as "fusion=rrf, weight=0.5" or "rerank=MODEL".'),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the figures that each score is made of.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the rows that answer QUERY best, in meaning, by their words or both, the best first."""
    from audiomem_sql.cli import output
    from audiomem_sql.columns.sql_values import sql_values
    from audiomem_sql.errors import InFile
    from audiomem_sql.search import Ranking
    from audiomem_sql.table.table import Table

    with InFile(file):
        options = Ranking.parse(ranking).options
    with Table(file, version=version) as table:
        if explain:
            _explain(table.explain(query, k=k, where=where, column=column, **options), json)
            return
        results = table.search(query, k=k, where=where, column=column, **options)
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


def _explain(rows: pa.Table, json: bool) -> None:
    """The figures of each row: their sum on a line, then a line for each kind, and one for each word."""
    from json import loads

    from audiomem_sql.cli import output

    if json:
        output.print_json_rows(rows.column_names, (list(row.values()) for row in rows.to_pylist()))
        return
    for row in rows.to_pylist():
        reranked = "" if row["reranked"] is None else f"  reranked {row['reranked']:.4f}"
        lines = [f"{row['rank']:3}. {row['key']}  score {row['score']:.4f}{reranked}"]
        lines += [
            f"       {_kind(row, kind, value)}"
            for kind, value in (("meaning", "cosine"), ("words", "bm25"))
            if row[f"{kind}_part"] is not None
        ]
        for word in loads(row["words"] or "[]"):
            repeat = "" if word["repeat"] == 1 else f"{word['repeat']} × "
            product = f"{repeat}idf {word['idf']:.4f} × tf {word['tf']:.4f} = {word['score']:.4f}"
            lines.append(f"         {word['word']}: {product}")
        print("\n".join(map(output.printable, lines)))


def _kind(row: dict[str, Any], kind: str, value: str) -> str:
    """What one kind adds to a score, and where that comes from."""
    place = f"{kind} {row[f'{kind}_rank'] or 'beyond'}"
    said = f"{value} {row[value]:.4f}" if row[value] is not None else ""
    if row[f"{kind}_mean"] is not None:
        said += f" (mean {row[f'{kind}_mean']:.4f}, deviation {row[f'{kind}_deviation']:.4f})"
    return f"{place}: {row[f'{kind}_weight']:.2f} × {row[f'{kind}_part']:.4f}  {said}".rstrip()


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
