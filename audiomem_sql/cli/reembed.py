"""``audiomem reembed``: all vectors of a table anew, with another model if wanted."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json


def reembed(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    model: Annotated[
        str | None, typer.Option("--model", help="The model from now on, such as all-MiniLM-L6-v2.")
    ] = None,
    model_backend: Annotated[
        str | None, typer.Option("--model-backend", help="What runs it from now on: torch or onnx.")
    ] = None,
    passages: Annotated[
        str | None,
        typer.Option(
            "--passages", help="on: cut texts that are longer than the model's window; off; or its tokens."
        ),
    ] = None,
    vector_codes: Annotated[
        str | None, typer.Option("--vector-codes", help="How finely vectors are kept: compact or fine.")
    ] = None,
    json: Json = False,
) -> None:
    """Make the vectors of all rows anew. Older versions keep theirs until a vacuum; stopped, it goes on
    when run again.
    """  # noqa: D205 (this is the help, one paragraph)
    from audiomem_sql.cli import output
    from audiomem_sql.cli.ingest_summary import model_of
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.table import Table

    with Table(file) as table, bar("rows") as progress:
        progress.doing(f"embedding with {model or table.options.model}")
        version = table.reembed(
            model,
            model_backend=model_backend,
            progress=progress.to,
            passages=passages,
            vector_codes=vector_codes,
        )
        rows = output.counted(len(table), "row")
        facts = {"file": file, "version": version, "rows": len(table), "model": table.options.model}
        facts |= {"model_backend": table.options.model_backend, "vector_codes": table.options.vector_codes}
        line = f"{file}: {rows} embedded with {model_of(table)}, version {version}"
        output.tell(facts, line, json)
