"""Connections with everything registered: the virtual table, table functions, scalar functions.

apsw's connections, and DuckDB's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from audiomem_sql.columns.parameters import TEXTS, parameter_text
from audiomem_sql.errors import DataTypeError, StorageError, UnsupportedError
from audiomem_sql.loadable import load_for_apsw, loadable_path
from audiomem_sql.machine.file_names import absolute, stem
from audiomem_sql.machine.urls import is_url

if TYPE_CHECKING:
    import apsw

    from audiomem_sql.table.reader import TableReader

#: Parameters of a statement, in order or by name.
Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]
_CONVERTED = (*TEXTS, np.generic)

__all__ = ["attach", "bindable", "connect", "install_hook", "load", "register", "register_duckdb"]


def register(connection: apsw.Connection) -> None:
    """Make ``connection`` know module ``audiomem`` and all functions.

    By the loadable extension where it was built: its table is several times as fast. Otherwise, and with
    AUDIOMEM_EXTENSION=off in the environment, by the table that is written in Python. Both give the same rows
    and raise the same errors. With apsw 3.51 and newer, parameters may be dates, times and datetimes, unless
    the connection converts its parameters by itself (``convert_binding``).
    """
    from audiomem_sql import udfs, vtab

    if getattr(connection, "convert_binding", False) is None:
        connection.convert_binding = _convert_binding
    if not load_for_apsw(connection):
        vtab.register(connection)
        udfs.register(connection)


def bindable(parameters: Parameters) -> Parameters:
    """Parameters as SQLite takes them.

    Dates, times, decimals, UUIDs and numpy's numbers are what they are in SQL.

    DataTypeError, naming the parameter, for one that SQL has no text for.
    """
    values = parameters.values() if isinstance(parameters, Mapping) else parameters
    if not any(isinstance(value, _CONVERTED) for value in values):
        return parameters
    if isinstance(parameters, Mapping):
        return {name: _bound(value, f":{name}") for name, value in parameters.items()}
    return [_bound(value, str(number)) for number, value in enumerate(parameters, start=1)]


def _bound(value: Any, name: str) -> Any:
    if isinstance(value, TEXTS):
        try:
            return parameter_text(value)
        except DataTypeError as error:
            error.at(place=f"parameter {name}")
            raise
    return value.item() if isinstance(value, np.generic) else value


def _convert_binding(cursor: apsw.Cursor, number: int, value: Any) -> Any:
    """What apsw asks for a parameter that SQLite has no type for."""
    if isinstance(value, _CONVERTED):
        return _bound(value, str(number))
    raise DataTypeError(
        f"a value of type {type(value).__name__} is none that SQL has",
        place=f"parameter {number}",
        remedy="Pass None, int, float, str, bytes, or a date, time or datetime",
    )


def load(connection: Any, *, every_connection: bool = False) -> None:
    """Make a connection know module ``audiomem`` and all functions.

    connection: of sqlite3, pysqlite3 or anything else with ``enable_load_extension`` and ``load_extension``;
    loading is allowed for this one file only. An ``apsw.Connection`` is registered with, and needs no
    extension. A connection of DuckDB gets its table functions; it must have been opened with
    ``allow_unsigned_extensions``. UnsupportedError where the connection cannot load any; MissingExtraError
    where it was not built.

    every_connection: so does every connection that the same module opens in this process from now on, for
    programs that open some of their own accord. Not for DuckDB: UnsupportedError.
    """
    if type(connection).__module__ in ("duckdb", "_duckdb"):
        _load_duckdb(connection, every_connection)
        return
    known = sys.modules.get("apsw")
    if known is not None and isinstance(connection, known.Connection):
        register(connection)
        if every_connection:
            install_hook()
        return
    if not hasattr(connection, "enable_load_extension"):
        raise UnsupportedError(
            f"this {type(connection).__module__}.{type(connection).__name__} cannot load extensions",
            remedy="Python was built without them. Run: pip install pysqlite3-binary, and use the module "
            "pysqlite3 in place of sqlite3; or use audiomem_sql.connect",
        )
    path = loadable_path()
    connection.enable_load_extension(True)
    try:
        connection.load_extension(path)
        if every_connection:  # the name of the other entry point; not all modules have an argument for it
            connection.execute("SELECT load_extension(?, 'audiomem_every_connection')", (path,)).fetchall()
    finally:
        connection.enable_load_extension(False)


def _load_duckdb(connection: Any, every_connection: bool) -> None:
    if every_connection:
        raise UnsupportedError(
            "DuckDB loads an extension into one database, for all connections to that one",
            remedy="Load it into each database, without every_connection.",
        )
    path = loadable_path("duckdb").replace("'", "''")
    (allowed,) = connection.execute("SELECT current_setting('allow_unsigned_extensions')").fetchone()
    if not allowed:
        raise UnsupportedError(
            "this connection of DuckDB loads only DuckDB's own extensions",
            remedy="Open it so: duckdb.connect(path, config={'allow_unsigned_extensions': 'true'})",
        )
    connection.execute(f"LOAD '{path}'")
    from audiomem_sql.vtab.duckdb.write_function import WRITING_MACRO

    # where the second interface of DuckDB has made it, it is there for every connection of the database
    known = "SELECT 1 FROM duckdb_functions() WHERE function_name = ? AND function_type = 'table_macro'"
    if not connection.execute(
        known, [WRITING_MACRO.name]
    ).fetchall():  # all, or DuckDB 2.0 holds the connection
        connection.execute(WRITING_MACRO.statement())


def install_hook() -> None:
    """Register with every apsw connection that this process opens from now on.

    apsw's shell and peewee's APSWDatabase then see the module without a word, and so does whatever else opens
    apsw connections. (SQLAlchemy's own SQLite dialect takes no apsw connection.) Calling it twice is
    harmless.
    """
    import apsw

    if register not in apsw.connection_hooks:
        apsw.connection_hooks.append(register)


def connect(
    path: str | os.PathLike[str],
    table: str | None = None,
    *,
    cache: str | Sequence[str] | None = None,
    partial: bool = False,
    replicas: str | Sequence[str] | None = None,
) -> apsw.Connection:
    """A connection to the table in a FLAC file; it is called ``table``, by default like the file.

    cache, partial, replicas: as of :func:`audiomem_sql.open`; no name of a tier or a place has a comma.
    Raises what that raises, and OptionError where SQL cannot have such a name.
    """
    import apsw

    from audiomem_sql.columns.column import quote
    from audiomem_sql.columns.table_names import path_literal, table_name

    full = absolute(path)
    if not is_url(full) and not replicas and not os.path.exists(full):
        raise StorageError(
            "there is no such file", file=path, remedy="Check the path, or create the table first."
        )
    name = table_name(full, table or None, remedy="Give it another: connect(path, table='notes').")
    connection = apsw.Connection(":memory:")
    if register not in apsw.connection_hooks:
        register(connection)
    try:
        options = _list_option("cache", cache) + _list_option("replicas", replicas)
        options += ", partial=on" if partial else ""
        connection.execute(
            f"CREATE VIRTUAL TABLE {quote(name)} USING audiomem({path_literal(full)}{options})"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _list_option(name: str, value: str | Sequence[str] | None) -> str:
    """An option that is a list as an argument of the module; none for None."""
    if value is None:
        return ""
    text = (value if isinstance(value, str) else ", ".join(value)).replace("'", "''")
    return f", {name}='{text}'"


def register_duckdb(connection: Any) -> None:
    """Make a DuckDB connection know our table functions and scalar functions.

    ``audiomem_scan('notes.flac', version := 3)``, ``audiomem_search('notes.flac', 'text', k := 10)``,
    ``audiomem_top('notes.flac', 'year DESC', k := 10)``, ``audiomem_snapshots('notes.flac')``,
    ``audiomem_changes('notes.flac', 2)``, ``audiomem_nearest('notes.flac', vector, 5)``; ``embed``,
    ``cosine_distance``, ``l2_distance``, ``vec_from_json``, ``vec_to_json``, ``highlight``, ``snippet``,
    ``audiomem_version``. A cursor is a connection of its own.
    OptionError for anything but a connection of DuckDB, MissingExtraError without the package.
    """
    from audiomem_sql.udfs import duckdb_functions
    from audiomem_sql.vtab.duckdb import python as door

    door.check_connection(connection)
    duckdb_functions.register(connection)
    door.register(connection, duckdb_functions.replace_function)


def attach(connection: Any, table: TableReader | str | os.PathLike[str], name: str | None = None) -> str:
    """Make a table known to a DuckDB connection by ``name``, by default the file's; the name.

    Every query sees what is committed by then; columns and filters reach the scan. Writing is for Python and
    SQLite.
    """
    from audiomem_sql.table.reader import TableReader
    from audiomem_sql.vtab.duckdb import python as door

    path = table.path if isinstance(table, TableReader) else os.fspath(table)
    called = name or stem(path)
    door.attach(connection, table if isinstance(table, TableReader) else path, called)
    return called
