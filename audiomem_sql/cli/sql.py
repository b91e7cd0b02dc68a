"""``audiomem sql``: one query over one or more files."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiomem_sql.errors import OptionError, QueryError

if TYPE_CHECKING:
    import apsw

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def sql(
    files: Annotated[
        list[str], typer.Argument(help="FLAC files; each is a table called like the file.", metavar="FILE...")
    ],
    query: Annotated[str, typer.Argument(help="SQL, or - to read it from stdin.", metavar="QUERY")],
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter", "-p", metavar="NAME=VALUE", help="A value for :NAME in the query; can be repeated."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array of objects.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Read what is left where deltas of a table are missing.")
    ] = False,
    on_damage: Annotated[
        str, typer.Option("--on-damage", help="fail, or skip rows that cannot be recovered.", metavar="WHAT")
    ] = "fail",
) -> int:
    """Run SQL and print what it gives. INSERT, UPDATE and DELETE change the files."""
    import apsw

    from audiomem_sql.cli import output
    from audiomem_sql.cli.tables import open_tables

    if json and csv:
        raise OptionError("--json and --csv exclude each other")
    bindings = dict(map(_parameter, parameter or ()))
    text = sys.stdin.read() if query == "-" else query
    if not text.strip():
        raise OptionError(
            "the query is empty", remedy='Write for example: audiomem sql notes.flac "SELECT * FROM notes"'
        )
    if on_damage not in ("fail", "skip"):
        raise OptionError(f"--on-damage is fail or skip, not {on_damage!r}")
    connection = open_tables(files, salvage=salvage, on_damage=on_damage)
    started = time.perf_counter()
    printer = output.print_json_rows if json else output.print_csv_rows if csv else output.print_rows
    shown = 0
    try:
        for names, rows in _results(connection, text, bindings):
            if shown and (json or csv):
                raise QueryError(
                    "the query has several results", remedy="Leave --json and --csv out, or ask one by one."
                )
            count = printer(names, rows)
            shown += 1
            output.note(f"{output.counted(count, 'row')} in {time.perf_counter() - started:.2f} s")
        changed = connection.total_changes()
        if changed or not shown:
            output.note(f"{output.counted(changed, 'row')} changed in {time.perf_counter() - started:.2f} s")
    except apsw.Error as error:
        raise QueryError(f"SQL: {error}", remedy=_remedy(connection, str(error))) from None
    except KeyError as error:
        raise QueryError(
            f"SQL: there is no value for the parameter {error.args[0]}",
            remedy=f"Give it one: -p {error.args[0]}=…",
        ) from None
    finally:
        connection.close(True)
    return 0


def _results(
    connection: apsw.Connection, text: str, bindings: dict[str, Any]
) -> Iterator[tuple[Sequence[str], Iterable[tuple[Any, ...]]]]:
    """(column names, rows) of every statement that has columns, in turn; the others are run as they come."""
    import apsw

    cursor = connection.cursor()
    seen: list[tuple[str, list[str]]] = []

    def look(at: apsw.Cursor, statement: str, _: Any) -> bool:
        seen.append((statement, [column[0] for column in at.get_description()]))
        return False

    while text.strip():
        seen.clear()
        cursor.exec_trace = look
        with contextlib.suppress(apsw.ExecTraceAbort):
            cursor.execute(text, bindings)
        cursor.exec_trace = None
        if not seen:
            return  # nothing but comments is left
        statement, names = seen[0]
        rows = cursor.execute(text[: len(statement)], bindings)
        if names:
            yield names, rows
        else:
            deque(rows, maxlen=0)
        text = text[len(statement) :]


def _parameter(given: str) -> tuple[str, Any]:
    """NAME=VALUE; a value that is written like a number is one."""
    name, mark, value = given.partition("=")
    name = name.lstrip(":@$")
    if not mark or not name:
        raise OptionError(f"{given!r} is no parameter", remedy="Write -p name=value.")
    if not _NUMBER.fullmatch(value):
        return name, value
    if value.lstrip("-").isdigit() and -(2**63) <= int(value) < 2**63:
        return name, int(value)
    return name, float(value)


def _remedy(connection: apsw.Connection, message: str) -> str | None:
    if not message.startswith("no such table"):
        return None
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return f"The tables are: {', '.join(tables)}."
