"""CREATE and DROP of SQLAlchemy's tables, which are virtual; and the queries that those cannot answer.

A Table takes these options: ``audiomem_path``, where the file is to be, from the folder of the database;
``audiomem_options``, a dict of the options of CREATE VIRTUAL TABLE; ``audiomem_native=True`` for a table of
SQLite's own. A Column takes ``audiomem_semantic`` and ``audiomem_indexed``, which is True or, for
a column of vectors, what stands in the parentheses: ``metric=l2``. Beside it, ``audiomem_tokenize`` says
how the words of a text are made.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDDLCompiler, SQLiteTypeCompiler

from audiomem_sql.columns.lexemes import text_literal
from audiomem_sql.columns.table_names import path_literal
from audiomem_sql.errors import OptionError, UnsupportedError
from audiomem_sql.orm.table_files import file_name

#: What a copy is called that Alembic's batch mode makes.
COPY = "_alembic_tmp_"


def is_native(dialect: Any, table: Any) -> bool:
    """Whether a table is one of SQLite's own: it says so, is temporary, or is in a database in memory."""
    options = getattr(table, "dialect_options", None)
    if options is None:
        return False
    chosen = options["audiomem"]
    if chosen["native"] is not None:
        return bool(chosen["native"])
    temporary = {"TEMP", "TEMPORARY"} & {str(prefix).upper() for prefix in getattr(table, "_prefixes", ())}
    return bool(temporary) or (dialect.is_memory and chosen["path"] is None)


def path_of(dialect: Any, table: Any) -> str:
    """The path of the file of a new table, as CREATE VIRTUAL TABLE names it."""
    chosen = table.dialect_options["audiomem"]["path"]
    if dialect.flac is not None:
        return str(dialect.flac.path)
    return str(chosen) if chosen is not None else file_name(table.name.removeprefix(COPY))


class Types(SQLiteTypeCompiler):
    """The types as an audiomem table has them.

    Decimals are REAL, as with SQLite; days, times of day and UUIDs are TEXT.
    """

    def visit_NUMERIC(self, type_: Any, **options: Any) -> str:
        """A double: exact up to 15 digits."""
        return "REAL"

    visit_DECIMAL = visit_FLOAT = visit_DOUBLE = visit_DOUBLE_PRECISION = visit_REAL = visit_NUMERIC

    def visit_BIGINT(self, type_: Any, **options: Any) -> str:
        """64 bits, as all integers have."""
        return "INTEGER"

    visit_SMALLINT = visit_INTEGER = visit_BIGINT

    def visit_DATETIME(self, type_: Any, **options: Any) -> str:
        """Microseconds."""
        return "TIMESTAMP"

    visit_TIMESTAMP = visit_DATETIME

    def visit_DATE(self, type_: Any, **options: Any) -> str:
        """Text such as 2024-03-01."""
        return "TEXT"

    visit_TIME = visit_UUID = visit_uuid = visit_DATE

    def visit_CHAR(self, type_: Any, **options: Any) -> str:
        """Text; SQLite counts no letters either."""
        return "TEXT" + (f" COLLATE {type_.collation}" if getattr(type_, "collation", None) else "")

    visit_VARCHAR = visit_NCHAR = visit_NVARCHAR = visit_CLOB = visit_TEXT = visit_CHAR

    def visit_BINARY(self, type_: Any, **options: Any) -> str:
        """Bytes."""
        return "BLOB"

    visit_VARBINARY = visit_BINARY


class Queries(SQLiteCompiler):
    """Queries; those that SQLite answers wrongly for a virtual table are refused."""

    def returning_clause(self, stmt: Any, returning_cols: Any, **options: Any) -> Any:
        """RETURNING, which gives NULL for what was not given."""
        self._refuse(
            stmt,
            "RETURNING",
            "Leave it out: the key is in result.inserted_primary_key, and the ORM fetches it by itself.",
        )
        return super().returning_clause(stmt, returning_cols, **options)

    def visit_on_conflict_do_nothing(self, on_conflict: Any, **options: Any) -> Any:
        """ON CONFLICT DO NOTHING."""
        self._refuse(self.current_executable, "ON CONFLICT", 'Write insert(…).prefix_with("OR IGNORE").')
        return super().visit_on_conflict_do_nothing(on_conflict, **options)

    def visit_on_conflict_do_update(self, on_conflict: Any, **options: Any) -> Any:
        """ON CONFLICT DO UPDATE."""
        self._refuse(self.current_executable, "ON CONFLICT", 'Write insert(…).prefix_with("OR REPLACE").')
        return super().visit_on_conflict_do_update(on_conflict, **options)

    def _refuse(self, statement: Any, clause: str, remedy: str) -> None:
        table = getattr(statement, "table", None)
        if not is_native(self.dialect, table):
            raise UnsupportedError(
                f"SQLite has no {clause} for virtual tables",
                place=f"table {getattr(table, 'name', None)}",
                remedy=remedy,
            )


