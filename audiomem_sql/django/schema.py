"""Migrations: tables are created and dropped with their files; a table whose columns change is copied."""

from __future__ import annotations

import os
from typing import Any

from django.db.backends.sqlite3 import schema
from django.db.backends.utils import strip_quotes

from audiomem_sql.columns.table_names import path_literal
from audiomem_sql.orm.table_files import file_of, free_name

_COPY = "new__"


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """The changes of a schema, in one transaction with all that belongs to them."""

    sql_create_inline_fk = None
    sql_create_column_inline_fk = None

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if not self.collect_sql and not self.connection.in_atomic_block:
            self.connection.delete_untabled()

    # -- tables
    # --------------------------------------------------------------------------------------------------

    def table_sql(self, model: Any) -> Any:
        """CREATE VIRTUAL TABLE, with keys as constraints, where SQLite's tables have unique indexes."""
        known = len(self.deferred_sql)
        sql, parameters = super().table_sql(model)
        together = [
            [model._meta.get_field(name).column for name in names] for names in model._meta.unique_together
        ]
        del self.deferred_sql[known : known + len(together)]
        name = self.quote_name(model._meta.db_table)
        _, _, definition = sql.partition(f"CREATE TABLE {name} (")
        keys = [f", UNIQUE ({', '.join(map(self.quote_name, columns))})" for columns in together]
        path = path_literal(self._new_file(strip_quotes(model._meta.db_table)))
        columns = definition.removesuffix(")")
        return f"CREATE VIRTUAL TABLE {name} USING audiomem({path}, {columns}{''.join(keys)})", parameters

    def _new_file(self, table: str) -> str:
        """The path of a new table's file, from the folder of the database; nobody has it yet."""
        database = self.connection.database_file()
        folder = f"{database}.tables"
        if not self.collect_sql:
            os.makedirs(folder, exist_ok=True)
        name = free_name(folder, table.removeprefix(_COPY))
        if not self.collect_sql:
            self.connection.touched_files.append(os.path.join(folder, name))
        return os.path.join(os.path.basename(folder), name)

    def delete_model(self, model: Any, handle_autom2m: bool = True) -> None:
        """DROP TABLE; the file goes when the transaction is committed."""
        if not self.collect_sql:
            execute = self.connection.connection.execute
            path = file_of(execute, strip_quotes(model._meta.db_table), "main")
            self.connection.touched_files += [path] if path is not None else []
        super().delete_model(model, handle_autom2m)

    # -- columns
    # --------------------------------------------------------------------------------------------------

    def add_field(self, model: Any, field: Any) -> None:
        """By a copy: the commands of a table change its columns at once, which ROLLBACK could not undo."""
        if field.many_to_many or field.db_parameters(connection=self.connection)["type"] is None:
            super().add_field(model, field)
        else:
            self._remake_table(model, create_field=field)

    def remove_field(self, model: Any, field: Any) -> None:
        """By a copy."""
        if field.many_to_many or field.db_parameters(connection=self.connection)["type"] is None:
            super().remove_field(model, field)
        else:
            self._remake_table(model, delete_field=field)

    def _alter_field(
        self,
        model: Any,
        old_field: Any,
        new_field: Any,
        *rest: Any,
        **options: Any,
    ) -> None:
        if old_field.column != new_field.column:
            self._remake_table(model, alter_fields=[(old_field, new_field)])
        else:
            super()._alter_field(model, old_field, new_field, *rest, **options)

    def alter_unique_together(self, model: Any, old_unique_together: Any, new_unique_together: Any) -> None:
        """By a copy: ``model`` says already what is to be."""
        if {tuple(names) for names in old_unique_together} != {tuple(names) for names in new_unique_together}:
            self._remake_table(model)

    # -- indexes: our tables find rows by their zone maps and keys
    # --------------------------------------------------------------------------------------------------

    def add_index(self, model: Any, index: Any) -> None:
        """Nothing."""

    def remove_index(self, model: Any, index: Any) -> None:
        """Nothing."""

    def rename_index(self, model: Any, old_index: Any, new_index: Any) -> None:
        """Nothing."""

    def _model_indexes_sql(self, model: Any) -> list[Any]:
        return []

    def _field_indexes_sql(self, model: Any, field: Any) -> list[Any]:
        return []
