"""Connections with everything registered: the virtual table module, the table functions, the scalar functions."""

from __future__ import annotations

import os

import apsw

from audiomem_sql import udfs, vtab
from audiomem_sql.columns.column import quote
from audiomem_sql.errors import StorageError
from audiomem_sql.loadable import load_for_apsw

__all__ = ["connect", "install_hook", "register"]


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
