"""``audiomem search``: the rows that answer a question."""

from __future__ import annotations

import re
from functools import partial
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiomem_sql.cli.replica import Replicas

if TYPE_CHECKING:
    import pyarrow as pa

    from audiomem_sql.search import RankingOptions
    from audiomem_sql.table.table import Table

#: Words of a query without results that others are suggested for.
_MOST_SUGGESTED = 8
#: A vector of a column that is named before it.
_NAMED = re.compile(r"([^=\[{]+)=(.+)", re.DOTALL)


def search(  # noqa: PLR0913  # a parameter for each option of the command
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    query: Annotated[str | None, typer.Argument(help="A question, or some words.", metavar="[QUERY]")] = None,
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
    vector: Annotated[
        list[str] | None,
        typer.Option(
            "--vector",
            help="Search for a vector: a JSON array, or a file with one, a .npy file, or one of float32. "
            "COLUMN=… where several columns have some; beside QUERY, both count.",
            metavar="FILE|JSON",
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option("--weight", help="How much words, meaning or a column counts.", metavar="NAME=NUMBER"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    replica: Replicas = None,
) -> None:
    """Find the rows that answer QUERY best, in meaning, by their words or both, the best first.

    Or those that are nearest to a vector; or both.
    """
    from audiomem_sql.errors import InFile
    from audiomem_sql.search import Ranking
    from audiomem_sql.table.table import Table

    with InFile(file):
        options = Ranking.parse(ranking).options
    asked = _vectors(vector or [])
    given = _weights(weight or [])
    with Table(file, version=version, replicas=replica) as table:
        weights = _without_columns(given, table, options) or None
        find = partial(table.explain if explain else table.search, query, k=k, where=where, column=column)
        results = find(vector=asked, weights=weights, **options)
        if explain:
            _explain(results, json)
            return
        if json:
            _print_json(table, results, file)
            return
        _print(table, results, column, file)
        if not results.num_rows:
            _print_nothing(table, query, column)


def _print(table: Table, results: pa.Table, column: str | None, file: str) -> None:
    added_names = results.column_names[len(table.schema) :]
    semantic = (each.name for each in table.schema.columns if each.semantic)
    long = table.schema[column].name if column else next(semantic, None)
    for number, row in enumerate(results.to_pylist(), 1):
        _show(number, row, added_names, long, file)


def _print_nothing(table: Table, query: str | None, column: str | None) -> None:
    from audiomem_sql.cli import output

    words = None if query is None else _suggested(table, query, column)
    output.note(f"nothing was found; did you mean {words}?" if words else "nothing was found")


def _print_json(table: Table, results: pa.Table, file: str) -> None:
    """The rows with their distances, and, of ingested ones, a link to where each comes from."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.places import Place
    from audiomem_sql.columns.sql_values import sql_values

    values = [
        sql_values(results[column.name].combine_chunks(), column.type) for column in table.schema.columns
    ]
    added = [column.to_pylist() for column in results.columns[len(values) :]]
    names, columns = list(results.column_names), [*values, *added]
    if "source" in table.schema and "link" not in names:
        about = [name for name in ("source", "place") if name in table.schema]
        rows = (
            dict(zip(about, row, strict=True))
            for row in zip(*(values[table.schema.index(name)] for name in about), strict=True)
        )
        names.append("link")
        columns.append([None if (place := Place.of_row(row)) is None else place.link(file) for row in rows])
    output.print_json_rows(names, zip(*columns, strict=True))


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
        if row["passages"] is not None:
            best = f"{row['passage']} cosine {row['passage_cosine']:.4f}"
            lines.append(f"         best of {row['passages']} passages: {best}")
        for each in loads(row["vectors"] or "[]"):
            figures = {f"{each['column']}_{name}": each[name] for name in each}
            lines.append(f"       {_kind(figures, each['column'], each['column'] + '_score')}")
        for word in loads(row["words"] or "[]"):
            repeat = "" if word["repeat"] == 1 else f"{word['repeat']} × "
            product = f"{repeat}idf {word['idf']:.4f} × tf {word['tf']:.4f} = {word['score']:.4f}"
            lines.append(f"         {word['word']}: {product}")
        print("\n".join(map(output.printable, lines)))


def _kind(row: dict[str, Any], kind: str, value: str) -> str:
    """What one kind adds to a score, and where that comes from."""
    place = f"{kind} {row[f'{kind}_rank'] or 'beyond'}"
    said = f"{value.removeprefix(f'{kind}_')} {row[value]:.4f}" if row[value] is not None else ""
    if row[f"{kind}_mean"] is not None:
        said += f" (mean {row[f'{kind}_mean']:.4f}, deviation {row[f'{kind}_deviation']:.4f})"
    return f"{place}: {row[f'{kind}_weight']:.2f} × {row[f'{kind}_part']:.4f}  {said}".rstrip()


def _vectors(given: list[str]) -> Any:
    """What is searched for as a vector: one, or a dict of them by the names of columns; None: nothing."""
    from audiomem_sql.errors import OptionError

    if not given:
        return None
    if len(given) == 1 and _is_one(given[0]):
        return _vector(given[0])
    vectors: dict[str, Any] = {}
    for text in given:
        named = None if _is_one(text) else _NAMED.fullmatch(text)
        if named is None:
            raise OptionError("several vectors, and one without a column", remedy="Write --vector COLUMN=…")
        if named[1] in vectors:
            raise OptionError(f"column {named[1]} has two vectors", remedy="Write one of them.")
        vectors[named[1]] = _vector(named[2])
    return vectors


def _is_one(text: str) -> bool:
    """Whether a vector stands without the name of a column; a file may have = in its name."""
    return _NAMED.fullmatch(text) is None or Path(text).is_file()


def _vector(text: str) -> Any:
    """A vector that is written as JSON, or what a file holds of it."""
    import io

    import numpy as np

    from audiomem_sql.errors import DataTypeError, StorageError

    if text.lstrip().startswith(("[", "{")):
        return text
    path = Path(text)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"the vector cannot be read: {reason}", file=text, remedy="Pass a file, or a JSON array."
        ) from None
    if content.startswith(b"\x93NUMPY"):
        try:
            return np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise DataTypeError(f"the file is no array: {error!s:.80}", file=text) from None
    if content.lstrip()[:1] == b"[" and content.rstrip()[-1:] == b"]":
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content
    return content


def _weights(given: list[str]) -> dict[str, float]:
    """What ``--weight`` says, by name."""
    from audiomem_sql.errors import OptionError

    weights: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if name in weights:
            raise OptionError(f"{name} has two weights", remedy=f"Write --weight {name}=… once.")
        try:
            weights[name] = float(number)
        except ValueError:
            raise OptionError(f"--weight {text} is no weight", remedy="Write --weight words=2") from None
    return weights


def _without_columns(weights: dict[str, float], table: Table, options: RankingOptions) -> dict[str, float]:
    """The weights of words, meaning and vectors; ``options`` is given those of INDEXED columns."""
    from audiomem_sql.columns.column import fold
    from audiomem_sql.errors import OptionError

    indexed = {fold(table.schema.columns[place].name) for place in table.schema.indexed_columns}
    by_column = {name for name in weights if fold(name) in indexed and name not in ("words", "meaning")}
    if by_column:
        if "column_weights" in options:
            raise OptionError("weights of columns are said twice", remedy="Write --weight NAME=… alone.")
        options["column_weights"] = {name: weights[name] for name in by_column}
    return {name: weight for name, weight in weights.items() if name not in by_column}


def _suggested(table: Table, query: str, column: str | None) -> str | None:
    """The query with words that the table has in the place of those that it lacks; None if there are none."""
    if not table.schema.indexed_columns:
        return None
    words = query.split()[:_MOST_SUGGESTED]
    suggested = [next(iter(table.suggest(word, 1, column=column)), word) for word in words]
    changed = [word.lower() for word in words] != [word.lower() for word in suggested]
    return " ".join(suggested) if changed else None


def _show(number: int, row: dict[str, Any], added_names: list[str], long: str | None, file: str) -> None:
    """One result: its number, distance and short values on a line, its longest text and its place below.

    Of a long text the passage that was found. added_names: of distance and, if there is one, passage.
    long: the column whose texts have passages.
    """
    from rich.text import Text

    from audiomem_sql.cli import output
    from audiomem_sql.cli.places import Place, shown

    place = Place.of_row(row)
    if place is not None:
        row = {name: value for name, value in row.items() if name not in ("source", "place")}

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
    if place is not None:
        print("     " + shown(place, file))
