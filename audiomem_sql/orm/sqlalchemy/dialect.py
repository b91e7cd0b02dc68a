"""The dialect: SQLite's on the driver :mod:`audiomem_sql.dbapi`, with tables that are virtual."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import Column, Table, pool, schema, util
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import reflection
from sqlalchemy.sql import ddl

from audiomem_sql.columns.table_names import path_literal
from audiomem_sql.dbapi import translated
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.machine import file_names
from audiomem_sql.orm import table_files
from audiomem_sql.orm.file_of_engine import FileOfEngine, FlacFile
from audiomem_sql.orm.files_of_database import FilesOfDatabase
from audiomem_sql.orm.sqlalchemy import reflection as reflected
from audiomem_sql.orm.sqlalchemy.definitions import COPY, Definitions, Queries, Types, is_native, path_of
from audiomem_sql.orm.sqlalchemy.times import COLUMN_TYPES
from audiomem_sql.vtab.arguments import absolute

_MEMORY = ":memory:"


class AudioMemDialect(SQLiteDialect):
    """``audiomem:///notes.flac``: the table of a FLAC file, called ``notes``, or as ``?table=name`` says.

    ``audiomem:///base.sqlite``: a database, with tables ``USING audiomem`` in it, each with a file beside it.
    ``audiomem://``: an empty one in memory. ``?create=true``: the FLAC file need not be there yet.
    """

    name = "audiomem"
    driver = "apsw"
    supports_statement_cache = True
    ddl_compiler = Definitions
    statement_compiler = Queries
    type_compiler_cls = Types
    default_paramstyle = "qmark"
    construct_arguments = (
        (Table, {"path": None, "options": None, "native": None}),
        (Column, {"semantic": False, "indexed": False, "tokenize": None}),
    )
    # SQLite has no RETURNING for virtual tables.
    insert_returning = update_returning = delete_returning = False
    use_insertmanyvalues = False
    colspecs = SQLiteDialect.colspecs | COLUMN_TYPES
    is_memory = False
    #: The FLAC file of the engine, and its table.
    flac: FlacFile | None = None

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
        options = dict(url.query)
        util.coerce_kw_type(options, "timeout", float)
        util.coerce_kw_type(options, "create", bool)
        path = url.database or _MEMORY
        self.is_memory = path == _MEMORY
        if not self.is_memory:
            path = file_names.absolute(path)
            if not self.import_dbapi().is_database(path):
                name = options.get("table") or file_names.stem(path)
                self.flac = FlacFile(path, name, may_be_missing=options.get("create", False))
        return [path], options

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """A connection that knows the files of its tables."""
        if self.flac is not None:
            options["create"] = self.flac.may_be_missing
        connection = super().connect(*arguments, **options)
        if self.flac is None:
            FilesOfDatabase(connection)
        else:
            FileOfEngine(connection, self.flac)
        return connection

    def do_begin(self, dbapi_connection: Any) -> None:
        """Nothing begins; but another connection of the engine may have dropped or created the table."""
        if self.flac is not None:
            dbapi_connection.files.follow()

    # -- definitions
    # --------------------------------------------------------------------------------------------------

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        """Run a statement; one that creates or drops a table, with its file."""
        if not self._defined(cursor, statement, context):
            super().do_execute(cursor, statement, parameters, context)

    def do_execute_no_params(self, cursor: Any, statement: Any, context: Any = None) -> None:
        """The same without parameters."""
        if not self._defined(cursor, statement, context):
            super().do_execute_no_params(cursor, statement, context)

    def _defined(self, cursor: Any, statement: str, context: Any) -> bool:
        """Whether the statement concerned files, and was run."""
        if context is None or not context.isddl:
            return False
        element, files = context.compiled.statement, cursor.connection.files
        with translated():
            if isinstance(element, schema.CreateTable) and not is_native(self, element.element):
                self._create(cursor.connection, statement, element)
            elif isinstance(element, schema.DropTable):
                table = element.element
                files.drop(statement, table.name, table.schema)
            elif isinstance(element, ddl.CreateIndex) and not statement:
                self._check_unique(cursor.connection, element.element)
            elif statement:
                return False
        return True

    def _create(self, connection: Any, statement: str, element: Any) -> None:
        table = element.element
        if element.if_not_exists and table_files.file_of(
            connection.apsw.execute, table.name, table.schema or "main"
        ):
            return
        named = path_of(self, table)
        folder = os.path.dirname(connection.apsw.db_filename(table.schema or "main") or "")
        if table.name.startswith(COPY):  # the old table still has the name that the file should have
            free = table_files.free_name(folder, table.name.removeprefix(COPY))
            statement = statement.replace(path_literal(named), path_literal(free), 1)
            named = free
        connection.files.create(statement, absolute(named, os.path.join(folder, "")))

    def _check_unique(self, connection: Any, index: Any) -> None:
        """UnsupportedError for a unique index that is no constraint of the table."""
        if not index.unique:
            return
        known = reflected.known_of(connection.apsw, index.table.name, index.table.schema)
        wanted = [column.name for column in index.columns]
        keys = reflected.unique_constraints(known.schema) if known is not None else []
        if wanted not in [key["column_names"] for key in keys]:
            raise UnsupportedError(
                "a unique index cannot be added to a table that is there",
                place=f"index {index.name}",
                remedy="Name UNIQUE columns when the table is created; Alembic's batch mode makes it anew.",
            )

    # -- reflection
    # --------------------------------------------------------------------------------------------------

    @reflection.cache  # type: ignore[untyped-decorator,unused-ignore]
    def _known(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        apsw = connection.connection.dbapi_connection.apsw
        with translated():
            return reflected.known_of(apsw, table_name, schema)

    @reflection.cache  # type: ignore[untyped-decorator,unused-ignore]
    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        """Columns, with their defaults and whether they may be NULL."""
        columns = super().get_columns(connection, table_name, schema, **kw)
        known = self._known(connection, table_name, schema, **kw)
        if known is None:
            return columns
        if [column["name"] for column in columns] != list(known.schema.names):  # another connection's change
            connection.exec_driver_sql("PRAGMA writable_schema=RESET")
            columns = super().get_columns(connection, table_name, schema)
        return reflected.completed(columns, known.schema)

    @reflection.cache  # type: ignore[untyped-decorator,unused-ignore]
    def get_pk_constraint(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        """The primary key."""
        known = self._known(connection, table_name, schema, **kw)
        if known is None:
            return super().get_pk_constraint(connection, table_name, schema, **kw)
        return reflected.primary_key(known.schema)

    @reflection.cache  # type: ignore[untyped-decorator,unused-ignore]
    def get_unique_constraints(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        """UNIQUE."""
        known = self._known(connection, table_name, schema, **kw)
        if known is None:
            return super().get_unique_constraints(connection, table_name, schema, **kw)
        return reflected.unique_constraints(known.schema)

    @reflection.cache  # type: ignore[untyped-decorator,unused-ignore]
    def get_check_constraints(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        """CHECK."""
        known = self._known(connection, table_name, schema, **kw)
        if known is None:
            return super().get_check_constraints(connection, table_name, schema, **kw)
        return reflected.check_constraints(known.schema)

    @reflection.cache  # type: ignore[untyped-decorator,unused-ignore]
    def get_table_options(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        """Whether it is a table of SQLite's own, and the options of one of ours."""
        options = dict(super().get_table_options(connection, table_name, schema, **kw))
        apsw = connection.connection.dbapi_connection.apsw
        options["audiomem_native"] = table_files.file_of(apsw.execute, table_name, schema) is None
        known = self._known(connection, table_name, schema, **kw)
        if known is not None:
            options["audiomem_options"] = reflected.options_of(known)
        return options

    def _resolve_type_affinity(self, type_: str) -> Any:
        return reflected.type_of(type_) or super()._resolve_type_affinity(type_)

    # -- transactions
    # --------------------------------------------------------------------------------------------------

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
