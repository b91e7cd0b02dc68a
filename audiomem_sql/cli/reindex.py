"""``audiomem reindex``: search a table by words or by meaning, too, or no longer."""

from __future__ import annotations

from typing import Annotated

import typer

_Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="A column of TEXT; can be repeated [default: title and body]."),
]
_Tokenize = Annotated[
    str | None, typer.Option("--tokenize", help="How texts become words, such as 'snowball english'.")
]
_Passages = Annotated[
    str | None,
    typer.Option("--passages", help="Whether long texts are cut for the model: on, off or its tokens."),
]
_VectorCodes = Annotated[
    str | None, typer.Option("--vector-codes", help="How finely vectors are kept: compact or fine.")
]


def reindex(  # a parameter for each option of the command
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    add: Annotated[
        str | None, typer.Option("--add", help="words, or semantic: by meaning.", metavar="INDEX")
    ] = None,
    drop: Annotated[
        str | None, typer.Option("--drop", help="words, or semantic: what goes.", metavar="INDEX")
    ] = None,
    column: _Columns = None,
    tokenize: _Tokenize = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model for meaning, such as all-MiniLM-L6-v2.")
    ] = None,
    model_backend: Annotated[
        str | None, typer.Option("--model-backend", help="What runs the model: torch or onnx.")
    ] = None,
    passages: _Passages = None,
    vector_codes: _VectorCodes = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Add an index of words, or vectors for a search by meaning, to the rows that are there, or drop it.

    It is done in place, as new versions; older ones keep what they had. Stopped, it goes on when run again.
    Without --add and --drop, all rows and indexes are written anew.
    """
    from audiomem_sql.cli import output
    from audiomem_sql.cli.new_table import searched_by
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.table import Table

    with Table(file) as table, bar("rows") as progress:
        progress.doing("making vectors" if add == "semantic" else "writing the rows again")
        try:
            table.reindex(
                add=add,
                drop=drop,
                columns=column,
                tokenize=tokenize,
                model=model,
                model_backend=model_backend,
                passages=passages,
                vector_codes=vector_codes,
                progress=progress.to,
            )
        except KeyboardInterrupt:
            table.rollback()
            table.refresh()
            output.note(
                f"audiomem: version {table.version} of {file} has what was done. "
                "Run the same command again to go on."
            )
            raise
        facts = {"file": file, "version": table.version, "rows": len(table), **searched_by(table)}
        if table.schema.semantic_columns:
            facts |= {"model": table.options.model, "model_backend": table.options.model_backend}
    words, meaning = (", ".join(facts[name]) or "none" for name in ("words", "meaning"))
    rows = output.counted(facts["rows"], "row")
    line = f"{file}: {rows}, version {facts['version']}; words: {words}; meaning: {meaning}"
    output.tell(facts, line, json)
    return 0
