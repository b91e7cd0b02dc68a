"""SQLAlchemy's door: ``create_engine("audiomem:///notes.flac")``.

It is SQLAlchemy's dialect of SQLite on another driver (:mod:`audiomem_sql.dbapi`), with the types that a
table has and without what SQLite cannot do with virtual tables.
"""

from __future__ import annotations

import os
from typing import Any

from audiomem_sql.errors import MissingExtraError, UnsupportedError

try:
    from sqlalchemy import pool, types
    from sqlalchemy.dialects.sqlite.base import SQLiteDDLCompiler, SQLiteDialect
except ImportError:
    raise MissingExtraError(
        "SQLAlchemy is not installed", remedy="Run: pip install 'audiomem-sql[sqlalchemy]'"
    ) from None

__all__ = ["AudioMemDialect"]

#: The types that a table declares to SQLite, by their first word; the others are SQLite's own.
_TYPES: dict[str, Any] = {
    "BOOLEAN": types.BOOLEAN,
    "TIMESTAMP": types.TIMESTAMP,
    "JSON": types.TEXT,  # the text as it was written; json() of SQLite, or types.JSON in a Column, read it
    "FLOAT": types.BLOB,
}
_DECLARED = ("BOOLEAN INTEGER", "TIMESTAMP TEXT", "JSON TEXT")


class _Definitions(SQLiteDDLCompiler):
    def visit_create_table(self, create: Any, **options: Any) -> Any:
        """CREATE TABLE, where its rows would outlive the connection."""
        if self.dialect.is_flac and "TEMPORARY" not in create.element._prefixes:
            raise UnsupportedError(
                f"a table {create.element.name} beside the one of a FLAC file would be lost "
                "with the connection",
                remedy="Make another FLAC file (Table.create, DataFrame.audiomem.to_flac), "
                "or a TEMPORARY table.",
            )
        return super().visit_create_table(create, **options)


class AudioMemDialect(SQLiteDialect):
    """``audiomem:///notes.flac``: the table of a FLAC file, called ``notes``, or as ``?table=name`` says.

    ``audiomem:///base.sqlite``: a database, with tables ``USING audiomem`` in it. ``audiomem://``: an empty
    one in memory.
    """

    driver = "apsw"
    supports_statement_cache = True
    ddl_compiler = _Definitions
    default_paramstyle = "qmark"
    # SQLite has no RETURNING for virtual tables.
    insert_returning = update_returning = delete_returning = False
    use_insertmanyvalues = False
    is_flac = False

    @classmethod
    def import_dbapi(cls) -> Any:
        """The driver."""
        from audiomem_sql import dbapi

        return dbapi

    @classmethod
    def get_pool_class(cls, url: Any) -> Any:
        """One connection a thread for a database in memory, several that are shared out for a file."""
        return pool.QueuePool if url.database else pool.SingletonThreadPool

    def create_connect_args(self, url: Any) -> Any:
        """The arguments of :func:`audiomem_sql.dbapi.connect`."""
        path = url.database or ":memory:"
        if path != ":memory:":
            path = os.path.abspath(path)
            self.is_flac = not self.import_dbapi().is_database(path)
        return [path], dict(url.query)

    def get_isolation_level_values(self, dbapi_connection: Any) -> Any:
        """What SQLite has, and AUTOCOMMIT."""
        return ["SERIALIZABLE", "AUTOCOMMIT"]

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """With AUTOCOMMIT no transaction begins by itself."""
        dbapi_connection.autocommit = level == "AUTOCOMMIT"

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """The level as it is."""
        return "AUTOCOMMIT" if dbapi_connection.autocommit else "SERIALIZABLE"

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Whether no transaction begins by itself."""
        return bool(dbapi_conn.autocommit)

    def _get_server_version_info(self, connection: Any) -> Any:
        return self.import_dbapi().sqlite_version_info

    def _resolve_type_affinity(self, type_: str) -> Any:
        if type_ in _DECLARED or (type_.startswith("FLOAT[") and type_.endswith("] BLOB")):
            return _TYPES[type_.replace("[", " ").split(" ")[0]]()
        return super()._resolve_type_affinity(type_)