class Definitions(SQLiteDDLCompiler):
    """CREATE TABLE, CREATE INDEX, and what belongs to them."""

    def visit_create_table(self, create: Any, **options: Any) -> Any:
        """CREATE VIRTUAL TABLE, or CREATE TABLE for a table of SQLite's own."""
        table = create.element
        native = is_native(self.dialect, table)
        self._check_lasts(table, native)
        if native:
            return super().visit_create_table(create, **options)
        parts = [path_literal(path_of(self.dialect, table)), *self._columns(create)]
        constraints = self.create_table_constraints(
            table, _include_foreign_key_constraints=create.include_foreign_key_constraints
        )
        parts += [constraints] if constraints else []
        parts += [self._unique(index) for index in table.indexes if index.unique]
        parts += [
            f"{name}={text_literal(str(value))}"
            for name, value in (table.dialect_options["audiomem"]["options"] or {}).items()
        ]
        exists = "IF NOT EXISTS " if create.if_not_exists else ""
        name, inside = self.preparer.format_table(table), ",\n\t".join(parts)
        return f"\nCREATE VIRTUAL TABLE {exists}{name} USING audiomem(\n\t{inside}\n)"

    def visit_create_table_as(self, element: Any, **options: Any) -> Any:
        """CREATE TABLE AS, which makes a table of SQLite's own."""
        if not element.temporary:
            self._check_lasts(element.table, True)
        return super().visit_create_table_as(element, **options)

    def _check_lasts(self, table: Any, native: bool) -> None:
        """UnsupportedError for a table that would be lost with the connection."""
        dialect = self.dialect
        if dialect.flac is None or "TEMPORARY" in getattr(table, "_prefixes", ()):
            return
        if native or table.name != dialect.flac.table:
            raise UnsupportedError(
                f"a table {table.name} beside the one of a FLAC file would be lost with the connection",
                remedy="Use an engine for a database, audiomem:///base.sqlite, which can have many tables, "
                "make another FLAC file (Table.create, DataFrame.audiomem.to_flac), or a TEMPORARY table.",
            )

    def _columns(self, create: Any) -> list[str]:
        parts = []
        for create_column in create.columns:
            column = create_column.element
            try:
                text = self.process(create_column)
            except exc.CompileError as error:
                place = f"(in table '{create.element.description}', column '{column.name}')"
                raise exc.CompileError(f"{place}: {error.args[0]}") from error
            parts += [text] if text is not None else []
        return parts

    def get_column_specification(self, column: Any, **options: Any) -> Any:
        """A column, with what only our tables have."""
        text = super().get_column_specification(column, **options)
        chosen = column.dialect_options["audiomem"]
        words = ["SEMANTIC"] if chosen["semantic"] else []
        if indexed := chosen["indexed"]:
            words.append(f"INDEXED({indexed})" if isinstance(indexed, str) else "INDEXED")
        if chosen["tokenize"] is not None:
            if chosen["indexed"] is not True:
                raise OptionError(
                    "audiomem_tokenize is told of a column that is not searched by its words",
                    place=f"column {column.name}",
                    remedy="Write audiomem_indexed=True beside it.",
                )
            words.append(f"(tokenize={text_literal(str(chosen['tokenize']))})")
        return " ".join([text, *words])

    def _unique(self, index: Any) -> str:
        """A unique index as a constraint of its table."""
        names = [self.preparer.quote(column.name) for column in index.columns]
        whole = index.dialect_options["sqlite"]["where"] is None and len(names) == len(index.expressions)
        if not whole:
            raise UnsupportedError(
                "a unique index over an expression, or over a part of the rows, cannot be kept",
                place=f"index {index.name}",
                remedy="Make it one of columns of all rows.",
            )
        return f"UNIQUE ({', '.join(names)})"

    def visit_foreign_key_constraint(self, constraint: Any, **options: Any) -> Any:
        """Nothing: SQLite lets no foreign key point to a virtual table. Relationships need none."""
        if not is_native(self.dialect, constraint.parent):
            return None
        return super().visit_foreign_key_constraint(constraint, **options)

    def visit_create_index(self, create: Any, **options: Any) -> Any:
        """Nothing for our tables, which find rows by their zone maps and keys."""
        if not is_native(self.dialect, create.element.table):
            return ""
        return super().visit_create_index(create, **options)

    def visit_drop_index(self, drop: Any, **options: Any) -> Any:
        """Nothing for our tables."""
        table = drop.element.table
        if table is not None and not is_native(self.dialect, table):
            return ""
        return super().visit_drop_index(drop, **options)
