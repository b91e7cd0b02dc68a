"""``audiomem convert``: stores of other programs into tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from audiomem_sql.cli.create import OptionList, parse_options

if TYPE_CHECKING:
    from audiomem_sql.conversion.convert import Converted


_Source = Annotated[
    str,
    typer.Argument(
        help="A folder of Chroma, LanceDB, Qdrant's local mode or LangChain's FAISS; "
        "a SQLite file of sqlite-vec, FTS5 or llm; an index of FAISS.",
        metavar="SOURCE",
    ),
]
_Target = Annotated[
    str,
    typer.Argument(help="The FLAC file to make; or a folder, for a file of each collection.", metavar="FILE"),
]
_Collection = Annotated[str | None, typer.Option(help="Which collection or table of the source.")]
_Texts = Annotated[
    str | None,
    typer.Option(
        help="Where the texts of the vectors are: a table of the same SQLite file; "
        "for FAISS a file of JSON Lines, JSON or Parquet."
    ),
]
_TextColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--text-column",
        help="A column to search by its words; can be repeated. By default those called text, body, …",
    ),
]
_Key = Annotated[str | None, typer.Option(help="The column that is the primary key.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def convert(
    source: _Source,
    target: _Target,
    collection: _Collection = None,
    texts: _Texts = None,
    text_column: _TextColumn = None,
    key: _Key = None,
    dry_run: _DryRun = False,
    option: OptionList = None,
    json: _Json = False,
) -> None:
    """Move a vector store into a table: ids, texts, metadata, and vectors as they are."""
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.conversion.collection import Wishes
    from audiomem_sql.conversion.convert import convert as made

    wishes = Wishes(texts, tuple(text_column) if text_column else None, key)
    done = []
    with bar("rows", "reading") as progress:

        def told(name: str, rows: int, total: int) -> None:
            progress.doing(name)
            progress.to(rows, total)

        for each in made(
            source,
            target,
            collection=collection,
            wishes=wishes,
            options=parse_options(option or ()),
            dry_run=dry_run,
            told=told,
        ):
            done.append(each)
            if not json:
                for line in _lines(each, source):
                    progress.say(line, sys.stdout)
    if json:
        output.print_json([each.facts() for each in done])


def _lines(done: Converted, source: str) -> list[str]:
    from audiomem_sql.cli import output

    vectors = ", ".join(f"{name} of {width} numbers" for name, width in done.vectors.items())
    what = f"{output.counted(done.rows, 'row')} of {done.collection} ({done.kind})"
    what += f", vectors {vectors}" if vectors else ", no vectors"
    lines = [f"{done.file or 'would be made'}: {what}", f"  {done.columns}"]
    if done.file_bytes is not None:
        lines.append(
            f"  {output.size(done.source_bytes)} in {source}, {output.size(done.file_bytes)} in {done.file}"
        )
    return lines + [f"  note: {note}" for note in done.notes]
