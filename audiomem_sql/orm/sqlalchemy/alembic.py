"""Alembic's operations: columns change through the commands of a table, and all else through a copy of it."""

from __future__ import annotations

from typing import Any

from alembic.ddl.sqlite import SQLiteImpl

from audiomem_sql.columns.lexemes import text_literal
from audiomem_sql.dbapi import translated
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.orm.sqlalchemy.definitions import is_native
from audiomem_sql.orm.sqlalchemy.reflection import check_model
from audiomem_sql.orm.table_files import file_of


class AudioMemImpl(SQLiteImpl):
    """The operations of a migration on tables that are virtual; on others, those of SQLite."""

    __dialect__ = "audiomem"
    transactional_ddl = False
    type_synonyms = (*SQLiteImpl.type_synonyms, {"JSON", "TEXT"}, {"DATETIME", "TIMESTAMP"})

    def version_table_impl(self, **options: Any) -> Any:
        """The table of the revision: one of SQLite's own, as it is part of the database."""
        table = super().version_table_impl(**options)
        table.dialect_options["audiomem"]["native"] = True
        return table

    # -- columns
    # --------------------------------------------------------------------------------------------------

    def add_column(self, table_name: str, column: Any, *, schema: Any = None, **options: Any) -> None:
        """``add column``."""
        if self._is_native(table_name, schema):
            super().add_column(table_name, column, schema=schema, **options)
            return
        compiler = self.dialect.ddl_compiler(self.dialect, None)
        self._command(table_name, schema, "add column", compiler.get_column_specification(column))

    def drop_column(self, table_name: str, column: Any, *, schema: Any = None, **options: Any) -> None:
        """``drop column``."""
        if self._is_native(table_name, schema):
            super().drop_column(table_name, column, schema=schema, **options)
            return
        self._command(table_name, schema, "drop column", self._quoted(column.name))

    def alter_column(self, table_name: str, column_name: str, **options: Any) -> None:
        """``rename column``; UnsupportedError for a change of anything else."""
        if self._is_native(table_name, options.get("schema")):
            super().alter_column(table_name, column_name, **options)
            return
        if _changes_more(options):
            raise UnsupportedError(
                "the type, the default and NOT NULL of a column cannot be changed in place",
                place=f"column {column_name}",
                remedy="Use batch mode, which makes the table anew: with op.batch_alter_table(…).",
            )
        new = options.get("name")
        if new is not None:
            names = f"{self._quoted(column_name)} TO {self._quoted(new)}"
            self._command(table_name, options.get("schema"), "rename column", names)

    def add_constraint(self, const: Any, **options: Any) -> None:
        """Nothing for a foreign key, as CREATE TABLE leaves it out, too."""
        table = const.parent
        if const.__visit_name__ != "foreign_key_constraint" or self._is_native(table.name, table.schema):
            super().add_constraint(const, **options)

    def _command(self, table: str, schema: Any, command: str, argument: str) -> None:
        """Run a command of a table, which is part of no transaction: what is open is committed before."""
        name = self._quoted(table)
        owner = f"{self._quoted(schema)}.{name}" if schema else name
        statement = (
            f"INSERT INTO {owner}({name}, rank) VALUES ({text_literal(command)}, {text_literal(argument)})"
        )
        if self.as_sql:
            self.static_output(statement + self.command_terminator)
            return
        connection = self._driver()
        before = connection.autocommit
        connection.commit()
        connection.autocommit = True
        try:
            self.connection.exec_driver_sql(statement)
        finally:
            connection.autocommit = before

    # -- copies
    # --------------------------------------------------------------------------------------------------

    def requires_recreate_in_batch(self, batch_op: Any) -> bool:
        """Whether a batch needs a copy of the table: for all but columns that come, go or change names."""
        if self._is_native(batch_op.table_name, batch_op.schema):
            return bool(super().requires_recreate_in_batch(batch_op))
        return any(
            name not in ("add_column", "drop_column", "create_index", "drop_index")
            and (name != "alter_column" or _changes_more(options))
            for name, _, options in batch_op.batch
        )

    def prep_table_for_batch(self, batch_impl: Any, table: Any) -> None:
        """Make the copy in one transaction; UnsupportedError if that would load a model that a file names."""
        apsw = self._driver().apsw
        with translated():
            check_model(apsw, table.name, table.schema)
            if not apsw.in_transaction:
                apsw.execute("BEGIN")

    # -- autogenerate: what the database cannot say is no difference
    # --------------------------------------------------------------------------------------------------

    def correct_for_autogen_constraints(
        self,
        conn_unique_constraints: Any,
        conn_indexes: Any,
        metadata_unique_constraints: Any,
        metadata_indexes: Any,
    ) -> None:
        """Our tables have no indexes; unique ones are constraints of theirs."""
        virtual = [index for index in metadata_indexes if not is_native(self.dialect, index.table)]
        unique = [{column.name for column in index.columns} for index in virtual if index.unique]
        metadata_indexes.difference_update(virtual)
        for constraint in list(conn_unique_constraints):
            if {column.name for column in constraint.columns} in unique:
                conn_unique_constraints.discard(constraint)
        super().correct_for_autogen_constraints(
            conn_unique_constraints, conn_indexes, metadata_unique_constraints, metadata_indexes
        )

    def correct_for_autogen_foreignkeys(self, conn_fks: Any, metadata_fks: Any) -> None:
        """Our tables have no foreign keys."""
        virtual = [key for key in metadata_fks if not is_native(self.dialect, key.parent)]
        metadata_fks.difference_update(virtual)

    # -- names
    # --------------------------------------------------------------------------------------------------

    def _is_native(self, table: str, schema: Any) -> bool:
        """Whether a table is one of SQLite's own. Without a connection it is taken for one of ours."""
        if self.as_sql:
            return False
        return file_of(self._driver().apsw.execute, table, schema) is None

    def _driver(self) -> Any:
        return self.connection.connection.dbapi_connection

    def _quoted(self, name: str) -> str:
        return str(self.dialect.identifier_preparer.quote_identifier(name))


def _changes_more(options: dict[str, Any]) -> bool:
    """Whether alter_column is to change more than a name."""
    return (
        options.get("nullable") is not None
        or options.get("type_") is not None
        or options.get("server_default", False) is not False
    )
