"""FLAC files as tables of one SQLite connection in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiomem_sql.cli.output import note
from audiomem_sql.errors import OptionError, StorageError

if TYPE_CHECKING:
    import apsw

#: Steps of SQLite's machine between two looks at Ctrl-C; some hundredths of a second.
_STEPS = 1_000_000


def open_tables(
    files: Sequence[str],
    *,
    salvage: bool = False,
    on_damage: str = "fail",
    partial: bool = False,
    replicas: Sequence[str] = (),
) -> apsw.Connection:
    """A connection that has each file as a table called like it, without folder and extension.

    salvage: of tables whose files are not all there, what is left, to be read only. on_damage: fail, or skip
    rows. partial: of tables that have not arrived as a whole, the rows that are there. replicas: where else
    the one file is.

    OptionError for replicas of several files, and when two would have the same name; and what opening a
    table raises.
    """
    import apsw

    from audiomem_sql.columns.column import fold, quote
    from audiomem_sql.columns.table_names import path_literal, table_name
    from audiomem_sql.connections import register
    from audiomem_sql.machine.file_names import absolute, is_there, resolved

    if replicas and len(files) != 1:
        raise OptionError("--replica is for one FILE", remedy="Ask one table at a time.")
    with contextlib.suppress(apsw.MisuseError):  # the log can be had only before the process has connections
        apsw.config(apsw.SQLITE_CONFIG_LOG, _noted)
    connection = apsw.Connection(":memory:")
    register(connection)
    # SQLite's own loops never come back to Python, where Ctrl-C is noticed.
    connection.set_progress_handler(lambda: False, _STEPS)
    files_by_name: dict[str, str] = {}
    for file in files:
        if not replicas and not is_there(file) and not (salvage and os.path.isdir(resolved(file) + ".d")):
            raise StorageError(
                "there is no such file",
                file=file,
                remedy="Check the path, or make it with `audiomem create`.",
            )
        name = table_name(file, remedy=f"Make a link that is called otherwise: ln -s {file} notes.flac")
        other = files_by_name.setdefault(fold(name), file)
        if other is not file:
            raise OptionError(
                f"{other} and {file} would both be the table {name}",
                remedy="Rename one, or use them one at a time.",
            )
        literal = path_literal(absolute(file))
        how = (", salvage=on" if salvage else "") + (", partial=on" if partial else "")
        how += f", on_damage='{on_damage}'" if on_damage != "fail" else ""
        if replicas:
            places = ", ".join(absolute(place) for place in replicas).replace("'", "''")
            how += f", replicas='{places}'"
        connection.execute(f"CREATE VIRTUAL TABLE {quote(name)} USING audiomem({literal}{how})")
    return connection


def _noted(code: int, message: str) -> None:
    """Pass on what SQLite's log says of our tables, such as that DROP TABLE leaves the file."""
    if message.startswith("audiomem: "):
        note(message)
