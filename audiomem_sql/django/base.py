"""The backend: SQLite's, on a module that can load the extension, with types that a table of ours has."""

from __future__ import annotations

import datetime
import decimal
import importlib.util
import sqlite3
from typing import Any

from audiomem_sql.errors import MissingExtraError, UnsupportedError

try:
    from django.db.backends.sqlite3 import base
except ImportError:
    raise MissingExtraError(
        "Django is not installed", remedy="Run: pip install 'audiomem-sql[django]'"
    ) from None

from audiomem_sql.connections import load
from audiomem_sql.django.creation import DatabaseCreation
from audiomem_sql.django.features import DatabaseFeatures
from audiomem_sql.django.operations import DatabaseOperations
from audiomem_sql.django.schema import DatabaseSchemaEditor
from audiomem_sql.orm.table_files import delete_unused

#: How many digits a double keeps, whatever they are.
EXACT_DIGITS = 15


def _loading_module() -> Any:
    """The module sqlite3, or pysqlite3 where Python was built without loading extensions."""
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return sqlite3.dbapi2
    if importlib.util.find_spec("pysqlite3") is None:
        raise MissingExtraError(
            "this Python's sqlite3 cannot load extensions", remedy="Run: pip install pysqlite3-binary"
        )
    from pysqlite3 import dbapi2

    dbapi2.register_converter("bool", b"1".__eq__)
    dbapi2.register_converter("date", base.decoder(base.parse_date))
    dbapi2.register_converter("time", base.decoder(base.parse_time))
    dbapi2.register_converter("datetime", base.decoder(base.parse_datetime))
    dbapi2.register_converter("timestamp", base.decoder(base.parse_datetime))
    dbapi2.register_adapter(decimal.Decimal, str)
    dbapi2.register_adapter(datetime.date, base.adapt_date)
    dbapi2.register_adapter(datetime.datetime, base.adapt_datetime)
    return dbapi2


Database = _loading_module()


class Cursor(Database.Cursor):  # type: ignore[name-defined]
    """A cursor with Django's placeholders, as that of its backend for SQLite is."""

    convert_query = base.SQLiteCursorWrapper.convert_query

    def execute(self, query: str, params: Any = None) -> Any:
        """Run a query."""
        if params is None:
            return super().execute(query)
        names = list(params) if isinstance(params, dict) else None
        return super().execute(self.convert_query(query, param_names=names), params)

    def executemany(self, query: str, param_list: Any) -> Any:
        """Run a query with each of several parameters."""
        listed = list(param_list)
        names = list(listed[0]) if listed and isinstance(listed[0], dict) else None
        return super().executemany(self.convert_query(query, param_names=names), listed)


def _decimal(field: dict[str, Any]) -> str:
    if (field["max_digits"] or 0) > EXACT_DIGITS:
        raise UnsupportedError(
            f"SQLite keeps {EXACT_DIGITS} digits of a decimal, not {field['max_digits']}",
            place=f"field {field['name']}",
            remedy=f"Set max_digits to {EXACT_DIGITS} or less, or count the smallest unit in an integer.",
        )
    return "real"


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to a database with tables USING audiomem."""

    display_name = "AudioMemory SQL"
    Database = Database
    SchemaEditorClass = DatabaseSchemaEditor
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    ops_class = DatabaseOperations
    data_types = {  # noqa: RUF012
        **base.DatabaseWrapper.data_types,
        "DateField": "text",
        "TimeField": "text",
        "UUIDField": "text",
        "DecimalField": _decimal,
        "IPAddressField": "text",
        "GenericIPAddressField": "text",
        "PositiveBigIntegerField": "integer",
        "PositiveIntegerField": "integer",
        "PositiveSmallIntegerField": "integer",
        "SmallIntegerField": "integer",
        "BigIntegerField": "integer",
        "DurationField": "integer",
    }
    data_types_suffix: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: Files that were made, or lost their tables, since the transaction began.
        self.touched_files: list[str] = []

    def get_new_connection(self, conn_params: Any) -> Any:
        """A connection that knows module ``audiomem``."""
        connection = Database.connect(**conn_params)
        base.register_functions(connection)
        load(connection)
        connection.execute("PRAGMA legacy_alter_table = OFF")
        for command in self.init_commands:
            if command.strip():
                connection.execute(command)
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        """A cursor with Django's placeholders."""
        return self.connection.cursor(factory=Cursor)

    def database_file(self) -> str:
        """The path of the database; UnsupportedError for one in memory."""
        self.ensure_connection()
        (path,) = (row[2] for row in self.connection.execute("PRAGMA database_list") if row[1] == "main")
        if not path:
            raise UnsupportedError(
                "the tables of audiomem_sql.django have files, so their database needs one, too",
                remedy="Set NAME in DATABASES to a path.",
            )
        return str(path)

    def delete_untabled(self) -> None:
        """Delete the files that no table is in any more, at the end of a transaction."""
        touched, self.touched_files = self.touched_files, []
        for path in touched:
            delete_unused(self.connection.execute, path)

    def _commit(self) -> None:
        super()._commit()
        if self.connection is not None:
            self.delete_untabled()

    def _rollback(self) -> None:
        super()._rollback()
        if self.connection is not None:
            self.delete_untabled()
