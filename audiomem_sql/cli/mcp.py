"""``audiomem mcp``: tables for assistants."""

from __future__ import annotations

from typing import Annotated

import typer


def mcp(
    files: Annotated[
        list[str], typer.Argument(help="Tables; each is called like its file.", metavar="FILE...")
    ],
    writable: Annotated[bool, typer.Option("--writable", help="Assistants may add texts.")] = False,
    http: Annotated[
        bool, typer.Option("--http", help="Listen on 127.0.0.1, in the place of stdin and stdout.")
    ] = False,
    port: Annotated[int, typer.Option(help="The port of --http; 0 for a free one.", min=0, max=65535)] = 8765,
    tokens: Annotated[
        str | None,
        typer.Option(
            help="The file of the tokens of --http (audiomem token add); --writable needs one.",
            metavar="FILE",
        ),
    ] = None,
    statement_timeout: Annotated[float, typer.Option(help="Seconds of work on a request.")] = 30.0,
    max_rows: Annotated[int, typer.Option(help="Most rows of an answer.", min=1)] = 1000,
) -> None:
    """Let assistants search, read and query tables, over the Model Context Protocol.

    It only reads, unless --writable says otherwise. An assistant starts it itself, as the command
    `audiomem mcp FILE`; with --http it is asked at http://127.0.0.1:8765/mcp.
    """
    from audiomem_sql.cli.output import note
    from audiomem_sql.mcp import check_extra

    check_extra()
    from audiomem_sql.mcp.server import run
    from audiomem_sql.serve.settings import Limits

    run(
        files,
        Limits(statement_seconds=statement_timeout, rows=max_rows, threads=4),
        writable=writable,
        address=("127.0.0.1", port) if http else None,
        tokens=tokens,
        started=lambda url: note(f"serving assistants at {url}"),
    )
