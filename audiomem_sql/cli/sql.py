"""``audiomem sql``: one query over one or more files."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiomem_sql.cli.replica import Replicas
from audiomem_sql.errors import OptionError, QueryError, did_you_mean

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
        bool, typer.Option("--salvage", help="Read what is left where parts of a table are missing.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Read the rows that have arrived of a table that is on its way.")
    ] = False,
    on_damage: Annotated[
        str, typer.Option("--on-damage", help="fail, or skip rows that cannot be recovered.", metavar="WHAT")
    ] = "fail",
    replica: Replicas = None,
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
    connection = open_tables(
        files, salvage=salvage, on_damage=on_damage, partial=partial, replicas=replica or ()
    )
    printer = output.print_json_rows if json else output.print_csv_rows if csv else output.print_rows
    try:
        _print_results(connection, text, bindings, printer, one_only=json or csv)
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


def _print_results(
    connection: apsw.Connection,
    text: str,
    bindings: dict[str, Any],
    printer: Callable[[Sequence[str], Iterable[Sequence[Any]]], int],
    *,
    one_only: bool,
) -> None:
    """Run the statements in ``text``, and print what they give.

    QueryError for a second result where ``one_only``.
    """
    from audiomem_sql.cli import output

    started = time.perf_counter()
    printed = 0
    for names, rows in _results(connection, text, bindings):
        if printed and one_only:
            raise QueryError(
                "the query has several results", remedy="Leave --json and --csv out, or ask one by one."
            )
        count = printer(names, rows)
        printed += 1
        output.note(f"{output.counted(count, 'row')} in {time.perf_counter() - started:.2f} s")
    changed = connection.total_changes()
    if changed or not printed:
        output.note(f"{output.counted(changed, 'row')} changed in {time.perf_counter() - started:.2f} s")


def _results(
    connection: apsw.Connection, text: str, bindings: dict[str, Any]
) -> Iterator[tuple[Sequence[str], Iterable[tuple[Any, ...]]]]:
    """(column names, rows) of every statement that has columns, in turn; the others are run as they come."""
    import apsw

    cursor = connection.cursor()
    #: The statement that comes next, without what is behind it, and the names of its columns.
    traced: list[tuple[str, list[str]]] = []

    def trace(cursor: apsw.Cursor, statement: str, _: Any) -> bool:
        """Note the statement, and stop before it runs."""
        traced.append((statement, [column[0] for column in cursor.get_description()]))
        return False

    while text.strip():
        traced.clear()
        cursor.exec_trace = trace
        with contextlib.suppress(apsw.ExecTraceAbort):
            cursor.execute(text, bindings)
        cursor.exec_trace = None
        if not traced:
            return  # nothing but comments is left
        statement, names = traced[0]
        rows = cursor.execute(text[: len(statement)], bindings)
        if names:
            yield names, rows
        else:
            deque(rows, maxlen=0)
        text = text[len(statement) :]


def _parameter(argument: str) -> tuple[str, Any]:
    """NAME=VALUE; a value that is written like a number is one."""
    name, mark, value = argument.partition("=")
    name = name.lstrip(":@$")
    if not mark or not name:
        raise OptionError(f"{argument!r} is no parameter", remedy="Write -p name=value.")
    if not _NUMBER.fullmatch(value):
        return name, value
    if value.lstrip("-").isdigit() and -(2**63) <= int(value) < 2**63:
        return name, int(value)
    return name, float(value)


def _remedy(connection: apsw.Connection, message: str) -> str | None:
    kind, _, name = message.partition(": ")
    if kind not in ("no such table", "no such column"):
        return None
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    if kind == "no such table":
        return f"{did_you_mean(name, tables)}The tables are: {', '.join(tables)}."
    columns = [
        row[1]
        for table in tables
        for row in connection.execute("SELECT * FROM pragma_table_info(?)", (table,))
    ]
    known = ", ".join(dict.fromkeys(columns))
    return f"{did_you_mean(name.rpartition('.')[2], columns)}The columns are: {known}."
