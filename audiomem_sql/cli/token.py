"""``audiomem token``: who may ask a server."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json

app = typer.Typer(
    help="Tokens for `audiomem serve`: make them, list them, take them back.", rich_markup_mode=None
)
_File = Annotated[str, typer.Argument(help="The file of the tokens.", metavar="FILE")]
_Name = Annotated[str, typer.Argument(help="What the token is called, in lists and logs.")]


@app.command()
def add(
    file: _File,
    name: _Name,
    read: Annotated[
        list[str] | None, typer.Option(help="A table of which it may read rows; * for all.", metavar="TABLE")
    ] = None,
    download: Annotated[
        list[str] | None, typer.Option(help="A table whose file it may read; * for all.", metavar="TABLE")
    ] = None,
    write: Annotated[
        list[str] | None, typer.Option(help="A table to which it may add rows; * for all.", metavar="TABLE")
    ] = None,
    upkeep: Annotated[
        list[str] | None,
        typer.Option(help="A table that it may vacuum, scrub, reembed, reshard; * for all.", metavar="TABLE"),
    ] = None,
    days: Annotated[float | None, typer.Option(help="Days until it is over; never by default.")] = None,
    json: Json = False,
) -> None:
    """Make a token, and print it: FILE has its digest alone. Without a table it reads all of them."""
    import time

    from audiomem_sql.cli import output
    from audiomem_sql.serve.tokens import ALL_TABLES, add_token

    tables: dict[str, list[str]] = {}
    given = (("read", read), ("file", download), ("write", write), ("upkeep", upkeep))
    for scope, names in given:
        for table in names or ():
            tables.setdefault(table, []).append(scope)
    expires = None if days is None else time.time() + 86400 * days
    tables = tables or {ALL_TABLES: ["read", "file"]}
    token = add_token(file, name, tables, expires)
    output.tell({"name": name, "token": token, "tables": tables, "expires": expires}, token, json)


@app.command("list")
def list_tokens(file: _File, json: Json = False) -> None:
    """List the tokens in FILE: their names, and what they may do."""
    from datetime import UTC, datetime

    from audiomem_sql.cli import output
    from audiomem_sql.serve.tokens import TokenFile

    tokens = TokenFile(file).tokens()
    if json:
        output.print_json(
            [
                {
                    "name": token.name,
                    "tables": {table: sorted(scopes) for table, scopes in sorted(token.tables.items())},
                    "expires": token.expires,
                }
                for token in tokens
            ]
        )
        return
    for token in tokens:
        scopes = ", ".join(f"{table}: {' '.join(scopes)}" for table, scopes in sorted(token.tables.items()))
        until = (
            "" if token.expires is None else f"  until {datetime.fromtimestamp(token.expires, UTC):%Y-%m-%d}"
        )
        print(output.printable(f"{token.name}  {scopes}{until}"))


@app.command()
def remove(file: _File, name: _Name) -> None:
    """Take a token back; servers that use FILE follow at once."""
    from audiomem_sql.serve.tokens import remove_token

    remove_token(file, name)
