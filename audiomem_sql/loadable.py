"""The loadable extensions of SQLite and DuckDB: where they are, and what they ask Python for.

``audiomem.so`` is one file for every SQLite client and every CPython from 3.11 on,
``audiomem.duckdb_extension`` one for every DuckDB from 1.4 on; see docs/CLIENTS.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    import apsw

#: Beside this file, where the build leaves them.
_FILES = {"sqlite": "audiomem.so", "duckdb": "audiomem.duckdb_extension"}
_BUILD = {
    "sqlite": "Install a wheel; or a C compiler and SQLite's headers (on Debian: apt install gcc "
    "libsqlite3-dev), and then the "
    "package again. apsw needs no extension: audiomem_sql.connect",
    "duckdb": "Install a wheel; or a C compiler (on Debian: apt install gcc libc6-dev), and then the "
    "package again",
}
#: Of the thread that loads the extension: ``raised``, how its host takes exceptions.
_loading = threading.local()


def loadable_path(database: str = "sqlite") -> str:
    """The path of the extension, for ``.load`` and ``load_extension`` of SQLite, and for ``LOAD`` of DuckDB.

    database: ``sqlite`` or ``duckdb``; OptionError for another. MissingExtraError where it was not built.
    """
    if database not in _FILES:
        raise OptionError(f"there is no extension for {database!r}", remedy="Known: sqlite, duckdb.")
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), _FILES[database])
    if not os.path.exists(path):
        raise MissingExtraError(
            "the loadable extension was not built when this package was installed",
            file=path,
            remedy=_BUILD[database],
        )
    return path


def load_for_apsw(connection: apsw.Connection) -> bool:
    """Load the extension into an apsw connection; False where it cannot be had.

    The user of the connection catches Python's exceptions.
    """
    import apsw

    from audiomem_sql.vtab.apsw.table import raised

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), _FILES["sqlite"])
    if os.environ.get("AUDIOMEM_EXTENSION") == "off" or not os.path.exists(path):
        return False
    if not hasattr(connection, "load_extension"):
        return False
    allowed = connection.config(apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, -1)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1)
    _loading.raised = raised
    try:
        connection.load_extension(path)
    except apsw.ExtensionLoadingError:
        return False
    finally:
        _loading.raised = None
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, allowed)
    return True


def attach(*host: Callable[..., Any]) -> Any:
    """Called by the extension with functions of its connection: what to register there."""
    from audiomem_sql import udfs
    from audiomem_sql.vtab.extension import Door, NativeHost

    scalars = {function.name: function.call for function in udfs.all_functions()}
    return Door(NativeHost(*host), scalars, dict(udfs.aggregates()), getattr(_loading, "raised", None))


def attach_duckdb() -> Any:
    """Called by DuckDB's extension: what to register with the database that it was loaded into."""
    from audiomem_sql import udfs
    from audiomem_sql.vtab.duckdb.extension import Door

    return Door(udfs.functions())
