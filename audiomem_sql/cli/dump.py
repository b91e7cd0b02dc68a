"""``audiomem dump``: a table as SQL for plain SQLite."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Annotated, TextIO

import typer


def dump(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    output_file: Annotated[
        str | None, typer.Option("-o", "--output", help="Where the SQL goes; must be free [default: stdout].")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="A number or a tag [default: the newest].")
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", help="The name of the table [default: the file's].")
    ] = None,
) -> None:
    """Print SQL that makes the table in plain SQLite: audiomem dump notes.flac | sqlite3 notes.db

    The `.dump` of a shell has no rows of a virtual table.
    """  # noqa: D400 (this is the help)
    from audiomem_sql.table.reader import TableReader
    from audiomem_sql.table.sql_dump import dump as lines

    with TableReader(file, version=version) as opened:
        script = lines(opened, table)
        first = next(script)  # what is wrong with the name shows before a file is made
        if output_file is None:
            reconfigure = getattr(sys.stdout, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(encoding="utf-8", errors="strict")
            _write(sys.stdout, first, script)
            return
        with _new_file(output_file) as stream:
            _write(stream, first, script)


@contextlib.contextmanager
def _new_file(path: str) -> Iterator[TextIO]:
    """A file that must not be there yet, and is not if writing it fails: half a table is none."""
    from audiomem_sql.machine.durable import storage_error

    made = False
    try:
        with open(path, "x", encoding="utf-8", newline="") as stream:
            made = True
            yield stream
    except BaseException as error:
        if made:
            os.unlink(path)
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise


def _write(stream: TextIO, first: str, others: Iterator[str]) -> None:
    stream.write(first + "\n")
    stream.writelines(f"{line}\n" for line in others)
