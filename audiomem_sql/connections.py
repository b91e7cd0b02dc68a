"""Connections with everything registered: the virtual table module, the table functions, the scalar functions.

apsw's connections, and DuckDB's.
"""

from __future__ import annotations

import os
from typing import Any

import apsw

from audiomem_sql import udfs, vtab
from audiomem_sql.columns.column import quote
from audiomem_sql.errors import StorageError
from audiomem_sql.loadable import load_for_apsw
from audiomem_sql.table_reader import TableReader

__all__ = ["attach", "connect", "install_hook", "register", "register_duckdb"]


def register(connection: apsw.Connection) -> None:
    """Make ``connection`` know module ``audiomem`` and all functions.

    By the loadable extension where it was built: its table is several times as fast. Otherwise, and with AUDIOMEM_EXTENSION=off
    in the environment, by the table that is written in Python. Both give the same rows and raise the same errors.
    """
    if not load_for_apsw(connection):
        vtab.register(connection)
        udfs.register(connection)


def install_hook() -> None:
    """Register with every apsw connection that this process opens from now on.

    apsw's shell and peewee's APSWDatabase then see the module without a word, and so does whatever else opens apsw
    connections. (SQLAlchemy's own SQLite dialect takes no apsw connection.) Calling it twice is harmless.
    """
    if register not in apsw.connection_hooks:
        apsw.connection_hooks.append(register)


def connect(path: str | os.PathLike[str], table: str | None = None) -> apsw.Connection:
    """A connection to the table in a FLAC file; it is called ``table``, by default like the file.

    Raises what :func:`audiomem_sql.open` raises.
    """
    full = os.path.abspath(path)
    if not os.path.exists(full):
        raise StorageError(
            "there is no such file", file=path, remedy="Check the path, or create the table first."
        )
    name = table or os.path.splitext(os.path.basename(full))[0]
    connection = apsw.Connection(":memory:")
    if register not in apsw.connection_hooks:
        register(connection)
    try:
        literal = full.replace("'", "''")
        connection.execute(f"CREATE VIRTUAL TABLE {quote(name)} USING audiomem('{literal}')")
    except BaseException:
        connection.close()
        raise
    return connection


def register_duckdb(connection: Any) -> None:
    """Make a DuckDB connection know our table functions and scalar functions.

    ``audiomem_scan('notes.flac', version := 3)``, ``audiomem_search('notes.flac', 'text', k := 10)``,
    ``audiomem_top('notes.flac', 'year DESC', k := 10)``, ``audiomem_snapshots('notes.flac')``, ``audiomem_changes('notes.flac', 2)``; ``embed``, ``cosine_distance``,
    ``l2_distance``, ``vec_from_json``, ``vec_to_json``, ``highlight``, ``snippet``, ``audiomem_version``. A cursor is a
    connection of its own. OptionError for anything but a connection of DuckDB, MissingExtraError without the package.
    """
    from audiomem_sql.udfs import duckdb_functions
    from audiomem_sql.vtab import duckdb as door

    door.check_connection(connection)
    duckdb_functions.register(connection)
    door.register(connection, duckdb_functions.replace_function)


def attach(connection: Any, table: TableReader | str | os.PathLike[str], name: str | None = None) -> str:
    """Make a table known to a DuckDB connection by ``name``, by default the file's; the name.

    Every query sees what is committed by then; columns and filters reach the scan. Writing is for Python and SQLite.
    """
    from audiomem_sql.vtab import duckdb as door

    path = table.path if isinstance(table, TableReader) else os.fspath(table)
    called = name or os.path.splitext(os.path.basename(path))[0]
    door.attach(connection, table if isinstance(table, TableReader) else path, called)
    return called
